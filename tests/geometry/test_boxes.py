import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitripick.geometry import Alignment, Boxes, concatenate_boxes

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


PICKS = Boxes.at([1, 2, 3], [4, 5, 6], size_px=80, confidence=[0.31, 0.98, 0.5], micrograph="a.mrc", pixel_size=2.0)


@pytest.mark.parametrize(
    ("which", "x"),
    [
        (PICKS.confidence > 0.4, [2, 3]),
        (slice(0, 2), [1, 2]),
        (np.array([2, 0, 2]), [3, 1, 3]),
        ([2, 0], [3, 1]),
        ([False, True, False], [2]),
        ([], []),
        (-1, [3]),
        (np.argmax(PICKS.confidence), [2]),
    ],
    ids=["mask", "slice", "indices", "list", "list of bool", "empty list", "index", "numpy index"],
)
def test_indexing_gives_the_boxes_it_names_with_their_micrograph(which, x):
    part = PICKS[which]
    assert list(part.x) == x
    assert list(part.y) == [value + 3 for value in x]
    assert (part.micrograph, part.pixel_size) == ("a.mrc", 2.0)
    assert list(PICKS.select(which).x) == x


@pytest.mark.parametrize("which", [3, -4, np.array([3]), np.array([True]), "x"])
def test_an_index_beyond_the_boxes_is_refused(which):
    with pytest.raises(IndexError):
        PICKS[which]


def test_a_loop_gives_every_box_as_one_index_does():
    assert [(len(box), box.x.item()) for box in PICKS] == [(1, 1.0), (1, 2.0), (1, 3.0)]
    assert list(Boxes.empty()) == []


def test_boxes_are_not_taken_for_one_array():
    with pytest.raises(TypeError, match=r"take \.centres"):
        np.asarray(PICKS)


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        (PICKS, "3 boxes of a.mrc, 80 px, confidence 0.31–0.98"),
        (PICKS[0], "1 box of a.mrc, 80 px, confidence 0.31"),
        (Boxes.empty(micrograph="a.mrc"), "0 boxes of a.mrc"),
        (Boxes.empty(), "0 boxes"),
        (Boxes.at([1, 2], [3, 4]), "2 boxes, size unknown, no confidence"),
        (Boxes.at([1, 2], [3, 4], size_px=[64, 96.25]), "2 boxes, 64–96.25 px, no confidence"),
        (Boxes.at([1, 2], [3, 4], width=64, height=80), "2 boxes, 64 x 80 px, no confidence"),
        (Boxes.at([1, 2], [3, 4], width=[64, 70], height=80), "2 boxes, 64–70 x 80 px, no confidence"),
        (
            Boxes.at([1, 2], [3, 4], size_px=[64, np.nan], confidence=[np.nan, 0.5]),
            "2 boxes, 64 px where known, confidence 0.50 where known",
        ),
    ],
)
def test_boxes_say_what_they_are_in_one_line(boxes, words):
    assert repr(boxes) == words


def aligned(shift, classes):
    alignment = Alignment(np.array(shift, float), np.array(classes), np.full(len(classes), np.nan))
    return dataclasses.replace(Boxes.at(np.arange(len(classes)) * 10.0, 5.0), alignment=alignment)


def test_shifts_and_classes_follow_the_boxes_that_are_chosen():
    chosen = aligned([[1, 0], [2, 0], [3, 0]], [7, 8, 9])[[2, 0]]
    assert chosen.alignment.class_number.tolist() == [9, 7]
    assert chosen.recentred(1.0).x.tolist() == [17.0, -1.0]


def test_joined_boxes_keep_their_shifts_beside_boxes_without_any():
    joined = concatenate_boxes([Boxes.at([100], [5]), aligned([[2, 1]], [4])])
    assert joined.recentred(1.0).centres.tolist() == [[100, 5], [-2, 4]]


def test_a_shift_is_applied_once():
    moved = aligned([[2, 1]], [4]).recentred(2.0)
    assert moved.recentred(2.0).centres.tolist() == moved.centres.tolist() == [[-1.0, 4.5]]


def test_shifting_and_flipping_can_change_places():
    boxes = aligned([[2, 1]], [4])
    assert boxes.flipped(50).recentred(1.0).y.tolist() == boxes.recentred(1.0).flipped(50).y.tolist() == [45.0]
