"""Tune the default threshold, so that it suits complete labels and sparse ones, without knowing which they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vitripick.evaluation import Evaluation
from vitripick.geometry import FloatArray

# Candidates; finer steps than these are within the scatter between one micrograph and the next.
GRID = np.arange(0.05, 0.96, 0.01)
# Thresholds whose merit differs from the best one only by chance, and by less than this share, count as equally good.
_PLATEAU = 0.005
# Keeping this share of what can be found is worth this much merit (docs/benchmarks/sparse_labels.md).
_KEEP_FOUND, _WORTH = 0.95, 0.4


def tune_threshold(evaluations: Sequence[Evaluation]) -> tuple[float, float]:
    """Return the threshold for these validation sets, and their mean F1 there (a lower bound where labels are sparse).

    The best F1 is not used. If only a share of the particles is labelled, true picks count as false, precision is too
    low by that share, and F1 is best at a threshold that keeps almost nothing. The merit here is precision times
    recall. The unknown share cancels in it (it is recall squared over the number of picks: Lee & Liu 2003), and with
    complete labels it is best at nearly the same place as F1.

    With few labels recall is a coarse figure, and the luckiest threshold, with three labels among ten picks, is far too
    strict. So merit is taken at the lower end of what chance allows, and two ends are sought: the lowest threshold
    whose merit is as good as the best one's within one standard deviation of the difference, and the highest that
    keeps 95 % of the labels that can be found at all. The middle of the two is as far from false picks as from missed
    ones. Where keeping that many labels takes a threshold below the first end, that one is taken if it costs no more
    than two fifths of the merit.

    Parameters
    ----------
    evaluations
        One for each set, over all picks down to the floor; sets count alike.
    """
    merits, found, scores = [], [], []
    for evaluation in evaluations:
        curve = evaluation.criteria["distance"].curve
        if not len(curve.threshold) or not curve.n_true[-1]:
            continue
        # The curve falls in threshold: the point for a grid threshold is the last one at or above it.
        last = np.searchsorted(-curve.threshold, -GRID, side="right") - 1
        at, any_pick = np.maximum(last, 0), last >= 0
        n_true, n_false = np.where(any_pick, curve.n_true[at], 0), np.where(any_pick, curve.n_false[at], 0)
        merit = np.maximum(n_true - np.sqrt(n_true), 0) ** 2 / np.maximum(n_true + n_false, 1)
        merits.append(merit / max(float(merit.max()), 1e-9))
        found.append(n_true)
        scores.append(np.where(any_pick, curve.f1[at], 0))
    if not merits:
        return 0.3, 0.0
    merit = np.mean(merits, axis=0)
    lowest = _lowest_as_good(merit, np.sum(found, axis=0))
    kept = np.mean([own / max(float(own[0]), 1.0) for own in found], axis=0)
    keeps = int(np.nonzero(kept >= _KEEP_FOUND)[0][-1])
    if keeps >= lowest:
        chosen = round((lowest + keeps) / 2)
    else:
        chosen = keeps if merit[keeps] >= (1 - _WORTH) * merit.max() else lowest
    return float(round(GRID[chosen], 3)), float(np.sum([own[chosen] for own in scores]) / len(evaluations))


def _lowest_as_good(merit: FloatArray, found: FloatArray) -> int:
    """Return the lowest candidate with a merit within one standard deviation of the best one's.

    Between two thresholds the number of picks is known exactly; what chance decides is which particles among them are
    labelled, and so whether one label more or less is found: where none of them is, it might well have been one.
    """
    best = int(np.argmax(merit))
    allowed = np.maximum(_PLATEAU, 2 * np.sqrt(np.abs(found - found[best]) + 1) / max(float(found[best]), 1.0))
    return int(np.nonzero(merit >= merit[best] * (1 - allowed))[0][0])
