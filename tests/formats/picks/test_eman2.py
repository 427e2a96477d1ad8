"""EMAN2's info files: centres, and everything else in the file left alone."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitripick.errors import FormatError
from vitripick.formats import read_picks, write_picks
from vitripick.geometry import Boxes

GOLDEN = """{
"boxes": [
  [10.5, 20.0, "manual"],
  [3.0, 700.25, "manual"]
]
}
"""


def test_a_written_file_is_this_text(tmp_path):
    write_picks(Boxes.at([10.5, 3], [20, 700.25]), tmp_path / "a_info.json")
    assert (tmp_path / "a_info.json").read_text() == GOLDEN


def test_centres_are_read_whatever_stands_behind_them(tmp_path):
    (tmp_path / "a_info.json").write_text('{"quality": 5, "boxes": [[10.5, 20, "auto", 0.3], [3, 700.25, "manual"]]}')
    boxes = read_picks(tmp_path / "a_info.json", box_size_px=64)
    assert boxes.x.tolist() == [10.5, 3]
    assert boxes.y.tolist() == [20, 700.25]
    assert boxes.height.tolist() == [64, 64]


def test_what_else_eman2_knows_of_the_micrograph_stays(tmp_path):
    path = tmp_path / "a_info.json"
    path.write_text('{"ctf": [1, 2.5], "boxes": [[1, 2, "manual"]], "quality": 7}')
    write_picks(Boxes.at([5], [6]), path)
    assert json.loads(path.read_text()) == {"ctf": [1, 2.5], "boxes": [[5, 6, "manual"]], "quality": 7}


def test_no_picks_are_an_empty_list(tmp_path):
    write_picks(Boxes.empty(), tmp_path / "a_info.json")
    assert json.loads((tmp_path / "a_info.json").read_text()) == {"boxes": []}
    assert len(read_picks(tmp_path / "a_info.json")) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "holds a list"),
        ("{", "not JSON"),
        ('{"ctf": 1}', "no list 'boxes'"),
        ('{"boxes": [[1, 2, "manual"], [3]]}', "box 2 should be"),
        ('{"boxes": [[1, "2"]]}', "y of box 1 should be a number, but it is '2'"),
        ('{"boxes": [[NaN, 2]]}', "NaN is not a number"),
    ],
)
def test_a_broken_file_is_refused(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(FormatError, match=message):
        read_picks(tmp_path / "a.json", format="eman2")


@given(st.lists(st.tuples(st.floats(-50, 9000), st.floats(-50, 9000)), max_size=5))
@settings(max_examples=30, deadline=None)
def test_centres_come_back(tmp_path_factory, rows):
    x, y = np.array(rows, dtype=float).reshape(-1, 2).T
    path = tmp_path_factory.mktemp("eman2") / "a_info.json"
    write_picks(Boxes.at(x, y), path)
    np.testing.assert_allclose(read_picks(path).centres, np.column_stack([x, y]), atol=1e-6, rtol=0)
