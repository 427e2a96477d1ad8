import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitripick.geometry import Boxes, concatenate_boxes

coordinates = st.lists(st.floats(0, 5000), min_size=1, max_size=20)


def test_labels_have_no_confidence_and_no_threshold_drops_them():
    labels = Boxes.at([1, 2], [3, 4], size_px=10)
    assert not labels.has_confidence
    assert len(labels.above(0.9)) == 2


def test_a_threshold_keeps_picks_that_are_just_on_it():
    assert len(Boxes.at([1, 2], [3, 4], confidence=[0.3, 0.29]).above(0.3)) == 1


def test_binning_keeps_the_middle_of_pixels_not_their_corners():
    # The first four pixels of a row, binned by four, are one pixel whose middle was at 1.5.
    binned = Boxes.at([0.0], [0.0], size_px=2)
    full = binned.scaled(4)
    assert (full.x[0], full.y[0], full.width[0]) == (1.5, 1.5, 8)


@given(coordinates, st.sampled_from([0.25, 0.5, 2, 3, 4.5]))
def test_scaling_there_and_back_changes_nothing(x, factor):
    boxes = Boxes.at(x, x, size_px=7)
    back = boxes.scaled(factor).scaled(1 / factor)
    np.testing.assert_allclose(back.x, boxes.x, atol=1e-6)
    np.testing.assert_allclose(back.width, boxes.width)


@given(coordinates, st.integers(1, 6000))
def test_flipping_twice_changes_nothing(y, n_rows):
    boxes = Boxes.at(y, y)
    np.testing.assert_allclose(boxes.flipped(n_rows).flipped(n_rows).y, boxes.y, atol=1e-9)


def test_flipping_maps_the_first_row_to_the_last():
    assert Boxes.at([5], [0]).flipped(100).y[0] == 99


def test_box_size_is_unknown_until_somebody_says_it():
    star = Boxes.at([1], [2])
    assert not star.has_size
    assert np.isnan(star.box_size_px)
    assert star.with_size(12).box_size_px == 12


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="2 boxes"):
        Boxes.at([1.0, 2.0], [1.0, 2.0, 3.0])


def test_concatenating_keeps_every_box_and_the_first_ones_micrograph():
    both = concatenate_boxes([Boxes.at([1], [1], micrograph="a.mrc"), Boxes.at([2], [2])])
    assert list(both.x) == [1, 2]
    assert both.micrograph == "a.mrc"
