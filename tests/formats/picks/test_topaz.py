"""Topaz's tables: tab-separated centres, in pixels of the downscaled image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitripick.errors import FormatError, UsageError
from vitripick.formats import read_all_picks, read_picks, write_joined_picks, write_picks
from vitripick.geometry import Boxes

TEXT = "image_name\tx_coord\ty_coord\tscore\nb\t10\t200\t1.5\na b\t3.5\t4\t-2\nb\t11\t201\t\n"


def test_every_micrograph_of_a_table_is_read(tmp_path):
    (tmp_path / "p.txt").write_text(TEXT)
    b, a = read_all_picks(tmp_path / "p.txt")
    assert (b.micrograph, b.x.tolist(), b.y.tolist()) == ("b", [10, 11], [200, 201])
    assert (a.micrograph, a.x.tolist(), a.y.tolist()) == ("a b", [3.5], [4])
    np.testing.assert_array_equal(b.confidence, [1.5, np.nan])


def test_columns_are_found_by_name_under_any_shared_suffix(tmp_path):
    (tmp_path / "p.csv").write_text("image_name\ty_coord\tx_coord\nb\t200\t10\n")
    boxes = read_picks(tmp_path / "p.csv", box_size_px=30)
    assert (boxes.x[0], boxes.y[0], boxes.width[0]) == (10, 200, 30)
    assert np.isnan(boxes.confidence[0])


def test_coordinates_of_a_downscaled_image_are_scaled_about_the_middle_of_its_pixels(tmp_path):
    (tmp_path / "p.txt").write_text(TEXT)
    b, _ = read_all_picks(tmp_path / "p.txt", scale=4)
    # Pixel 10 of the small image covers 40..43 of the full one: its middle is 41.5.
    assert (b.x[0], b.y[0]) == (41.5, 801.5)


def test_a_written_file_is_this_text(tmp_path):
    parts = [
        Boxes.at([10, 11], [200, 201.25], confidence=[0.5, np.nan], micrograph="grid/b.x.mrc"),
        Boxes.empty(micrograph="none.mrc"),
        Boxes.at([3], [4], confidence=1, micrograph="a.tif"),
    ]
    write_joined_picks(parts, tmp_path / "p.txt")
    assert (tmp_path / "p.txt").read_text() == (
        "image_name\tx_coord\ty_coord\tscore\nb.x\t10\t200\t0.5\nb.x\t11\t201.25\t\na\t3\t4\t1\n"
    )


def test_labels_have_no_score_column(tmp_path):
    write_picks(Boxes.at([1], [2], micrograph="a"), tmp_path / "p.txt")
    assert (tmp_path / "p.txt").read_text() == "image_name\tx_coord\ty_coord\na\t1\t2\n"


def test_two_micrographs_of_one_base_name_do_not_share_a_table(tmp_path):
    parts = [Boxes.at([1], [2], micrograph=f"{grid}/a.mrc") for grid in ("g1", "g2")]
    with pytest.raises(UsageError, match=r"g1/a\.mrc and g2/a\.mrc"):
        write_joined_picks(parts, tmp_path / "p.txt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty file"),
        ("x\ty\n1\t2\n", "starts with the tab-separated names"),
        ("image_name\tx_coord\ty_coord\na\t1\n", "line 2: 2 values, but the header names 3"),
        ("image_name\tx_coord\ty_coord\na\t1\tb\n", "line 2: y_coord should be a number"),
    ],
)
def test_a_broken_table_is_refused(tmp_path, text, message):
    (tmp_path / "p.txt").write_text(text)
    with pytest.raises(FormatError, match=message):
        read_picks(tmp_path / "p.txt", format="topaz")


@given(st.lists(st.tuples(st.floats(0, 9000), st.floats(0, 9000), st.floats(0, 1)), min_size=1, max_size=5))
@settings(max_examples=30, deadline=None)
def test_picks_of_a_downscaled_image_come_back(tmp_path_factory, rows):
    x, y, confidence = np.array(rows, dtype=float).T
    picks = Boxes.at(x, y, confidence=confidence, micrograph="a.mrc")
    path = tmp_path_factory.mktemp("topaz") / "p.txt"
    write_picks(picks, path, scale=1 / 8)
    back = read_picks(path, scale=8)
    np.testing.assert_allclose(back.centres, picks.centres, atol=1e-5, rtol=0)
    np.testing.assert_allclose(back.confidence, confidence, atol=1e-6)
