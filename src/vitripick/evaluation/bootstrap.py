"""Estimate confidence intervals by drawing whole micrographs, because picks on one micrograph depend on each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vitripick.evaluation.metrics import Judged
from vitripick.geometry import FloatArray

Interval = tuple[float, float]

# For the intervals only, confidences are put into at most this many groups of equal count. AUC moves by less than
# 0.001 (tests/evaluation/test_bootstrap.py), and 1000 draws over 200 000 picks take a second instead of a minute.
_MAX_GROUPS = 1000


@dataclass(frozen=True)
class Intervals:
    """Holds 95 % intervals; None where there can be none (one micrograph, no labels, or no draws)."""

    f1: Interval | None
    auc: Interval | None


def bootstrap_intervals(
    judged: Judged,
    n_labels: npt.ArrayLike,
    *,
    threshold: float,
    n_draws: int = 1000,
    seed: int = 0,
) -> Intervals:
    """Return the 95 % intervals of F1 at `threshold` and of AUC, by bootstrap over micrographs.

    Each draw takes as many micrographs as the set has, with repetition. The interval runs from the 2.5th to the
    97.5th percentile of the draws that hold a label. With fewer than about ten micrographs such intervals are too
    narrow: the true uncertainty is larger.

    Parameters
    ----------
    judged
        All picks of the set.
    n_labels : (n_micrographs,)
        Labels that count on each micrograph, also on those without picks.
    threshold
        For F1: picks with at least this confidence are kept.
    n_draws
        0 for no intervals.
    seed
        Same seed, same intervals.
    """
    labels = np.asarray(n_labels, dtype=np.float64)
    n_micrographs = len(labels)
    if n_micrographs < 2 or n_draws < 1 or labels.sum() == 0:
        return Intervals(None, None)
    generator = np.random.default_rng(seed)
    # (n_draws, n_micrographs): how often each micrograph is in each draw.
    weights = generator.multinomial(n_micrographs, np.full(n_micrographs, 1 / n_micrographs), size=n_draws)
    weights = weights[weights @ labels > 0].astype(np.float64)
    drawn_labels = weights @ labels

    counted = judged.counted
    micrograph, is_true = judged.micrograph_index[counted], judged.is_true[counted]
    confidence = judged.confidence[counted]
    kept = confidence >= threshold
    n_true = weights @ np.bincount(micrograph[kept & is_true], minlength=n_micrographs)
    n_false = weights @ np.bincount(micrograph[kept & ~is_true], minlength=n_micrographs)
    f1 = 2 * n_true / (n_true + n_false + drawn_labels)

    group = confidence_groups(confidence)
    n_groups = int(group[-1]) + 1 if len(group) else 0
    cell = micrograph * n_groups + group
    n_cells = n_micrographs * n_groups
    trues = np.bincount(cell[is_true], minlength=n_cells).reshape(n_micrographs, n_groups)
    falses = np.bincount(cell[~is_true], minlength=n_cells).reshape(n_micrographs, n_groups)
    auc = _areas(weights @ trues, weights @ falses, drawn_labels)
    return Intervals(_interval(f1), _interval(auc))


def confidence_groups(confidence: FloatArray) -> npt.NDArray[np.intp]:
    """Return a group for each of the falling confidences: (n,), intp; equal ones together, at most `_MAX_GROUPS`."""
    if not len(confidence):
        return np.zeros(0, dtype=np.intp)
    tie = np.concatenate([[0], np.cumsum(np.diff(confidence) != 0)]).astype(np.intp)
    if tie[-1] < _MAX_GROUPS:
        return tie
    first_of_tie = np.searchsorted(tie, tie, side="left")
    coarse = first_of_tie * _MAX_GROUPS // len(confidence)
    return np.concatenate([[0], np.cumsum(np.diff(coarse) != 0)]).astype(np.intp)


def _areas(trues: npt.NDArray[Any], falses: npt.NDArray[Any], n_labels: FloatArray) -> FloatArray:
    """Return AUC by steps for each draw; `trues` and `falses` are (n_draws, n_groups), strongest group first."""
    all_true, all_false = np.cumsum(trues, axis=1), np.cumsum(falses, axis=1)
    kept = all_true + all_false
    precision = np.divide(all_true, kept, out=np.zeros_like(kept), where=kept > 0)
    areas: FloatArray = np.sum(trues * precision, axis=1) / n_labels
    return areas


def _interval(values: FloatArray) -> Interval:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
