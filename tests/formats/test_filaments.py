"""Filaments in every format: an asymmetric line, so that a flip of y, an exchange or a slip of a corner would show."""

import numpy as np
import pytest

from vitripick.errors import FormatError, UsageError
from vitripick.evaluation.filaments import evaluate_filaments
from vitripick.formats.filaments import FILAMENT_FORMATS, read_filaments, write_filaments
from vitripick.geometry import Filament, Filaments

BENT = Filament.through([(30, 40), (90, 220), (160, 340)], width=24, confidence=0.75)
FLAT = Filament.through([(20, 410), (420, 380)], width=24, confidence=0.5)
TRUE = Filaments([BENT, FLAT], "mic", (480, 640), 2.0)


@pytest.mark.parametrize("name", FILAMENT_FORMATS)
def test_what_is_written_lies_where_it_was_read_from(name, tmp_path):
    file = tmp_path / f"mic{FILAMENT_FORMATS[name].suffix}"
    write_filaments(TRUE, file, format=name, spacing_angstrom=10)
    (back,) = read_filaments(file, format=name)
    assert back.micrograph == "mic"
    result = evaluate_filaments([back], [TRUE], largest_angle_degrees=8)
    assert result.recall > 0.97
    assert result.precision > 0.97
    assert result.offset < 0.6
    assert result.angle_error_degrees < 0.5


@pytest.mark.parametrize("name", FILAMENT_FORMATS)
def test_no_filaments_are_a_valid_file(name, tmp_path):
    file = tmp_path / f"mic{FILAMENT_FORMATS[name].suffix}"
    write_filaments(Filaments([], "mic", (480, 640), 2.0), file, format=name, spacing_angstrom=10)
    assert sum(map(len, read_filaments(file, format=name))) == 0


def table_of(path, tmp_path):
    lines = [line for line in path.read_text().splitlines() if line.strip()]
    labels = [line.split()[0] for line in lines if line.startswith("_rln")]
    rows = [line.split() for line in lines if line[0] in "-0123456789"]
    return {label: np.array([float(row[i]) for row in rows]) for i, label in enumerate(labels)}


def test_relion_gets_tube_ids_priors_and_track_lengths(tmp_path):
    write_filaments(TRUE, tmp_path / "mic.star", spacing_angstrom=40)
    columns = table_of(tmp_path / "mic.star", tmp_path)
    first = columns["_rlnHelicalTubeID"] == 1
    assert set(columns["_rlnHelicalTubeID"]) == {1, 2}
    assert set(columns["_rlnAngleTiltPrior"]) == {90}
    assert set(columns["_rlnAnglePsiFlipRatio"]) == {0.5}
    # y grows with x, so psi is negative: RELION counts it the other way round.
    assert columns["_rlnAnglePsiPrior"][first][0] == pytest.approx(-np.rad2deg(np.arctan2(180, 60)), abs=1e-3)
    assert columns["_rlnAnglePsiPrior"][~first][0] == pytest.approx(np.rad2deg(np.arctan2(30, 400)), abs=1e-3)
    assert np.diff(columns["_rlnHelicalTrackLengthAngst"][first]) == pytest.approx(40)


def test_start_and_end_pairs_are_two_rows_each(tmp_path):
    write_filaments(Filaments([FLAT]), tmp_path / "mic.star", format="start-end-star")
    columns = table_of(tmp_path / "mic.star", tmp_path)
    assert columns["_rlnCoordinateX"].tolist() == [20, 420]
    assert columns["_rlnCoordinateY"].tolist() == [410, 380]


def test_a_helix_file_of_eman_is_read(tmp_path):
    (tmp_path / "a.box").write_text(
        "#micrograph: a.mrc\n#segment length: 24\n#segment width: 24\n"
        "#helix: (10, 20),(40, 110),24\n10\t20\n25\t65\n40\t110\n"
    )
    (found,) = read_filaments(tmp_path / "a.box")
    assert found.micrograph == "a.mrc"
    assert found.filaments[0].points.tolist() == [[10, 20], [25, 65], [40, 110]]
    assert found.filaments[0].width == 24


def test_start_and_end_boxes_are_corners(tmp_path):
    (tmp_path / "a.box").write_text("0\t10\t20\t20\t-1\n100\t50\t20\t20\t-2\n")
    (found,) = read_filaments(tmp_path / "a.box")
    assert found.filaments[0].points.tolist() == [[10, 20], [110, 60]]


def test_a_start_without_an_end_is_an_error(tmp_path):
    (tmp_path / "a.box").write_text("0\t10\t20\t20\t-1\n")
    with pytest.raises(FormatError, match="no end"):
        read_filaments(tmp_path / "a.box")


def test_particles_are_not_read_as_filaments(tmp_path):
    (tmp_path / "a.box").write_text("0\t10\t20\t20\n")
    with pytest.raises(FormatError, match="line 1"):
        read_filaments(tmp_path / "a.box")
    (tmp_path / "a.csv").write_text("x,y,width,height\n1,2,3,4\n")
    with pytest.raises(FormatError, match="filament,x,y,width"):
        read_filaments(tmp_path / "a.csv")


def test_segments_in_any_order_follow_their_track_length(tmp_path):
    write_filaments(Filaments([FLAT], pixel_size=1.0), tmp_path / "a.star", spacing_px=50)
    lines = (tmp_path / "a.star").read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if line[:1].isdigit())
    rows = [line for line in lines[first:] if line]
    (tmp_path / "b.star").write_text("\n".join([*lines[:first], *rows[::2], *rows[1::2]]) + "\n")
    (shuffled,) = read_filaments(tmp_path / "b.star")
    assert (np.diff(shuffled.filaments[0].points[:, 0]) > 0).all()


def test_relion_needs_a_pixel_size(tmp_path):
    with pytest.raises(UsageError, match="pixel_size"):
        write_filaments(Filaments([FLAT]), tmp_path / "a.star", spacing_px=50)


def test_cryosparc_gets_minus_psi_as_pose_and_the_way_along_the_filament(tmp_path):
    write_filaments(TRUE, tmp_path / "mic.cs", spacing_angstrom=40)
    write_filaments(TRUE, tmp_path / "mic.star", spacing_angstrom=40)
    rows, columns = np.load(tmp_path / "mic.cs"), table_of(tmp_path / "mic.star", tmp_path)
    assert np.rad2deg(rows["filament/filament_pose"]) == pytest.approx(-columns["_rlnAnglePsiPrior"], abs=1e-3)
    assert rows["filament/position_A"] == pytest.approx(columns["_rlnHelicalTrackLengthAngst"], abs=1e-2)
    assert rows["location/center_x_frac"] * 640 == pytest.approx(columns["_rlnCoordinateX"], abs=1e-2)
