"""A two-dimensional class by RELION of the segments that we write shows the filament along x."""

import csv

import mrcfile
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from live.relion.project import call

PIXEL_SIZE, BOX_PX = 4.0, 64
MICROGRAPHS = """data_optics

loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
_rlnMicrographPixelSize #3
_rlnVoltage #4
_rlnSphericalAberration #5
_rlnAmplitudeContrast #6
1 opticsGroup1 4.0 300 2.7 0.1

data_micrographs

loop_
_rlnMicrographName #1
_rlnOpticsGroup #2
mics/simulated_0001.mrc 1
mics/simulated_0002.mrc 1

"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return a project of RELION with two micrographs of filaments, traced by us and extracted by RELION."""
    folder = tmp_path_factory.mktemp("class")
    size = ("--shape", "700x900", "--pixel-size", PIXEL_SIZE, "--micrographs", 2, "--seed", 3)
    call(folder, "vitripick", "simulate", "--filaments", "--no-crossings", "--out", "sim", *size)
    (folder / "mics").symlink_to("sim/micrographs")
    (folder / "micrographs.star").write_text(MICROGRAPHS)
    with (folder / "sim/labels/simulated_0001.csv").open() as file:
        width = PIXEL_SIZE * float(next(csv.DictReader(file))["width"])
    words = ("--filaments", "--width-angstrom", width, "--spacing-angstrom", 60, "--format", "star")
    call(folder, "vitripick", "pick", "micrographs.star", *words, "--out", "picks")
    (folder / "Extract/job1").mkdir(parents=True)
    call(
        folder,
        *("relion_preprocess", "--i", "micrographs.star"),
        *("--coord_dir", "picks/star/", "--coord_suffix", "_autopick.star"),
        *("--part_star", "Extract/job1/particles.star", "--part_dir", "Extract/job1/", "--extract"),
        *("--extract_size", BOX_PX, "--helix", "--helical_outer_diameter", round(1.2 * width)),
        *("--helical_bimodal_angular_priors", "--norm", "--bg_radius", 0.4 * BOX_PX, "--invert_contrast"),
    )
    return folder, width


def averaged(folder, width, particles, name):
    """Return the only class of RELION's helical two-dimensional classification, (rows, columns)."""
    (folder / name).mkdir()
    call(
        folder,
        *("relion_refine", "--i", particles, "--o", f"{name}/run", "--iter", 4, "--K", 1, "--tau2_fudge", 2),
        *("--particle_diameter", 0.9 * BOX_PX * PIXEL_SIZE, "--psi_step", 4, "--offset_range", 4, "--offset_step", 2),
        *("--helical_outer_diameter", round(1.2 * width), "--bimodal_psi", "--sigma_psi", 2),
        *("--zero_mask", "--norm", "--scale", "--dont_combine_weights_via_disc", "--pool", 10, "--random_seed", 1),
    )
    with mrcfile.open(folder / name / "run_it004_classes.mrcs") as file:
        return np.array(file.data).reshape(BOX_PX, BOX_PX)


def without_repeats(image):
    """Return the middle of an image, blurred along x so far that the filament's own repeats are gone."""
    middle = slice(BOX_PX // 4, 3 * BOX_PX // 4)
    return gaussian_filter(image, (1.0, 6.0))[middle, middle]


def anisotropy(image):
    """Return how much the means of rows vary, as a multiple of the means of columns: large for a line along x."""
    seen = without_repeats(image)
    return float(np.var(seen.mean(axis=1)) / np.var(seen.mean(axis=0)))


def test_the_class_shows_the_filament_along_x(project):
    folder, width = project
    shown = averaged(folder, width, "Extract/job1/particles.star", "Class2D")
    assert anisotropy(shown) > 100
    # The filament is as wide as it was simulated, and lies in the middle.
    across = gaussian_filter(shown, (1.0, 6.0))[:, BOX_PX // 4 : 3 * BOX_PX // 4].mean(axis=1)
    bright = np.flatnonzero(across > (across.max() + np.median(across[:8])) / 2)
    assert np.ptp(bright) + 1 == pytest.approx(width / PIXEL_SIZE, rel=0.25)
    assert (bright.min() + bright.max()) / 2 == pytest.approx(BOX_PX / 2, abs=2)


def test_the_class_is_blurred_where_psi_is_mirrored(project):
    folder, width = project
    lines = (folder / "Extract/job1/particles.star").read_text().splitlines()
    at = next(int(line.split("#")[1]) - 1 for line in lines if line.startswith("_rlnAnglePsiPrior "))
    changed = []
    for line in lines:
        fields = line.split()
        if "@" in line:
            fields[at] = str(-float(fields[at]))
        changed.append(" ".join(fields) if "@" in line else line)
    (folder / "mirrored.star").write_text("\n".join(changed) + "\n")
    assert anisotropy(averaged(folder, width, "mirrored.star", "Mirrored")) < 100
