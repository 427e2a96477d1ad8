"""EMAN1 .box: corners, whole pixels, and the files of filaments that look alike."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitripick.errors import FormatError, UsageError
from vitripick.formats import read_picks, write_picks
from vitripick.geometry import Boxes


def test_corners_are_read_as_centres(tmp_path):
    (tmp_path / "a.box").write_text("80\t45\t40\t30\t-3\n-13 884  41 31\n\n")
    boxes = read_picks(tmp_path / "a.box")
    assert boxes.x.tolist() == [100, 7.5]
    assert boxes.y.tolist() == [60, 899.5]
    assert boxes.width.tolist() == [40, 41]
    assert boxes.height.tolist() == [30, 31]
    assert np.isnan(boxes.confidence).all()


@pytest.mark.parametrize(
    ("x", "size", "corner"),
    [
        (100, 40, 80),
        (100.4, 40, 80),
        (100.5, 40, 81),
        (101.5, 40, 82),  # halves always go up, so neighbours keep their distance
        (100, 41, 80),
        (100.5, 41, 80),
        (101, 41, 81),
        (-3.5, 41, -24),
        (100, 40.6, 80),  # the corner follows the size that is written, 41
    ],
)
def test_a_corner_is_rounded_once(tmp_path, x, size, corner):
    write_picks(Boxes.at([x], [500], size_px=size), tmp_path / "a.box")
    assert int((tmp_path / "a.box").read_text().split("\t")[0]) == corner


def test_a_written_file_is_this_text(tmp_path):
    picks = Boxes.at([100, 7], [60.5, 900], width=[40, 41], height=[30, 31], confidence=[0.9, 0.8])
    write_picks(picks, tmp_path / "a.box")
    assert (tmp_path / "a.box").read_text() == "80\t46\t40\t30\n-13\t885\t41\t31\n"
    write_picks(picks, tmp_path / "a.box", float_coordinates=True)
    assert (tmp_path / "a.box").read_text() == "80\t45.5\t40\t30\n-13.5\t884.5\t41\t31\n"


def test_an_empty_file_is_a_micrograph_without_particles(tmp_path):
    write_picks(Boxes.empty(), tmp_path / "a.box")
    assert (tmp_path / "a.box").read_bytes() == b""
    assert len(read_picks(tmp_path / "a.box")) == 0


def test_a_box_file_needs_a_size(tmp_path):
    with pytest.raises(UsageError, match="box_size_px="):
        write_picks(Boxes.at([10], [20]), tmp_path / "a.box")
    assert not (tmp_path / "a.box").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 64 64\n10 20 64 64 -1\n90 80 64 64 -2\n", "line 2: these are filaments .the fifth column"),
        (
            "#micrograph: a.mrc\n#segment length: 64\n#helix: (1, 2),(3, 4),64\n1 2\n",
            "line 1: these are filaments .a helix file",
        ),
        ("data_\n", "line 1: this is a STAR file"),
        ("1 2\n", "line 1: a .box line needs x, y, width and height, but this one has 2 values: '1 2'"),
        ("1 2 64 64\n1 b 64 64\n", "line 2: y should be a number, but it is 'b'"),
        ("1 2 0 64\n", "line 1: width should be above zero"),
    ],
)
def test_what_is_not_a_box_is_refused_with_its_line(tmp_path, text, message):
    (tmp_path / "a.box").write_text(text)
    with pytest.raises(FormatError, match=message):
        read_picks(tmp_path / "a.box")


BOX = st.tuples(st.floats(-50, 9000), st.floats(-50, 9000), st.integers(1, 600), st.integers(1, 600))


@given(st.lists(BOX, max_size=5), st.booleans())
@settings(max_examples=50, deadline=None)
def test_boxes_come_back_within_half_a_pixel(tmp_path_factory, rows, float_coordinates):
    x, y, width, height = np.array(rows, dtype=float).reshape(-1, 4).T
    path = tmp_path_factory.mktemp("box") / "a.box"
    write_picks(Boxes.at(x, y, width=width, height=height), path, float_coordinates=float_coordinates)
    back = read_picks(path)
    atol = 2e-6 if float_coordinates else 0.5 + 1e-9
    np.testing.assert_allclose(back.centres, np.column_stack([x, y]), atol=atol, rtol=0)
    np.testing.assert_array_equal(back.width, width)
    np.testing.assert_array_equal(back.height, height)
