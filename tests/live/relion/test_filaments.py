"""RELION's helical extraction takes the segments that we write: counts, tube ids, psi and track lengths."""

import numpy as np
import pytest

from live.relion.project import call
from vitripick.formats import write_mrc
from vitripick.formats.filaments import write_filaments
from vitripick.formats.star.dialect import parse_star
from vitripick.geometry import Filament, Filaments

PIXEL_SIZE, SPACING_ANGSTROM, BOX_PX = 2.0, 40.0, 64
# Asymmetric: down to the right, and one that bends.
RODS = Filaments(
    [
        Filament.through([(60, 70), (160, 340)], width=24),
        Filament.through([(420, 90), (330, 180), (300, 330)], width=24),
    ],
    "mics/a.mrc",
    (400, 520),
    PIXEL_SIZE,
)
MICROGRAPHS = """data_optics

loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
_rlnMicrographPixelSize #3
_rlnVoltage #4
_rlnSphericalAberration #5
_rlnAmplitudeContrast #6
1 opticsGroup1 2.0 300 2.7 0.1

data_micrographs

loop_
_rlnMicrographName #1
_rlnOpticsGroup #2
mics/a.mrc 1

"""


@pytest.fixture(scope="module")
def extracted(tmp_path_factory):
    """Return the rows of particles that RELION extracted, by column."""
    folder = tmp_path_factory.mktemp("helix")
    for name in ("mics", "Extract/job1"):
        (folder / name).mkdir(parents=True)
    image = np.random.default_rng(1).normal(size=RODS.shape).astype(np.float32)
    write_mrc(folder / "mics/a.mrc", image, pixel_size=PIXEL_SIZE)
    (folder / "micrographs.star").write_text(MICROGRAPHS)
    write_filaments(RODS, folder / "picks/mics/a_autopick.star", spacing_angstrom=SPACING_ANGSTROM)
    call(
        folder,
        *("relion_preprocess", "--i", "micrographs.star", "--coord_dir", "picks/", "--coord_suffix", "_autopick.star"),
        *("--part_star", "Extract/job1/particles.star", "--part_dir", "Extract/job1/", "--extract"),
        *("--extract_size", BOX_PX, "--helix", "--helical_outer_diameter", 60, "--helical_bimodal_angular_priors"),
    )
    file = folder / "Extract/job1/particles.star"
    blocks = {block.name: block.as_table() for block in parse_star(file.read_text().splitlines(), file)}
    table = blocks["particles"]
    return {label: table.column(label) for label in table.labels}


def numbers(extracted, label):
    return np.array([float(value) for value in extracted[label]])


def test_every_segment_is_extracted_at_its_place(extracted):
    true = RODS.segments(spacing=SPACING_ANGSTROM / PIXEL_SIZE)
    assert len(extracted["rlnCoordinateX"]) == len(true)
    assert numbers(extracted, "rlnCoordinateX") == pytest.approx(true.x, abs=1)
    assert numbers(extracted, "rlnCoordinateY") == pytest.approx(true.y, abs=1)


def test_tube_ids_stay(extracted):
    true = RODS.segments(spacing=SPACING_ANGSTROM / PIXEL_SIZE)
    assert numbers(extracted, "rlnHelicalTubeID").astype(int).tolist() == true.filament.tolist()


def test_priors_and_track_lengths_stay(extracted):
    true = RODS.segments(spacing=SPACING_ANGSTROM / PIXEL_SIZE)
    assert numbers(extracted, "rlnAnglePsiPrior") == pytest.approx(-np.rad2deg(true.angle), abs=0.01)
    assert set(numbers(extracted, "rlnAngleTiltPrior")) == {90}
    assert set(numbers(extracted, "rlnAnglePsiFlipRatio")) == {0.5}
    assert numbers(extracted, "rlnHelicalTrackLengthAngst") == pytest.approx(true.track * PIXEL_SIZE, abs=0.01)


def test_psi_is_the_one_that_relion_itself_computes_from_start_and_end(tmp_path):
    straight = Filaments([RODS.filaments[0]], "mics/a.mrc", RODS.shape, PIXEL_SIZE)
    for name in ("mics", "Extract/job1"):
        (tmp_path / name).mkdir(parents=True)
    image = np.random.default_rng(1).normal(size=RODS.shape).astype(np.float32)
    write_mrc(tmp_path / "mics/a.mrc", image, pixel_size=PIXEL_SIZE)
    (tmp_path / "micrographs.star").write_text(MICROGRAPHS)
    write_filaments(straight, tmp_path / "picks/mics/a_ends.star", format="start-end-star")
    call(
        tmp_path,
        *("relion_preprocess", "--i", "micrographs.star", "--coord_dir", "picks/", "--coord_suffix", "_ends.star"),
        *("--part_star", "Extract/job1/particles.star", "--part_dir", "Extract/job1/", "--extract"),
        *("--extract_size", BOX_PX, "--helix", "--helical_outer_diameter", 60, "--helical_bimodal_angular_priors"),
        *("--helical_tubes", "--helical_cut_into_segments", "--helical_nr_asu", 1, "--helical_rise", 40),
    )
    file = tmp_path / "Extract/job1/particles.star"
    blocks = {block.name: block.as_table() for block in parse_star(file.read_text().splitlines(), file)}
    psi = np.array([float(value) for value in blocks["particles"].column("rlnAnglePsiPrior")])
    ours = -np.rad2deg(straight.segments(spacing=20).angle[0])
    assert len(psi) > 5
    assert psi == pytest.approx(ours, abs=0.5)
