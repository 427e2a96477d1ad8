"""CBOX 1.0: golden text both ways, the older variants, and what is refused."""

import gemmi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitripick.errors import FormatError, UsageError
from vitripick.formats import read_picks, write_picks
from vitripick.geometry import Boxes

# A box 40 wide and 30 high around (100, 60.5); one 41 wide and 31 high around (7, 900), unknown to the network.
PICKS = Boxes.at(
    [100, 7],
    [60.5, 900],
    width=[40, 41],
    height=[30, 31],
    confidence=[0.987654, np.nan],
    estimated_width=[38.25, np.nan],
    estimated_height=[28.5, np.nan],
)
GOLDEN = """
data_global

_cbox_format_version 1.0

data_cryolo

loop_
_CoordinateX #1
_CoordinateY #2
_CoordinateZ #3
_Width #4
_Height #5
_Depth #6
_EstWidth #7
_EstHeight #8
_Confidence #9
_NumBoxes #10
_Angle #11
80.000000 45.500000 <NA> 40.000000 30.000000 <NA> 38.250000 28.500000 0.987654 <NA> <NA>
-13.500000 884.500000 <NA> 41.000000 31.000000 <NA> <NA> <NA> <NA> <NA> <NA>

data_cryolo_include

loop_
_slice_index #1

"""
HEADERLESS = "80\t45.5\t40\t30\t0.5\t38.25\t28.5\n-13.5\t884.5\t41\t31\t0.25\t39\t29\n"


def test_a_written_file_is_this_text(tmp_path):
    write_picks(PICKS, tmp_path / "a.cbox")
    assert (tmp_path / "a.cbox").read_text() == GOLDEN


def test_corners_are_read_as_centres(tmp_path):
    (tmp_path / "a.cbox").write_text(GOLDEN)
    boxes = read_picks(tmp_path / "a.cbox")
    for name in ("x", "y", "width", "height", "confidence", "estimated_width", "estimated_height"):
        np.testing.assert_array_equal(getattr(boxes, name), getattr(PICKS, name), err_msg=name)


def test_the_oldest_files_have_no_header(tmp_path):
    (tmp_path / "a.cbox").write_text(HEADERLESS)
    boxes = read_picks(tmp_path / "a.cbox")
    assert (boxes.x.tolist(), boxes.y.tolist()) == ([100, 7], [60.5, 900])
    assert boxes.confidence.tolist() == [0.5, 0.25]
    assert (boxes.estimated_width[0], boxes.estimated_height[0]) == (38.25, 28.5)


def test_columns_are_found_by_name_and_may_be_missing(tmp_path):
    (tmp_path / "a.cbox").write_text(
        "data_cryolo\n\nloop_\n_Height #1\n_Width #2\n_CoordinateY #3\n_CoordinateX #4\n30 40 45.5 80\n"
    )
    boxes = read_picks(tmp_path / "a.cbox")
    assert (boxes.x[0], boxes.y[0], boxes.width[0], boxes.height[0]) == (100, 60.5, 40, 30)
    assert np.isnan(boxes.confidence[0])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "data_global\n\n_cbox_format_version "
        "1.0\n\ndata_cryolo\n\nloop_\n_CoordinateX\n_CoordinateY\n_Width\n_Height\n\n",
    ],
)
def test_empty_files_and_empty_loops_are_micrographs_without_particles(tmp_path, text):
    (tmp_path / "a.cbox").write_text(text)
    assert len(read_picks(tmp_path / "a.cbox")) == 0


def test_no_picks_come_back_as_none(tmp_path):
    write_picks(Boxes.empty(), tmp_path / "a.cbox")
    assert len(read_picks(tmp_path / "a.cbox")) == 0


def test_a_cbox_under_the_suffix_star_is_still_read_by_its_corners(tmp_path):
    (tmp_path / "a.star").write_text(GOLDEN)
    assert read_picks(tmp_path / "a.star").x.tolist() == [100, 7]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("45.500000 <NA>", "45.500000 17", "line 20: these are coordinates of a tomogram .column CoordinateZ"),
        ("_Angle #11", "_filamentid #11", None),
        ("data_cryolo\n", "data_picks\n", "blocks here are data_global, data_picks"),
        ("_Width #4", "_Breadth #4", "data_cryolo has no _Width"),
        ("40.000000 30", "0.000000 30", "line 20: _Width should be above zero"),
        ("40.000000 30", "<NA> 30", "line 20: _Width should be a number"),
        (
            "data_cryolo_include\n\nloop_\n_slice_index #1",
            "data_filament_vertices\n\nloop_\n_a #1\n1",
            "filaments",
        ),
    ],
)
def test_what_is_not_particles_in_a_micrograph_is_refused(tmp_path, old, new, message):
    text = GOLDEN.replace(old, new)
    assert text != GOLDEN
    if message is None:
        text = text.replace("0.987654 <NA> <NA>", "0.987654 <NA> 3")
        message = "line 20: these are filaments .column filamentid"
    (tmp_path / "a.cbox").write_text(text)
    with pytest.raises(FormatError, match=message):
        read_picks(tmp_path / "a.cbox")


def test_centres_alone_cannot_be_written_as_boxes(tmp_path):
    with pytest.raises(UsageError, match="box_size_px="):
        write_picks(Boxes.at([1], [2]), tmp_path / "a.cbox")
    write_picks(Boxes.at([1], [2]), tmp_path / "a.cbox", box_size_px=8)
    assert read_picks(tmp_path / "a.cbox").width.tolist() == [8]


def test_gemmi_finds_the_same_corners(tmp_path):
    write_picks(PICKS, tmp_path / "a.cbox")
    block = gemmi.cif.read(str(tmp_path / "a.cbox")).find_block("cryolo")
    assert [float(x) for x in block.find_values("_CoordinateX")] == [80, -13.5]


FLOATS = st.floats(-50, 9000)
BOX = st.tuples(FLOATS, FLOATS, st.floats(0.5, 999), st.floats(0.5, 999), st.floats(0, 1), st.floats(0.5, 999))


@given(st.lists(BOX, max_size=4))
@settings(max_examples=50, deadline=None)
def test_boxes_come_back(tmp_path_factory, rows):
    x, y, width, height, confidence, estimated = np.array(rows, dtype=float).reshape(-1, 6).T
    picks = Boxes.at(
        x,
        y,
        width=width,
        height=height,
        confidence=confidence,
        estimated_width=estimated,
        estimated_height=estimated / 2,
    )
    path = tmp_path_factory.mktemp("cbox") / "a.cbox"
    write_picks(picks, path)
    back = read_picks(path)
    for name in ("x", "y", "width", "height", "confidence", "estimated_width", "estimated_height"):
        np.testing.assert_allclose(getattr(back, name), getattr(picks, name), atol=2e-6, rtol=0)
