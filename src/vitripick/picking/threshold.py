"""Which threshold suits a data set, from the confidences of its picks alone: no label is needed.

A confidence is a probability. So the sum of the confidences above a threshold is the number of true picks to be
expected there, and the sum of all is the number of particles that the network sees. From the two follow precision,
recall and F1 at each threshold, as far as the model is calibrated; the threshold with the best F1 is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vitripick.geometry import Boxes, FloatArray
from vitripick.models import ModelCard
from vitripick.settings import Settings

# With fewer particles than this to be expected, luck would choose.
_FEW = 30.0
_GRID = np.round(np.arange(0.06, 0.951, 0.01), 2)


class ThresholdChoice(Settings):
    """The threshold that a survey chose.

    Attributes
    ----------
    threshold
        Picks at or above it are exported.
    chosen_by
        `scores`, or `model` where these say too little: then it is the model's own.
    models_own
        The model's own.
    n_picks
        At or above the threshold, on the micrographs looked at.
    expected_precision
        Share of those that should be particles; None where there are none.
    expected_recall
        Share of the particles among all stored picks that should be among those.
    micrographs
        Which were looked at.
    """

    threshold: float
    chosen_by: Literal["scores", "model"]
    models_own: float
    n_picks: int
    expected_precision: float | None = None
    expected_recall: float | None = None
    micrographs: tuple[str, ...] = ()

    def in_words(self) -> list[str]:
        """Lines for people."""
        n = len(self.micrographs)
        where = "1 micrograph" if n == 1 else f"{n} micrographs"
        if not n:
            return [f"threshold {self.threshold:g}, the model's own: no micrograph could be looked at beforehand"]
        line = f"threshold {self.threshold:g}, the model's own: the picks on {where} are too few to choose another"
        if self.chosen_by == "scores":
            line = f"threshold {self.threshold:g}, chosen from the scores on {where} (the model's own: "
            line += f"{self.models_own:g})"
        if self.expected_precision is None or self.expected_recall is None:
            return [line]
        return [
            f"{line}; to be expected: {self.expected_precision:.0%} of the picks are particles, and "
            f"{self.expected_recall:.0%} of the particles that the network sees are picked"
        ]


@dataclass(frozen=True, eq=False)
class _Expected:
    """What a threshold should give, on a grid of thresholds."""

    n: FloatArray
    n_true: FloatArray
    n_particles: float

    @property
    def f1(self) -> FloatArray:
        return np.divide(2 * self.n_true, self.n + self.n_particles, out=np.zeros_like(self.n), where=self.n > 0)


def choose_threshold(found: Sequence[Boxes], card: ModelCard) -> ThresholdChoice:
    """The threshold with the best F1 to be expected.

    Parameters
    ----------
    found
        All stored picks of each micrograph that was looked at.
    card
        Of the model.
    """
    confidence = np.concatenate([picks.confidence for picks in found] or [np.empty(0)])
    threshold, chosen_by = card.threshold, "model"
    if confidence.sum() >= _FEW:
        expected = _expected(confidence, _GRID)
        good = _GRID[expected.f1 >= 0.995 * expected.f1.max()]
        # The middle of the plateau: its highest point is luck.
        threshold, chosen_by = float(np.round((good[0] + good[-1]) / 2, 2)), "scores"
    at = _expected(confidence, np.array([threshold]))
    n, n_true = int(at.n[0]), float(at.n_true[0])
    return ThresholdChoice(
        threshold=threshold,
        chosen_by=chosen_by,  # type: ignore[arg-type]
        models_own=card.threshold,
        n_picks=n,
        expected_precision=round(n_true / n, 3) if n else None,
        expected_recall=round(n_true / at.n_particles, 3) if n else None,
        micrographs=tuple(str(picks.micrograph) for picks in found),
    )


def _expected(confidence: FloatArray, thresholds: FloatArray) -> _Expected:
    above = confidence[None] >= thresholds[:, None]
    return _Expected(above.sum(1).astype(np.float64), (above * confidence).sum(1), float(confidence.sum()))
