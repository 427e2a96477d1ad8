"""Picks of a made-up network; the labels say the truth about them, a part of it, or almost nothing."""

import numpy as np
import pytest

from vitripick.evaluation import evaluate
from vitripick.geometry import Boxes
from vitripick.training.threshold_tuning import _lowest_as_good, tune_threshold

N = 400


def validation(seed, share, *, true_confidence=(0.75, 0.1), false_confidence=(0.3, 0.12)):
    """Four hundred particles and as many false picks; a share of the particles is labelled."""
    rng = np.random.default_rng(seed)
    grid_y, grid_x = np.mgrid[:20, :40] * 30.0 + 20.0
    x, y = grid_x.ravel(), grid_y.ravel()
    is_particle = np.arange(2 * N) % 2 == 0
    confidence = np.where(is_particle, rng.normal(*true_confidence, 2 * N), rng.normal(*false_confidence, 2 * N))
    picks = Boxes.at(x, y, size_px=20, confidence=confidence.clip(0.05, 1))
    labelled = rng.permutation(np.nonzero(is_particle)[0])[: round(N * share)]
    labels = Boxes.at(x[labelled], y[labelled], size_px=20)
    return picks, labels, Boxes.at(x[is_particle], y[is_particle], size_px=20)


def judged(picks, labels, threshold=None):
    return evaluate(picks, labels, diameter_px=20, threshold=threshold, n_bootstrap=0, chance_level=False)


def outcome(seed, share, **changes):
    """F1 and recall among all particles at the threshold that the labels led to."""
    picks, labels, particles = validation(seed, share, **changes)
    threshold, _ = tune_threshold([judged(picks, labels)])
    score = judged(picks, particles, threshold).criteria["distance"].default
    return score.f1, score.recall


def test_with_complete_labels_it_is_as_good_as_the_best_f1():
    picks, _, particles = validation(0, 1.0)
    best = judged(picks, particles).criteria["distance"].best.f1
    f1, _ = outcome(0, 1.0)
    assert f1 > best - 0.01


@pytest.mark.parametrize(
    ("share", "least_f1", "least_recall"), [(0.5, 0.97, 0.95), (0.2, 0.97, 0.96), (0.05, 0.95, 0.95)]
)
def test_with_sparse_labels_it_stays_right(share, least_f1, least_recall):
    f1, recall = np.mean([outcome(seed, share) for seed in range(20)], axis=0)
    assert f1 > least_f1
    assert recall > least_recall


def test_the_best_f1_would_have_kept_next_to_nothing():
    """Why it is not used: the reason for this module, if it is ever simplified."""
    picks, labels, particles = validation(1, 0.05)
    tempting = judged(picks, labels).criteria["distance"].best.threshold
    assert judged(picks, particles, tempting).criteria["distance"].default.recall < 0.6


def test_a_network_that_takes_much_for_particles_does_not_drown_the_true_ones():
    overlapping = {"true_confidence": (0.5, 0.15), "false_confidence": (0.35, 0.15)}
    picks, _, particles = validation(0, 1.0, **overlapping)
    best = judged(picks, particles).criteria["distance"].best.f1
    f1, _ = outcome(0, 1.0, **overlapping)
    assert f1 > best - 0.03


def test_sets_count_alike_however_many_labels_they_have():
    low = validation(0, 0.2, true_confidence=(0.4, 0.05), false_confidence=(0.1, 0.05))
    high = validation(1, 1.0, true_confidence=(0.8, 0.05), false_confidence=(0.5, 0.05))
    threshold, _ = tune_threshold([judged(*low[:2]), judged(*high[:2])])
    assert threshold < 0.4


def test_what_one_label_more_or_less_decides_does_not_raise_the_threshold():
    merit = np.array([0.90, 0.97, 1.0, 0.5])
    few, many = np.array([20, 20, 19, 9]), np.array([2000, 2000, 1900, 900])
    assert _lowest_as_good(merit, few) == 0
    assert _lowest_as_good(merit, many) == 2


def test_three_labels_among_ten_picks_are_luck_and_no_reason_to_drop_all_others():
    """What happened on apoferritin with 15 validation labels: recall 0.03."""
    rng = np.random.default_rng(0)
    confidence = np.sort(rng.uniform(0.2, 0.3, 300))[::-1]
    labelled = np.concatenate([[2, 5, 8], np.arange(20, 300, 22)])
    picks = Boxes.at(np.arange(300) * 30.0, np.full(300, 9.0), size_px=20, confidence=confidence)
    threshold, _ = tune_threshold([judged(picks, picks.select(labelled).of())])
    assert (confidence >= threshold).mean() > 0.9


def test_between_what_is_surely_false_and_what_is_surely_true_the_middle_is_taken():
    """What no validation micrograph shows, a contaminant, is sure of itself to a degree between the two."""
    apart = {"true_confidence": (0.9, 0.02), "false_confidence": (0.1, 0.01)}
    for share in (1.0, 0.2):
        picks, labels, _ = validation(0, share, **apart)
        assert 0.4 < tune_threshold([judged(picks, labels)])[0] < 0.65


def test_where_nothing_is_found_there_is_a_threshold_all_the_same():
    picks, labels, _ = validation(0, 1.0)
    far = Boxes.at(labels.x + 15, labels.y + 15, size_px=20)
    assert tune_threshold([judged(picks, far)]) == (0.3, 0.0)
