"""RELION's STAR files: golden text both ways, the traps of the dialect, gemmi as an independent reader."""

import logging
from pathlib import Path

import gemmi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitripick.errors import FormatError, InputError, UsageError
from vitripick.formats import (
    read_all_picks,
    read_micrographs_star,
    read_picks,
    write_coordinate_files_star,
    write_joined_picks,
    write_picks,
)
from vitripick.formats.star.dialect import StarBlock, format_star, parse_star, quote, table_of
from vitripick.geometry import Boxes

PICKS = Boxes.at([10.5, 3], [20.25, 700], confidence=[0.9, 0.25], shape=(800, 600), micrograph="a.mrc")

GOLDEN = """
# version 30001

data_

loop_
_rlnCoordinateX #1
_rlnCoordinateY #2
_rlnAutopickFigureOfMerit #3
10.500000 20.250000 0.900000
3.000000 700.000000 0.250000

"""

RELION_30 = """
data_

loop_
_rlnCoordinateX #1
_rlnCoordinateY #2
_rlnClassNumber #3
_rlnAnglePsi #4
_rlnAutopickFigureOfMerit #5
  120.500000    30.000000            1   -999.00000     0.412000
   44.000000   511.250000            1   -999.00000   -999.00000

"""

RELION_31_JOINED = """
# version 30001

data_optics

loop_
_rlnOpticsGroupName #1
_rlnOpticsGroup #2
_rlnMicrographPixelSize #3
_rlnVoltage #4
_rlnSphericalAberration #5
_rlnAmplitudeContrast #6
_rlnImagePixelSize #7
opticsGroup1 1 1.100000 300.000000 2.700000 0.100000 4.400000
opticsGroup2 2 0.830000 300.000000 2.700000 0.100000 3.320000


# version 30001

data_particles

loop_
_rlnMicrographName #1
_rlnCoordinateX #2
_rlnCoordinateY #3
_rlnOpticsGroup #4
MotionCorr/job002/b.mrc 7.000000 90.000000 2
MotionCorr/job002/a.mrc 8.000000 91.000000 1
MotionCorr/job002/b.mrc 9.000000 92.000000 2

"""


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_written_file_is_this_text(tmp_path):
    write_picks(PICKS, tmp_path / "a.star")
    assert (tmp_path / "a.star").read_bytes().decode() == GOLDEN


def test_centres_are_read_as_they_stand(tmp_path):
    boxes = read_picks(written(tmp_path / "a.star", GOLDEN))
    assert boxes.x.tolist() == [10.5, 3]
    assert boxes.y.tolist() == [20.25, 700]
    assert boxes.confidence.tolist() == [0.9, 0.25]
    assert np.isnan(boxes.width).all()


def test_relion_30_files_are_read_and_minus_999_is_no_confidence(tmp_path):
    boxes = read_picks(written(tmp_path / "a.star", RELION_30), box_size_px=64)
    assert boxes.x.tolist() == [120.5, 44]
    assert boxes.y.tolist() == [30, 511.25]
    assert boxes.confidence[0] == 0.412
    assert np.isnan(boxes.confidence[1])
    assert boxes.width.tolist() == [64, 64]


def test_windows_line_ends_are_read(tmp_path):
    (tmp_path / "a.star").write_bytes(RELION_30.replace("\n", "\r\n").encode())
    assert read_picks(tmp_path / "a.star").x.tolist() == [120.5, 44]


def test_a_joined_file_gives_every_micrograph_with_the_pixel_size_of_its_optics_group(tmp_path):
    b, a = read_all_picks(written(tmp_path / "p.star", RELION_31_JOINED))
    assert (b.micrograph, a.micrograph) == ("MotionCorr/job002/b.mrc", "MotionCorr/job002/a.mrc")
    assert (b.x.tolist(), b.y.tolist()) == ([7, 9], [90, 92])
    assert (b.pixel_size, a.pixel_size) == (0.83, 1.1)


def test_one_micrograph_of_a_joined_file_is_picked_by_name(tmp_path):
    path = written(tmp_path / "p.star", RELION_31_JOINED)
    assert read_picks(path, micrograph="a.mrc").x.tolist() == [8]
    with pytest.raises(FormatError, match=r"2 micrographs.*b\.mrc"):
        read_picks(path)
    with pytest.raises(FormatError, match=r"is c\.mrc"):
        read_picks(path, micrograph="c.mrc")


def test_no_picks_give_all_labels_no_rows_and_a_final_newline(tmp_path):
    write_picks(Boxes.empty(), tmp_path / "a.star")
    assert (tmp_path / "a.star").read_text() == "\n".join(GOLDEN.split("\n")[:9]) + "\n\n"
    assert len(read_picks(tmp_path / "a.star")) == 0


def test_zero_bytes_mean_picked_and_nothing_found(tmp_path):
    assert len(read_picks(written(tmp_path / "a.star", ""))) == 0


def test_labels_get_minus_999_and_come_back_without_confidence(tmp_path):
    write_picks(Boxes.at([1], [2]), tmp_path / "a.star")
    assert "1.000000 2.000000 -999.000000\n" in (tmp_path / "a.star").read_text()
    assert np.isnan(read_picks(tmp_path / "a.star").confidence).all()


def test_a_centre_outside_the_micrograph_is_left_out_and_warned_about(tmp_path, caplog):
    picks = Boxes.at([-1, 5, 599.9999999, 599, 600], [5, -0.4, 5, 799, 5], shape=(800, 600))
    with caplog.at_level(logging.WARNING, "vitripick"):
        write_picks(picks, tmp_path / "a.star")
    assert read_picks(tmp_path / "a.star").x.tolist() == [599]
    assert "4 of 5" in caplog.text


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("_rlnCoordinateX #1\n_rlnCoordinateY #2\n1 2\n\n3 4\n", "line 8: a row after a blank line"),
        ("_rlnCoordinateX #1\n_rlnCoordinateY #2\n1 2\n# hello\n3 4\n", "line 7: a comment inside a loop"),
        ("_rlnCoordinateX #1\n_rlnCoordinateY #2\n1 2 3\n", "line 6: this row has 3 values"),
        ("_rlnCoordinateX #1\n_rlnCoordinateX #2\n1 2\n", "line 5: the label _rlnCoordinateX occurs twice"),
        (
            "_rlnCoordinateX #1\n_rlnCoordinateY #2\n1 two\n",
            "line 6: _rlnCoordinateY should be a number.*'two'",
        ),
        ("_rlnCoordinateX #1\n_rlnCoordinateY #2\n1 nan\n", "line 6: _rlnCoordinateY should be a number"),
        ("1 2\n", "line 4: loop_ must be followed by labels"),
        ("_rlnCoordinateX #1\n_rlnMicrographName #2\n1 a\n", "no table here has _rlnCoordinateX and"),
    ],
)
def test_what_relion_would_misread_is_an_error_that_says_where(tmp_path, lines, message):
    with pytest.raises(FormatError, match=message):
        read_picks(written(tmp_path / "a.star", "\ndata_\nloop_\n" + lines), format="star")


@pytest.mark.parametrize("label", ["_rlnCoordinateX", "_rlnCoordinateX #1", "_rlnCoordinateX # 1", "_rlnCoordinateX#1"])
def test_labels_are_read_with_and_without_their_number(tmp_path, label):
    text = f"data_\nloop_\n{label}\n_rlnCoordinateY #2\n1 2\n"
    assert read_picks(written(tmp_path / "a.star", text)).x.tolist() == [1]


def test_a_list_of_micrographs_is_not_mistaken_for_picks(tmp_path):
    path = written(tmp_path / "m.star", "data_micrographs\nloop_\n_rlnMicrographName #1\na.mrc\n")
    with pytest.raises(FormatError, match="lists micrographs"):
        read_picks(path, format="star")


def test_micrograph_names_are_read_verbatim(tmp_path):
    optics = "data_optics\nloop_\n_rlnOpticsGroup #1\n1\n\n"
    labels = "data_micrographs\nloop_\n_rlnMicrographName #1\n_rlnOpticsGroup #2\n"
    path = written(tmp_path / "m.star", optics + labels + '"Motion Corr/a.mrc" 1\n./b//c.mrc 1\n')
    assert read_micrographs_star(path) == ["Motion Corr/a.mrc", "./b//c.mrc"]
    old = written(tmp_path / "old.star", "data_\nloop_\n_rlnMicrographName #1\ndata_set/a.mrc\nb.mrc\n")
    assert read_micrographs_star(old) == ["data_set/a.mrc", "b.mrc"]


@pytest.mark.parametrize("text", ["", GOLDEN, "data_micrographs\nloop_\n_rlnMicrographName #1\n"])
def test_a_star_without_micrographs_is_refused_as_their_list(tmp_path, text):
    with pytest.raises(FormatError, match="list of micrographs"):
        read_micrographs_star(written(tmp_path / "m.star", text))


def test_autopick_star_is_this_text_with_names_verbatim(tmp_path):
    write_coordinate_files_star(
        [("MotionCorr/job002/x/a.mrc", "AutoPick/job006/x/a_autopick.star")], tmp_path / "autopick.star"
    )
    assert (tmp_path / "autopick.star").read_text() == (
        "\n# version 30001\n\ndata_coordinate_files\n\nloop_\n_rlnMicrographName "
        "#1\n_rlnMicrographCoordinates #2\n"
        "MotionCorr/job002/x/a.mrc AutoPick/job006/x/a_autopick.star\n\n"
    )


def relion_project(folder: Path) -> Path:
    job = folder / "AutoPick" / "job006"
    written(job / "x" / "a_autopick.star", GOLDEN)
    written(job / "x" / "b_autopick.star", "")
    rows = [(f"MotionCorr/job002/x/{n}.mrc", f"AutoPick/job006/x/{n}_autopick.star") for n in "ab"]
    write_coordinate_files_star(rows, job / "autopick.star")
    return job


def test_a_table_of_coordinate_files_is_followed_from_anywhere(tmp_path):
    a, b = read_all_picks(relion_project(tmp_path) / "autopick.star")
    assert (a.micrograph, len(a)) == ("MotionCorr/job002/x/a.mrc", 2)
    assert (b.micrograph, len(b)) == ("MotionCorr/job002/x/b.mrc", 0)


def test_a_relion_job_folder_gives_each_micrograph_once(tmp_path):
    job = relion_project(tmp_path)
    written(job / "job.star", "data_job\n_rlnJobTypeLabel relion.autopick\n")
    assert [boxes.micrograph for boxes in read_all_picks(job)] == [f"MotionCorr/job002/x/{n}.mrc" for n in "ab"]


def test_a_listed_file_that_is_missing_is_named_and_the_others_are_read(tmp_path, caplog):
    job = relion_project(tmp_path)
    (job / "x" / "b_autopick.star").unlink()
    assert [boxes.micrograph for boxes in read_all_picks(job / "autopick.star")] == ["MotionCorr/job002/x/a.mrc"]
    assert "1 of 2 coordinate files are not there" in caplog.text
    assert "job006/x/b_autopick.star for MotionCorr/job002/x/b.mrc" in caplog.text
    (job / "x" / "a_autopick.star").unlink()
    with pytest.raises(InputError, match=r"none of the 2 coordinate files .* first AutoPick/job006/x/a_autopick\.star"):
        read_all_picks(job / "autopick.star")


def test_the_cryosparc_star_names_micrographs_by_base_name(tmp_path):
    write_joined_picks(
        [PICKS.of(), Boxes.at([1], [2], confidence=1, micrograph="grid/b.mrc")],
        tmp_path / "p.star",
        format="cryosparc-star",
    )
    assert (tmp_path / "p.star").read_text() == (
        "\ndata_\n\nloop_\n_rlnMicrographName #1\n_rlnCoordinateX #2\n_rlnCoordinateY "
        "#3\n_rlnAutopickFigureOfMerit #4\n"
        "a.mrc 10.500000 20.250000 0.900000\na.mrc 3.000000 700.000000 0.250000\nb.mrc 1.000000 2.000000 "
        "1.000000\n\n"
    )


def test_two_micrographs_of_one_base_name_do_not_share_a_cryosparc_star(tmp_path):
    parts = [Boxes.at([1], [2], micrograph=f"{grid}/a.mrc") for grid in ("g1", "g2")]
    with pytest.raises(UsageError, match=r"g1/a\.mrc and g2/a\.mrc"):
        write_joined_picks(parts, tmp_path / "p.star", format="cryosparc-star")


def test_a_joined_star_keeps_names_verbatim(tmp_path):
    parts = [Boxes.at([1], [2], micrograph="g 1/a.mrc"), Boxes.at([3], [4], micrograph="g2/a.mrc")]
    write_joined_picks(parts, tmp_path / "p.star")
    assert [boxes.micrograph for boxes in read_all_picks(tmp_path / "p.star")] == ["g 1/a.mrc", "g2/a.mrc"]


@pytest.mark.parametrize("picks", [PICKS, Boxes.empty()])
def test_gemmi_reads_what_we_write(tmp_path, picks):
    write_picks(picks, tmp_path / "a.star")
    block = gemmi.cif.read(str(tmp_path / "a.star")).sole_block()
    assert [float(x) for x in block.find_values("_rlnCoordinateX")] == picks.x.tolist()
    assert [float(y) for y in block.find_values("_rlnCoordinateY")] == picks.y.tolist()


def test_gemmi_reads_names_with_blanks_as_we_quote_them(tmp_path):
    names = ["a b.mrc", "it's.mrc", "#1.mrc", "data_1", '"x".mrc', "_a", "plain.mrc"]
    write_coordinate_files_star([(name, "c.star") for name in names], tmp_path / "autopick.star")
    block = gemmi.cif.read(str(tmp_path / "autopick.star")).sole_block()
    assert [gemmi.cif.as_string(v) for v in block.find_values("_rlnMicrographName")] == names


def test_we_read_what_gemmi_writes(tmp_path):
    document = gemmi.cif.Document()
    loop = document.add_new_block("particles").init_loop("_rln", ["CoordinateX", "CoordinateY"])
    loop.add_row(["1.5", "2"])
    loop.add_row(["3", "4.5"])
    document.write_file(str(tmp_path / "a.star"))
    assert read_picks(tmp_path / "a.star").y.tolist() == [2, 4.5]


WORDS = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=12)


@given(st.lists(st.tuples(WORDS, WORDS), max_size=4))
@settings(max_examples=200, deadline=None)
def test_any_words_come_back_from_a_table(rows):
    rows = [row for row in rows if not any('"' in word and "'" in word for word in row)]
    table = table_of({"a": [row[0] for row in rows], "b": [row[1] for row in rows]})
    text = format_star([StarBlock("t", pairs={}, table=table), StarBlock("u", pairs={"c": "d e"})])
    first, second = parse_star(text.split("\n"), Path("t.star"))
    assert [tuple(row) for row in first.as_table().rows] == rows
    assert second.pairs == {"c": "d e"}


@pytest.mark.parametrize("word", ["a\nb", "a \"b' c"])
def test_what_star_cannot_hold_is_refused(word):
    with pytest.raises(UsageError, match="STAR file"):
        quote(word)


PLACES = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(1e-6, 1)), max_size=5)  # 0 means "not known"


@given(PLACES, st.sampled_from([(64, 64), (101, 333), (800, 37)]))
@settings(max_examples=50, deadline=None)
def test_picks_come_back(tmp_path_factory, places, shape):
    x, y, confidence = (
        (np.array(column, dtype=float) for column in zip(*places, strict=True)) if places else ([], [], [])
    )
    picks = Boxes.at(np.multiply(x, shape[1] - 1), np.multiply(y, shape[0] - 1), confidence=confidence, shape=shape)
    path = tmp_path_factory.mktemp("star") / "a.star"
    write_picks(picks, path)
    back = read_picks(path)
    np.testing.assert_allclose(back.centres, picks.centres, atol=1e-6)
    np.testing.assert_allclose(back.confidence, picks.confidence, atol=1e-6)
