"""The door: which format a file is, which micrograph, thresholds, scale, direction of y, folders."""

import logging
import re
from pathlib import Path

import numpy as np
import pytest

from vitripick.errors import FormatError, InputError, UsageError
from vitripick.formats import FORMATS, read_all_picks, read_picks, write_joined_picks, write_picks
from vitripick.geometry import Boxes

# Asymmetric on purpose: 300 rows, 500 columns, boxes wider than high.
PICKS = Boxes.at(
    [40, 450.5],
    [30, 220],
    width=[24, 26],
    height=[12, 14],
    confidence=[0.75, 0.5],
    micrograph="a.mrc",
    shape=(300, 500),
)
EVERY_FORMAT = [(name, entry.suffixes[0]) for name, entry in FORMATS.items() if entry.read is not None]


@pytest.mark.parametrize(("name", "suffix"), EVERY_FORMAT)
@pytest.mark.parametrize("options", [{}, {"flip_y": True}, {"scale": 0.25}, {"flip_y": True, "scale": 0.5}])
def test_every_format_gives_back_what_it_holds(tmp_path, name, suffix, options):
    path = tmp_path / f"a{suffix}"
    exact = {"float_coordinates": True} if name == "box" else {}
    write_picks(PICKS, path, format=name, **exact, **options)
    back_options = {"flip_y": options.get("flip_y", False), "scale": 1 / options.get("scale", 1)}
    back = read_picks(path, format=name, shape=(300, 500), **back_options)
    np.testing.assert_allclose(back.centres, PICKS.centres, atol=1e-3, rtol=0)
    if FORMATS[name].holds_size:
        np.testing.assert_allclose(back.width, PICKS.width)
        np.testing.assert_allclose(back.height, PICKS.height)
    else:
        assert np.isnan(back.width).all()
    if FORMATS[name].holds_confidence:
        np.testing.assert_allclose(back.confidence, PICKS.confidence)
    else:
        assert np.isnan(back.confidence).all()


@pytest.mark.parametrize(("name", "suffix"), EVERY_FORMAT)
def test_the_format_of_a_file_is_found_without_being_named(tmp_path, name, suffix):
    write_picks(PICKS, tmp_path / f"a{suffix}", format=name)
    assert read_picks(tmp_path / f"a{suffix}").x[0] == pytest.approx(40)


@pytest.mark.parametrize(("name", "suffix"), EVERY_FORMAT)
def test_no_picks_survive_every_format(tmp_path, name, suffix):
    write_picks(Boxes.empty(micrograph="a.mrc", shape=(300, 500)), tmp_path / f"a{suffix}", format=name)
    assert len(read_picks(tmp_path / f"a{suffix}", format=name)) == 0


def test_y_counts_from_the_last_row_when_turned_round(tmp_path):
    write_picks(PICKS, tmp_path / "a.csv", flip_y=True)
    assert read_picks(tmp_path / "a.csv").y.tolist() == [269, 79]  # 299 - 30, 299 - 220


def test_turning_y_round_needs_the_number_of_rows(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with pytest.raises(UsageError, match=r"number of rows of .*Boxes.shape"):
        write_picks(Boxes.at([1], [2]), tmp_path / "b.star", flip_y=True)
    with pytest.raises(UsageError, match=r"number of rows of .*Boxes.shape"):
        read_picks(tmp_path / "a.csv", flip_y=True)


def test_a_threshold_leaves_out_weaker_picks_and_no_labels(tmp_path):
    boxes = Boxes.at([1, 2, 3], [4, 5, 6], confidence=[0.49, 0.5, np.nan])
    write_picks(boxes, tmp_path / "a.csv", threshold=0.5)
    assert read_picks(tmp_path / "a.csv").x.tolist() == [2, 3]


def test_a_box_size_for_writing_replaces_the_boxes_own(tmp_path):
    write_picks(PICKS, tmp_path / "a.box", box_size_px=50)
    assert (tmp_path / "a.box").read_text() == "15\t5\t50\t50\n426\t195\t50\t50\n"


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf")])
def test_a_scale_must_be_above_zero(tmp_path, scale):
    with pytest.raises(UsageError, match="scale should be a number above zero"):
        write_picks(PICKS, tmp_path / "a.csv", scale=scale)


def test_a_file_of_another_shape_than_the_micrograph_is_refused(tmp_path):
    write_picks(PICKS, tmp_path / "a.cs")
    with pytest.raises(FormatError, match="300 rows and 500 columns, but the micrograph has 600 and 1000"):
        read_picks(tmp_path / "a.cs", shape=(600, 1000))
    assert read_picks(tmp_path / "a.cs", shape=(600, 1000), scale=2).x[0] == pytest.approx(80.5)


@pytest.mark.parametrize(
    ("name", "text", "error", "message"),
    [
        ("none.star", None, InputError, "no such file"),
        ("a.doc", "x", FormatError, "known picks format"),
        ("log.txt", "hello\n", FormatError, "known picks format"),
        ("a.json", '{"a": 1}', FormatError, "known picks format"),
        ("a.box", b"\xff\xfe\x00", FormatError, "not a text file"),
    ],
)
def test_what_cannot_be_read_says_so(tmp_path, name, text, error, message):
    if text is not None:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(error, match=message):
        read_picks(tmp_path / name)


def test_a_suffix_or_a_name_must_say_the_format_to_write(tmp_path):
    with pytest.raises(UsageError, match=r"'\.doc' names no picks format"):
        write_picks(PICKS, tmp_path / "a.doc")
    with pytest.raises(UsageError, match="no picks format 'bbox'; the formats are star, cbox"):
        write_picks(PICKS, tmp_path / "a.star", format="bbox")


def test_a_file_of_one_micrograph_does_not_take_two(tmp_path):
    with pytest.raises(UsageError, match="cbox holds one micrograph"):
        write_joined_picks([PICKS, PICKS], tmp_path / "a.cbox")


@pytest.mark.parametrize("name", ["star", "cryosparc-star", "cs", "topaz"])
def test_joined_files_give_every_micrograph_back(tmp_path, name):
    parts = [PICKS, Boxes.at([9], [8], confidence=1, micrograph="b.mrc", shape=(20, 10))]
    path = tmp_path / f"p{FORMATS[name].suffixes[0]}"
    write_joined_picks(parts, path, format=name, threshold=0.6)
    a, b = read_all_picks(path)
    assert (a.x.tolist(), b.x.tolist()) == ([pytest.approx(40)], [pytest.approx(9)])
    assert (a.y.tolist(), b.y.tolist()) == ([pytest.approx(30)], [pytest.approx(8)])
    assert [boxes.micrograph.removesuffix(".mrc") for boxes in (a, b)] == ["a", "b"]


def test_a_single_file_without_a_name_is_nobodys_until_it_is_said(tmp_path):
    write_picks(PICKS, tmp_path / "a.box")
    assert read_picks(tmp_path / "a.box").micrograph is None
    assert read_picks(tmp_path / "a.box", micrograph="x/b.mrc").micrograph == "x/b.mrc"
    assert read_all_picks(tmp_path / "a.box")[0].micrograph == "a"


def test_a_folder_gives_every_picks_file_named_by_its_path(tmp_path):
    write_picks(PICKS, tmp_path / "g2" / "b_autopick.star")
    write_picks(PICKS, tmp_path / "g1" / "May08_04.32.27.csv")
    write_picks(PICKS, tmp_path / "info" / "c_DW_info.json")
    (tmp_path / "run.json").write_text('{"threshold": 1}')
    (tmp_path / "log.txt").write_text("done\n")
    (tmp_path / "job.star").write_text("data_job\n_rlnJobTypeLabel relion.autopick\n")
    (tmp_path / ".hidden.box").write_text("x")
    assert [boxes.micrograph for boxes in read_all_picks(tmp_path)] == [
        "g1/May08_04.32.27",
        "g2/b",
        "info/c_DW",
    ]


def test_a_run_folder_gives_its_stored_picks(tmp_path):
    for name in ("cbox/g/a.cbox", "star/g/a_autopick.star", "csv/g/a.csv"):
        write_picks(PICKS, tmp_path / name)
    (tmp_path / "run.json").write_text("{}")
    assert [boxes.micrograph for boxes in read_all_picks(tmp_path)] == ["g/a"]


def test_a_table_in_a_folder_that_holds_no_picks_is_passed_by(tmp_path):
    write_picks(PICKS, tmp_path / "a.csv")
    (tmp_path / "quality.csv").write_text("micrograph,n_picks\na.mrc,2\n")
    assert [boxes.micrograph for boxes in read_all_picks(tmp_path)] == ["a"]
    with pytest.raises(FormatError, match=r"quality\.csv: the first line should be"):
        read_all_picks(tmp_path / "quality.csv")


def test_a_folder_read_as_one_format_gives_only_its_files(tmp_path):
    write_picks(PICKS, tmp_path / "a.box")
    write_picks(PICKS, tmp_path / "a.cbox")
    assert len(read_all_picks(tmp_path, format="cbox")) == 1


def test_a_broken_file_in_a_folder_is_not_passed_by(tmp_path):
    (tmp_path / "a.box").write_text("1 2\n")
    with pytest.raises(FormatError, match=r"a\.box, line 1"):
        read_all_picks(tmp_path)


def test_a_folder_without_picks_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no picks files in this folder"):
        read_all_picks(tmp_path)


def test_nothing_is_left_behind_when_writing_fails(tmp_path):
    with pytest.raises(UsageError):
        write_picks(Boxes.at([1], [2]), tmp_path / "a.cbox")
    assert list(tmp_path.iterdir()) == []


def test_picks_inside_are_written_without_a_word(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "vitripick"):
        write_picks(PICKS, tmp_path / "a.star")
    assert caplog.text == ""


def test_every_format_has_a_line_in_the_table_of_its_page():
    page = Path("docs/formats.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([\w-]+)` \| `", page, flags=re.MULTILINE)) == set(FORMATS)
