"""Choose the threshold that suits a data set from the confidences of its picks, without labels.

Two estimates say how likely a pick is a particle. A confidence is a probability, as far as the model is calibrated. In
this data set, though, the model may be surer or less sure than elsewhere. The logits of all confidences often fall into
two groups, particles and the rest. A pick's probability to belong to the upper group is the second estimate. The mean
of both, summed over the picks above a threshold, is the number of true picks that can be expected there. Precision,
recall and F1 at each threshold follow from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vitripick.geometry import Boxes, FloatArray
from vitripick.models import ModelCard
from vitripick.settings import Settings
from vitripick.settings.pick import Aim
from vitripick.text import count

# If fewer particles than this are expected, the chosen threshold would be random.
_FEW = 30.0
# This share of the particles is among the stored picks: 63 to 99 % on real sets that the model had not seen.
_SEEN = 0.8
# Thresholds with at least this share of the best expected F1 count as equally good; the middle of them is taken.
_AS_GOOD = 0.98
# F-beta: a missed particle counts this many times what a false pick does, squared (van Rijsbergen 1979).
_BETA = {"recall": 2.0, "balanced": 1.0, "precision": 0.5}
# A few picks must not make a narrow group, so each spread is pulled towards this value with the weight of some picks.
_SPREAD, _PSEUDO_PICKS = 0.7, 20.0
_ROUNDS = 100
_GRID = np.round(np.arange(0.06, 0.951, 0.01), 2)


class ThresholdChoice(Settings):
    """Holds the threshold that a survey chose.

    Attributes
    ----------
    threshold
        Picks at or above it are exported.
    chosen_by
        `scores`, or `model` if the scores say too little; then it is the model's own.
    models_own
        The model's own threshold.
    n_picks
        Number of picks at or above the threshold, on the micrographs that were looked at.
    expected_precision
        Expected share of particles among these picks; None if there are no picks.
    expected_recall
        Expected share, among these picks, of the particles that are among all stored picks.
    aim
        What it was chosen for.
    micrographs
        Names of the micrographs that were looked at.
    """

    threshold: float
    chosen_by: Literal["scores", "model"]
    models_own: float
    n_picks: int
    expected_precision: float | None = None
    expected_recall: float | None = None
    aim: Aim = "balanced"
    micrographs: tuple[str, ...] = ()

    def summary_lines(self, *, earlier: str = "") -> list[str]:
        """Return lines for people.

        Parameters
        ----------
        earlier
            Words that say where an earlier call chose it; empty if it was chosen just now.
        """
        n = len(self.micrographs)
        if not n:
            return [f"threshold {self.threshold:g}, the model's own: no micrograph could be looked at beforehand"]
        where = earlier or f"on {count('micrograph', n)}"
        if self.chosen_by == "scores":
            line = f"threshold {self.threshold:g}, chosen {self._purpose()}{where}"
            line += f" (the model's own: {self.models_own:g})" if self.models_own != self.threshold else ""
        else:
            line = f"threshold {self.threshold:g}, the model's own: the picks {where} are too few or too unsure to "
            line += "choose another"
        if isinstance(self.aim, float) and self.expected_precision is not None and self.expected_precision < self.aim:
            line += f"; no threshold is expected to make {_of_hundred(self.aim)} of 100 picks particles"
        return [line, *self.expected_lines()]

    def _purpose(self) -> str:
        if self.aim == "balanced":
            return "by itself "
        return f"for {self.aim} " if isinstance(self.aim, str) else f"for a precision of {self.aim:g} "

    def expected_lines(self) -> list[str]:
        """Return a line with the expected precision and recall at this threshold, if they are known."""
        if self.expected_precision is None or self.expected_recall is None:
            return []
        return [
            f"of 100 picks about {_of_hundred(self.expected_precision)} are expected to be particles; of 100 particles "
            f"that the network sees, about {_of_hundred(self.expected_recall)} are picked"
        ]


def _of_hundred(share: float) -> int:
    # Rounding must not make "nearly all" out of all, and a damaged file may hold any number.
    return round(100 * min(max(share, 0.0), 1.0))


@dataclass(frozen=True, eq=False)
class _Expected:
    """Holds the expected result of each threshold of a grid."""

    n: FloatArray
    n_true: FloatArray
    n_particles: float

    def f_beta(self, beta: float) -> FloatArray:
        """Return F-beta (F1 for 1) against all particles, including those that no stored pick covers."""
        squared = beta**2
        return np.asarray((1 + squared) * self.n_true / (self.n + squared * self.n_particles / _SEEN))

    @property
    def precision(self) -> FloatArray:
        """Return the share of particles among the picks; 0 where there are none."""
        return np.asarray(self.n_true / np.maximum(self.n, 1))


def choose_threshold(found: Sequence[Boxes], card: ModelCard, *, aim: Aim = "balanced") -> ThresholdChoice:
    """Return the threshold that serves the aim best, by the expected result of each threshold.

    Balanced is the best F1; for recall a missed particle counts more than a false pick, for precision less. A number is
    the precision to reach: the lowest threshold that is expected to, or else the most precise one.

    Parameters
    ----------
    found
        All stored picks of each micrograph that was looked at.
    card
        The model's card.
    aim
        What to choose it for.
    """
    confidence = np.concatenate([picks.confidence for picks in found] or [np.empty(0)])
    threshold, chosen_by = card.threshold, "model"
    probability = confidence
    if confidence.sum() >= _FEW:
        groups = _two_groups(_logit(confidence))
        # On empty micrographs even the upper group is more likely false than true. Then the model's own threshold is
        # kept.
        if groups.means[1] > 0:
            probability = _rising(confidence, (confidence + groups.probability) / 2)
            threshold, chosen_by = _best(_expected(confidence, probability, _GRID), aim), "scores"
    at = _expected(confidence, probability, np.array([threshold]))
    n, n_true = int(at.n[0]), float(at.n_true[0])
    return ThresholdChoice(
        threshold=threshold,
        chosen_by=chosen_by,  # type: ignore[arg-type]
        models_own=card.threshold,
        n_picks=n,
        expected_precision=round(n_true / n, 3) if n else None,
        expected_recall=round(n_true / at.n_particles, 3) if n else None,
        aim=aim,
        micrographs=tuple(str(picks.micrograph) for picks in found),
    )


def _best(expected: _Expected, aim: Aim) -> float:
    """Return the threshold of the grid that serves the aim best."""
    if isinstance(aim, str):
        score = expected.f_beta(_BETA[aim])
        good = _GRID[score >= _AS_GOOD * score.max()]
        return float(np.round((good[0] + good[-1]) / 2, 2))
    # Above the last pick nothing is expected.
    precision = np.where(expected.n > 0, expected.precision, 0)
    reached = np.flatnonzero(precision >= aim)
    return float(_GRID[reached[0] if len(reached) else np.argmax(precision)])


@dataclass(frozen=True, eq=False)
class _Groups:
    """Holds two normal distributions of logits: their means, lower first, and each pick's probability of the upper."""

    means: FloatArray
    probability: FloatArray


def _two_groups(logits: FloatArray) -> _Groups:
    """Fit two groups by expectation maximisation, always from the same start."""
    means, spreads, shares = np.quantile(logits, [0.15, 0.8]), np.full(2, 0.8), np.full(2, 0.5)
    for _ in range(_ROUNDS):
        belongs = _belonging(logits, means, spreads, shares)
        n = belongs.sum(axis=0)
        means = (belongs * logits[:, None]).sum(axis=0) / np.maximum(n, 1e-9)
        scatter = (belongs * (logits[:, None] - means) ** 2).sum(axis=0)
        spreads = np.sqrt((scatter + _PSEUDO_PICKS * _SPREAD**2) / (n + _PSEUDO_PICKS))
        shares = (n + _PSEUDO_PICKS / 2) / (n.sum() + _PSEUDO_PICKS)
    order = np.argsort(means)
    return _Groups(means[order], _belonging(logits, means, spreads, shares)[:, order[1]])


def _belonging(logits: FloatArray, means: FloatArray, spreads: FloatArray, shares: FloatArray) -> FloatArray:
    score = np.log(shares / spreads) - 0.5 * ((logits[:, None] - means) / spreads) ** 2
    likelihood = np.exp(score - score.max(axis=1, keepdims=True))
    return np.asarray(likelihood / likelihood.sum(axis=1, keepdims=True))


def _rising(confidence: FloatArray, probability: FloatArray) -> FloatArray:
    """Return probabilities that never fall with confidence, because the tails of two normals cross twice."""
    order = np.argsort(confidence)
    rising = np.empty_like(probability)
    rising[order] = np.maximum.accumulate(probability[order])
    return rising


def _logit(confidence: FloatArray) -> FloatArray:
    inside = np.clip(confidence, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(inside / (1 - inside)))


def _expected(confidence: FloatArray, probability: FloatArray, thresholds: FloatArray) -> _Expected:
    above = confidence[None] >= thresholds[:, None]
    return _Expected(above.sum(1).astype(np.float64), (above * probability).sum(1), float(probability.sum()))
