"""Intervals: when there are none, that they hold the figure, and that grouping confidences costs nothing."""

import numpy as np

from vitripick.evaluation.bootstrap import bootstrap_intervals, confidence_groups
from vitripick.evaluation.metrics import Judged, area_under_curve, join, precision_recall_curve


def micrograph(index, *, share_true, n=200, n_labels=150):
    generator = np.random.default_rng(index)
    confidence = np.sort(generator.random(n))[::-1]
    is_true = generator.random(n) < share_true * confidence
    return Judged(
        confidence=confidence.copy(),
        is_true=is_true,
        is_ignored=np.zeros(n, dtype=bool),
        iou=np.full(n, np.nan),
        centre_error_px=np.full(n, np.nan),
        micrograph_index=np.full(n, index, dtype=np.intp),
        n_labels=n_labels,
        n_labels_ignored=0,
    )


def f1_at(judged, threshold):
    kept = judged.confidence >= threshold
    return 2 * judged.is_true[kept].sum() / (kept.sum() + judged.n_labels)


def test_one_micrograph_has_no_interval():
    intervals = bootstrap_intervals(micrograph(0, share_true=0.9), [150], threshold=0.5)
    assert intervals.f1 is None
    assert intervals.auc is None


def test_no_labels_have_no_interval():
    judged = join([micrograph(i, share_true=0, n_labels=0) for i in range(3)])
    assert bootstrap_intervals(judged, [0, 0, 0], threshold=0.5).auc is None


def test_the_interval_holds_the_figure_of_the_set():
    judged = join([micrograph(i, share_true=0.3 + 0.07 * i) for i in range(10)])
    intervals = bootstrap_intervals(judged, [150] * 10, threshold=0.5)
    assert intervals.f1[0] < f1_at(judged, 0.5) < intervals.f1[1]
    assert intervals.auc[0] < area_under_curve(precision_recall_curve(judged)) < intervals.auc[1]


def test_equal_micrographs_have_an_interval_without_width():
    part = micrograph(0, share_true=0.9)
    twin = Judged(**{**vars(part), "micrograph_index": np.ones(len(part.confidence), dtype=np.intp)})
    judged = join([part, twin])
    low, high = bootstrap_intervals(judged, [150, 150], threshold=0.5).auc
    assert high - low < 1e-12


def test_the_same_seed_gives_the_same_interval():
    judged = join([micrograph(i, share_true=0.1 * i) for i in range(8)])
    first, again = (bootstrap_intervals(judged, [150] * 8, threshold=0.5, seed=3) for _ in range(2))
    assert first == again


def test_grouping_many_confidences_moves_the_area_by_less_than_a_thousandth():
    part = micrograph(0, share_true=0.9, n=50_000, n_labels=30_000)
    group = confidence_groups(part.confidence)
    coarse = Judged(**{**vars(part), "confidence": -group.astype(float)})
    exact = area_under_curve(precision_recall_curve(part))
    assert abs(area_under_curve(precision_recall_curve(coarse)) - exact) < 0.001


def test_equal_confidences_are_never_parted_by_grouping():
    confidence = np.repeat(np.linspace(1, 0, 4999), 3)
    group = confidence_groups(confidence)
    assert (group[0::3] == group[1::3]).all()
    assert (group[0::3] == group[2::3]).all()
