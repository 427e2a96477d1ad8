"""Our plain CSV: centres, columns by name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitripick.errors import FormatError
from vitripick.formats import read_picks, write_picks
from vitripick.geometry import Boxes


def test_a_written_file_is_this_text(tmp_path):
    picks = Boxes.at([10.5, 3], [20, 700.25], width=[40, np.nan], height=[30, np.nan], confidence=[0.5, np.nan])
    write_picks(picks, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "x,y,width,height,confidence\n10.5,20,40,30,0.5\n3,700.25,,,\n"


def test_labels_have_no_confidence_column(tmp_path):
    write_picks(Boxes.at([1], [2], width=3, height=4), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "x,y,width,height\n1,2,3,4\n"


def test_a_spreadsheets_file_is_read_by_column_name(tmp_path):
    # A byte-order mark, CRLF, blanks, quotes, columns in another order and one of the user's own.
    (tmp_path / "a.csv").write_bytes(
        b'\xef\xbb\xbfY, x,Height,width,note\r\n20,10.5,30,40,"ice, maybe"\r\n\r\n700,3,,,\r\n'
    )
    boxes = read_picks(tmp_path / "a.csv")
    assert boxes.x.tolist() == [10.5, 3]
    assert boxes.y.tolist() == [20, 700]
    np.testing.assert_array_equal(boxes.width, [40, np.nan])
    np.testing.assert_array_equal(boxes.height, [30, np.nan])
    assert np.isnan(boxes.confidence).all()


def test_sizes_that_are_missing_are_filled_in_and_others_stay(tmp_path):
    (tmp_path / "a.csv").write_text("x,y,width,height\n1,2,40,30\n3,4,,\n")
    boxes = read_picks(tmp_path / "a.csv", box_size_px=64)
    assert boxes.width.tolist() == [40, 64]
    assert boxes.height.tolist() == [30, 64]


def test_no_picks_are_a_header_alone(tmp_path):
    write_picks(Boxes.empty(), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "x,y,width,height\n"
    assert len(read_picks(tmp_path / "a.csv")) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty file"),
        ("1,2,3,4\n", "first line should be"),
        ("x;y\n1;2\n", "with commas, but here is 'x;y'"),
        ("x,y\n1,2\n3\n", "line 3: 1 values, but the header names 2"),
        ("x,y\n1,2\n3,b\n", "line 3: y should be a number, but it is 'b'"),
        ("x,y,width,height\n1,2,0,3\n", "line 2: width should be above zero, but it is 0"),
    ],
)
def test_a_broken_table_is_refused(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(FormatError, match=message):
        read_picks(tmp_path / "a.csv")


FLOATS = st.floats(-50, 9000)


@given(st.lists(st.tuples(FLOATS, FLOATS, st.floats(0.5, 999), st.floats(0.5, 999), st.floats(0, 1)), max_size=5))
@settings(max_examples=30, deadline=None)
def test_boxes_come_back(tmp_path_factory, rows):
    x, y, width, height, confidence = np.array(rows, dtype=float).reshape(-1, 5).T
    picks = Boxes.at(x, y, width=width, height=height, confidence=confidence)
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    write_picks(picks, path)
    back = read_picks(path)
    for name in ("x", "y", "width", "height", "confidence"):
        np.testing.assert_allclose(getattr(back, name), getattr(picks, name), atol=1e-6, rtol=0)


def test_the_size_the_network_saw_stands_beside_the_exported_one(tmp_path):
    picks = Boxes.at([1, 2], [3, 4], size_px=10, confidence=0.5, estimated_width=[8.5, 9], estimated_height=[8, 12])
    write_picks(picks, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().splitlines()[0] == (
        "x,y,width,height,confidence,estimated_width,estimated_height"
    )
    again = read_picks(tmp_path / "a.csv")
    assert again.estimated_width.tolist() == [8.5, 9]
    assert again.estimated_height.tolist() == [8, 12]
    assert again.width.tolist() == [10, 10]
