"""RELION's joined particles star, Warp's stars and cisTEM's text: read back by other people's readers."""

from pathlib import Path

import gemmi
import numpy as np
import pytest
import starfile

from vitripick.errors import FormatError, UsageError
from vitripick.formats import (
    MicrographFile,
    OpticsGroup,
    find_micrographs,
    read_all_picks,
    read_micrographs_star,
    write_joined_picks,
    write_particles_star,
    write_picks,
)
from vitripick.geometry import Boxes

ONE = Boxes.at([10.25, 400], [20, 3.5], confidence=[0.9, 0.5], micrograph="M/a.mrc", shape=(300, 500), pixel_size=1.1)
TWO = Boxes.at([7], [8], confidence=0.25, micrograph="M/b.mrc", shape=(300, 500), pixel_size=1.1)
NONE = Boxes.empty(micrograph="M/none.mrc", shape=(300, 500), pixel_size=1.1)
OPTICS = OpticsGroup(3, "grid3", 300.0, 2.7, 0.1, 1.1)


def test_starfile_reads_optics_and_particles(tmp_path):
    write_particles_star([ONE, NONE, TWO], tmp_path / "p.star", optics=[OPTICS] * 3)
    tables = starfile.read(tmp_path / "p.star")
    assert tables["optics"].iloc[0].to_dict() == {
        "rlnOpticsGroup": 3,
        "rlnOpticsGroupName": "grid3",
        "rlnVoltage": 300,
        "rlnSphericalAberration": 2.7,
        "rlnAmplitudeContrast": 0.1,
        "rlnMicrographPixelSize": 1.1,
    }
    particles = tables["particles"]
    assert particles["rlnMicrographName"].tolist() == ["M/a.mrc", "M/a.mrc", "M/b.mrc"]
    assert particles["rlnCoordinateX"].tolist() == [10.25, 400, 7]
    assert particles["rlnCoordinateY"].tolist() == [20, 3.5, 8]
    assert particles["rlnOpticsGroup"].tolist() == [3, 3, 3]


def test_gemmi_reads_the_same(tmp_path):
    write_particles_star([ONE, TWO], tmp_path / "p.star", optics=[OPTICS] * 2)
    document = gemmi.cif.read(str(tmp_path / "p.star"))
    assert [block.name for block in document] == ["optics", "particles"]
    assert [float(y) for y in document[1].find_values("_rlnCoordinateY")] == [20, 3.5, 8]


def test_we_read_it_back_with_its_pixel_size(tmp_path):
    write_joined_picks([ONE, TWO], tmp_path / "p.star", format="particles-star")
    back = read_all_picks(tmp_path / "p.star")
    assert [(boxes.micrograph, boxes.pixel_size, len(boxes)) for boxes in back] == [
        ("M/a.mrc", 1.1, 2),
        ("M/b.mrc", 1.1, 1),
    ]


def test_two_pixel_sizes_are_two_groups(tmp_path):
    write_particles_star([ONE, TWO.of(pixel_size=2.0)], tmp_path / "p.star")
    tables = starfile.read(tmp_path / "p.star")
    assert tables["optics"]["rlnMicrographPixelSize"].tolist() == [1.1, 2.0]
    assert tables["particles"]["rlnOpticsGroup"].tolist() == [1, 1, 2]


def test_groups_of_one_number_from_two_stars_are_kept_apart(tmp_path):
    other = OpticsGroup(3, "grid9", 200.0, 2.7, 0.1, 0.9)
    write_particles_star([ONE, TWO], tmp_path / "p.star", optics=[OPTICS, other])
    tables = starfile.read(tmp_path / "p.star")
    assert tables["optics"]["rlnVoltage"].tolist() == [300, 200]
    assert tables["particles"]["rlnOpticsGroup"].tolist() == [3, 3, 4]


def test_a_micrograph_without_picks_takes_no_column_from_the_others(tmp_path):
    write_particles_star([ONE, NONE], tmp_path / "p.star", optics=[OPTICS, None])
    assert starfile.read(tmp_path / "p.star")["optics"]["rlnVoltage"].tolist() == [300]
    write_particles_star([ONE, TWO], tmp_path / "p.star", optics=[OPTICS, None])
    optics = starfile.read(tmp_path / "p.star")["optics"]
    assert (len(optics), "rlnVoltage" in optics) == (2, False)


def test_groups_of_a_star_that_differ_in_number_and_name_alone_stay_apart(tmp_path):
    optics = [OpticsGroup(number, f"afis{number}", 300.0, 2.7, 0.1, 1.1) for number in (1, 2)]
    write_particles_star([ONE, TWO], tmp_path / "p.star", optics=optics)
    tables = starfile.read(tmp_path / "p.star")
    assert tables["optics"]["rlnOpticsGroupName"].tolist() == ["afis1", "afis2"]
    assert tables["particles"]["rlnOpticsGroup"].tolist() == [1, 1, 2]


def test_no_group_takes_a_number_that_another_one_of_its_star_has(tmp_path):
    of_two_stars = [OpticsGroup(1, "a"), OpticsGroup(1, "b"), OpticsGroup(2, "c")]
    write_particles_star([ONE, TWO, NONE.renamed("M/c.mrc")], tmp_path / "p.star", optics=of_two_stars)
    optics = starfile.read(tmp_path / "p.star")["optics"]
    assert dict(zip(optics["rlnOpticsGroupName"], optics["rlnOpticsGroup"], strict=True)) == {"a": 1, "c": 2, "b": 3}


def test_no_picks_at_all_are_a_table_without_rows(tmp_path):
    write_particles_star([NONE], tmp_path / "p.star", optics=[OPTICS])
    assert starfile.read(tmp_path / "p.star")["particles"].shape == (0, 5)


def test_a_centre_outside_is_never_written(tmp_path):
    stray = Boxes.at([-1, 499.9999999, 5], [5, 5, 300], micrograph="M/a.mrc", shape=(300, 500))
    write_particles_star([stray], tmp_path / "p.star")
    assert len(starfile.read(tmp_path / "p.star")["particles"]) == 0


def test_the_optics_of_a_micrographs_star_come_with_its_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("m.star").write_text(
        "data_optics\n\nloop_\n_rlnOpticsGroupName #1\n_rlnOpticsGroup #2\n_rlnMicrographPixelSize #3\n_rlnVoltage #4\n"
        "g1 1 0.885 300\ng2 2 0 200\n\n\ndata_micrographs\n\nloop_\n_rlnMicrographName #1\n_rlnOpticsGroup #2\n"
        "M/a.mrc 1\nM/b.mrc 2\n"
    )
    Path("M").mkdir()
    Path("M/a.mrc").touch()
    assert read_micrographs_star("m.star") == ["M/a.mrc", "M/b.mrc"]
    assert find_micrographs(["m.star"]) == [
        MicrographFile("M/a.mrc", Path("M/a.mrc"), True, OpticsGroup(1, "g1", voltage_kv=300, pixel_size=0.885)),
        # A pixel size of 0 is none.
        MicrographFile("M/b.mrc", Path("M/b.mrc"), True, OpticsGroup(2, "g2", voltage_kv=200)),
    ]


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "1e300"])
def test_an_optics_group_whose_number_cannot_be_is_refused(tmp_path, number):
    (tmp_path / "m.star").write_text(
        f"data_optics\n\nloop_\n_rlnOpticsGroupName #1\n_rlnOpticsGroup #2\ng1 {number}\n\n\n"
        f"data_micrographs\n\nloop_\n_rlnMicrographName #1\n_rlnOpticsGroup #2\nM/a.mrc {number}\n"
    )
    with pytest.raises(FormatError, match=r"line 6: _rlnOpticsGroup should be a whole number from 1"):
        find_micrographs([tmp_path / "m.star"])


def test_warp_gets_base_names_that_end_in_mrc(tmp_path):
    write_picks(ONE.renamed("frames/a.tif"), tmp_path / "a.star", format="warp")
    table = starfile.read(tmp_path / "a.star")
    assert table["rlnMicrographName"].tolist() == ["a.mrc", "a.mrc"]
    assert table["rlnCoordinateX"].tolist() == [10.25, 400]


def test_cistem_gets_angstroms(tmp_path):
    write_joined_picks([ONE, NONE, TWO], tmp_path / "p.txt", format="cistem")
    assert (tmp_path / "p.txt").read_text() == (
        "# image x_angstrom y_angstrom\nM/a.mrc 11.275 22\nM/a.mrc 440 3.85\nM/b.mrc 7.7 8.8\n"
    )


@pytest.mark.parametrize(
    ("boxes", "says"),
    [
        (Boxes.at([1], [2], micrograph="a.mrc"), "pixel size of a.mrc is not known"),
        (Boxes.at([1], [2], micrograph="a b.mrc", pixel_size=1.0), "blank"),
    ],
)
def test_what_cistem_cannot_hold_is_refused(tmp_path, boxes, says):
    with pytest.raises(UsageError, match=says):
        write_joined_picks([boxes], tmp_path / "p.txt", format="cistem")


def test_a_cs_file_is_read_by_plain_numpy_without_pickling(tmp_path):
    write_joined_picks([ONE, TWO], tmp_path / "p.cs")
    table = np.load(tmp_path / "p.cs", allow_pickle=False)
    assert table["location/micrograph_path"].tolist() == [b"M/a.mrc", b"M/a.mrc", b"M/b.mrc"]
    np.testing.assert_allclose(table["location/center_x_frac"] * 500, [10.25, 400, 7], rtol=1e-6)
