"""The measures on cases small enough to work out by hand."""

import numpy as np
import pytest

from vitripick.evaluation.metrics import (
    Curve,
    Judged,
    area_under_curve,
    calibration_error,
    count_duplicates,
    join,
    judge,
    plateau_middle,
    precision_recall_curve,
)
from vitripick.geometry import Boxes


def ranked(flags, *, n_labels, confidence=None, ignored=None):
    """Picks already judged: T or F in falling confidence."""
    n = len(flags)
    if confidence is None:
        confidence = np.linspace(0.9, 0.1, n)
    return Judged(
        confidence=np.asarray(confidence, dtype=float),
        is_true=np.array([flag == "T" for flag in flags]),
        is_ignored=np.zeros(n, dtype=bool) if ignored is None else np.array(ignored),
        iou=np.full(n, np.nan),
        centre_error_px=np.full(n, np.nan),
        micrograph_index=np.zeros(n, dtype=np.intp),
        n_labels=n_labels,
        n_labels_ignored=0,
    )


def judged_at(picks, labels, *, border_px=0, ignored=None, size_px=20.0, shape=(1000, 1000)):
    """Picks and labels as lists of (x, y), judged by distance d/4."""

    def boxes(places, **more):
        return Boxes.at([x for x, _ in places], [y for _, y in places], size_px=size_px, shape=shape, **more)

    confidence = np.linspace(0.9, 0.1, len(picks))
    return judge(
        boxes(picks, confidence=confidence),
        boxes(labels),
        criterion="distance",
        distance_px=size_px / 4,
        border_px=border_px,
        ignored=ignored,
    )


def test_the_area_is_one_when_every_true_pick_comes_first():
    assert area_under_curve(precision_recall_curve(ranked("TTF", n_labels=2))) == 1


def test_the_area_is_zero_when_every_pick_is_false():
    assert area_under_curve(precision_recall_curve(ranked("FFF", n_labels=2))) == 0


def test_the_area_by_hand():
    # Recall steps of 1/4 at precision 1, 2/3 and 3/5; the fourth label is never found.
    expected = (1 + 2 / 3 + 3 / 5) / 4
    area = area_under_curve(precision_recall_curve(ranked("TFTFT", n_labels=4)))
    assert area == pytest.approx(expected)


def test_equal_confidences_are_one_point():
    curve = precision_recall_curve(ranked("TFTF", n_labels=2, confidence=[0.9, 0.5, 0.5, 0.5]))
    assert curve.threshold.tolist() == [0.9, 0.5]
    assert curve.precision.tolist() == [1, 0.5]
    assert curve.recall.tolist() == [0.5, 1]


def test_ignored_picks_are_on_no_curve():
    curve = precision_recall_curve(ranked("TFT", n_labels=2, ignored=[False, True, False]))
    assert curve.precision.tolist() == [1, 1]


def test_there_is_no_area_without_labels():
    assert area_under_curve(precision_recall_curve(ranked("FF", n_labels=0))) is None


def test_no_picks_at_all_have_area_zero():
    assert area_under_curve(precision_recall_curve(ranked("", n_labels=3))) == 0


def test_calibration_error_by_hand():
    # Bin 0.9-1: mean 0.95, half true, gap 0.45. Bin 0.2-0.3: mean 0.25, none true, gap 0.25.
    judged = ranked("TFFF", n_labels=1, confidence=[0.95, 0.95, 0.25, 0.25])
    assert calibration_error(judged) == pytest.approx((0.45 + 0.25) / 2)


def test_over_and_under_confidence_cancel_within_a_bin_but_not_between_bins():
    within = ranked("TF", n_labels=1, confidence=[0.5, 0.5])
    between = ranked("FT", n_labels=1, confidence=[0.95, 0.05])
    assert calibration_error(within) == 0
    assert calibration_error(between) == pytest.approx(0.95)


def test_a_confidence_of_exactly_one_is_in_the_last_bin():
    # One bin: mean 0.975, half true. In a bin of its own, the two gaps would add up to more.
    judged = ranked("FT", n_labels=1, confidence=[1.0, 0.95])
    assert calibration_error(judged) == pytest.approx(0.475)


def test_three_picks_on_one_particle_are_three_pairs():
    picks = Boxes.at([0, 1, 2, 100], [0, 0, 0, 0])
    assert count_duplicates(picks, distance_px=2) == 3


def test_picks_further_apart_than_the_distance_are_no_duplicates():
    assert count_duplicates(Boxes.at([0, 10.01], [0, 0]), distance_px=10) == 0


def test_a_pick_and_its_label_on_the_border_are_both_ignored():
    judged = judged_at([(5, 500)], [(5, 500)], border_px=10)
    assert judged.is_ignored.tolist() == [True]
    assert (judged.n_labels, judged.n_labels_ignored) == (0, 1)


def test_an_unmatched_pick_on_the_border_is_not_false():
    judged = judged_at([(500, 995)], [(500, 500)], border_px=10)
    assert judged.is_ignored.tolist() == [True]


def test_a_pick_on_the_border_that_found_a_label_inside_is_true():
    judged = judged_at([(8, 500)], [(12, 500)], border_px=10)
    assert judged.is_true.tolist() == [True]
    assert judged.n_labels == 1


def test_a_pick_inside_that_found_a_label_on_the_border_is_ignored():
    judged = judged_at([(12, 500)], [(8, 500)], border_px=10)
    assert judged.is_ignored.tolist() == [True]
    assert judged.n_labels == 0


def test_a_label_on_the_border_without_a_pick_is_not_missed():
    judged = judged_at([(500, 500)], [(500, 500), (500, 3)], border_px=10)
    assert judged.n_labels == 1


@pytest.mark.parametrize(
    ("x", "y", "ignored"),
    [
        (9.4, 50, True),
        (9.6, 50, False),
        (189.6, 50, True),
        (189.4, 50, False),
        (100, 89.6, True),
        (100, 89.4, False),
    ],
)
def test_the_border_runs_along_the_outer_side_of_the_outermost_pixels(x, y, ignored):
    judged = judged_at([(x, y)], [], border_px=10, shape=(100, 200))
    assert judged.is_ignored.tolist() == [ignored]


def test_a_border_of_zero_ignores_nothing():
    judged = judged_at([(0, 0)], [(999, 999)], border_px=0)
    assert not judged.is_ignored.any()
    assert judged.n_labels == 1


def test_a_pick_in_an_ignored_box_is_neither_true_nor_false_and_one_beside_it_is_false():
    judged = judged_at([(500, 500), (521, 500)], [], ignored=Boxes.at([500], [500], size_px=40))
    assert judged.is_ignored.tolist() == [True, False]
    assert not judged.is_true.any()


def test_a_pick_in_an_ignored_box_that_found_a_label_is_true():
    judged = judged_at([(500, 500)], [(501, 500)], ignored=Boxes.at([500], [500], size_px=40))
    assert judged.is_true.tolist() == [True]
    assert judged.n_labels == 1


def test_without_a_shape_nothing_is_on_the_border():
    judged = judged_at([(0, 0)], [(0, 0)], border_px=10, shape=None)
    assert judged.is_true.tolist() == [True]


def test_a_pick_without_confidence_counts_as_certain():
    judged = judge(Boxes.at([5], [5], size_px=4), Boxes.at([5], [5], size_px=4), criterion="iou")
    assert judged.confidence.tolist() == [1]


def test_only_the_surest_pick_on_a_particle_is_true():
    judged = judged_at([(100, 100), (101, 100)], [(101, 100)], border_px=0)
    assert judged.is_true.tolist() == [True, False]
    assert judged.centre_error_px[0] == 1


def test_picks_of_a_set_are_ranked_together():
    parts = [
        ranked("TF", n_labels=1, confidence=[0.9, 0.2]),
        ranked("F", n_labels=2, confidence=[0.5]),
    ]
    joined = join(parts)
    assert joined.confidence.tolist() == [0.9, 0.5, 0.2]
    assert joined.n_labels == 3


def curve_of(f1s, thresholds):
    """A curve whose F1 is as asked: n labels = 1000, n true + n false = 1000."""
    n_true = np.asarray(f1s) * 1000
    return Curve(np.asarray(thresholds, dtype=float), n_true, 1000 - n_true, 1000)


def test_the_best_threshold_is_the_middle_of_the_flat_stretch():
    curve = curve_of([0.5, 0.9, 0.899, 0.898, 0.6, 0.5], [0.9, 0.7, 0.6, 0.5, 0.3, 0.1])
    # Kept picks are those of the flat stretch for any threshold in (0.3, 0.7].
    assert plateau_middle(curve) == pytest.approx(0.5)


def test_a_second_peak_beyond_a_dip_does_not_stretch_the_plateau():
    curve = curve_of([0.899, 0.5, 0.9, 0.5], [0.9, 0.8, 0.4, 0.2])
    assert plateau_middle(curve) == pytest.approx(0.3)


def test_the_best_threshold_keeps_the_picks_of_the_best_point_when_there_is_one_point():
    assert plateau_middle(curve_of([0.8], [0.35])) == 0.35


def test_there_is_no_best_threshold_when_no_pick_is_true():
    assert np.isnan(plateau_middle(curve_of([0, 0], [0.5, 0.3])))
