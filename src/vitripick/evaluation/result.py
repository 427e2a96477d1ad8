"""Hold the result of an evaluation: figures per criterion, rows per micrograph, as a dictionary or as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vitripick.evaluation.bootstrap import Interval
from vitripick.evaluation.metrics import Curve
from vitripick.text import count

LOWER_BOUND = (
    "Labels of real micrographs are incomplete: a pick on a particle without a label counts as false, "
    "so precision, F1 and AUC are lower bounds."
)

# A smaller gain of F1 is within the uncertainty of the labels, so no other threshold is proposed for it.
_CLEAR_GAIN = 0.01


@dataclass(frozen=True)
class Score:
    """Holds the counts at one threshold and gives precision, recall and F1; None where the divisor is 0."""

    threshold: float | None
    n_true: int
    n_false: int
    n_missed: int

    @property
    def precision(self) -> float | None:
        """Return the share of picks that are true."""
        return _ratio(self.n_true, self.n_true + self.n_false)

    @property
    def recall(self) -> float | None:
        """Return the share of labels that were found."""
        return _ratio(self.n_true, self.n_true + self.n_missed)

    @property
    def f1(self) -> float | None:
        """Return the harmonic mean of precision and recall; None where there are neither picks nor labels."""
        return _ratio(2 * self.n_true, 2 * self.n_true + self.n_false + self.n_missed)

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""
        return {
            "threshold": self.threshold,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "n_true": self.n_true,
            "n_false": self.n_false,
            "n_missed": self.n_missed,
        }


@dataclass(frozen=True, eq=False)
class CriterionResult:
    """Holds all figures of a set under one criterion for true picks.

    Attributes
    ----------
    description
        The criterion in words: "IoU ≥ 0.6", "distance ≤ d/4".
    default, best
        Scores at the threshold that picks are exported with, and at the one with the highest F1.
    auc
        See `metrics.area_under_curve`.
    f1_interval, auc_interval
        95 % intervals over micrographs; F1 at the default threshold.
    mean_iou, centre_error_mean_px, centre_error_median_px
        Figures of the true picks at the default threshold.
    calibration_error
        ECE over all stored picks; None for picks without confidences.
    chance_f1
        F1 of random, non-overlapping places, one for each label.
    curve
        The precision-recall curve.
    """

    description: str
    default: Score
    best: Score
    auc: float | None
    f1_interval: Interval | None
    auc_interval: Interval | None
    mean_iou: float | None
    centre_error_mean_px: float | None
    centre_error_median_px: float | None
    calibration_error: float | None
    chance_f1: float | None
    curve: Curve

    @property
    def f1_lost_to_threshold(self) -> float | None:
        """Return F1 at the best threshold minus F1 at the default one."""
        if self.best.f1 is None or self.default.f1 is None:
            return None
        return self.best.f1 - self.default.f1


@dataclass(frozen=True)
class MicrographRow:
    """Holds the figures of one micrograph at the default threshold; `scores` has one entry for each criterion."""

    name: str
    n_labels: int
    n_picks: int
    scores: Mapping[str, Score]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Holds what judging picks by labels gave, in the words of docs/evaluation.md.

    Attributes
    ----------
    criteria
        "iou", "distance" (d/4 unless asked otherwise) and "half_distance" (d/2, for comparison with others).
    diameter_px
        d; None where it was not given and there is neither a pick nor a label, so that nothing depends on it.
    threshold
        The threshold that picks are exported with; None: the user gets every pick.
    border_px
        Width of the ignored band; 0: none.
    n_labels, n_labels_ignored
        Labels that count, and those on the border or outside of the micrograph.
    n_labels_outside
        Labels outside of the micrograph.
    n_picks, n_picks_border, n_picks_stored
        Picks at the default threshold, how many of these lie on the border, and all picks given.
    n_duplicates
        Pairs of picks within d/2 at the default threshold.
    n_particle_free, n_picks_particle_free
        Micrographs whose label set is empty, and the picks on them at the default threshold.
    rows
        One for each micrograph.
    unmatched_picks
        Micrographs with picks but without labels: not judged.
    leak
        Whether any of this data was used in training, in words; None if the caller did not say.
    frame_hint
        Another reading of the labels, if they fit the picks far better under it.
    notes
        What the reader should know about these figures.
    """

    criteria: Mapping[str, CriterionResult]
    diameter_px: float | None
    threshold: float | None
    border_px: float
    n_labels: int
    n_labels_ignored: int
    n_picks: int
    n_picks_border: int
    n_picks_stored: int
    n_duplicates: int
    n_particle_free: int
    n_picks_particle_free: int
    rows: tuple[MicrographRow, ...]
    unmatched_picks: tuple[str, ...] = ()
    leak: str | None = None
    n_labels_outside: int = 0
    frame_hint: str | None = None
    notes: tuple[str, ...] = ()
    n_bootstrap: int = 0
    seed: int = 0

    @property
    def recall(self) -> float | None:
        """Return recall by IoU at the default threshold; `criteria["distance"].default.recall` gives another one."""
        return self.criteria["iou"].default.recall

    @property
    def precision(self) -> float | None:
        """Return precision by IoU at the default threshold."""
        return self.criteria["iou"].default.precision

    @property
    def f1(self) -> float | None:
        """Return F1 by IoU at the default threshold."""
        return self.criteria["iou"].default.f1

    @property
    def auc(self) -> float | None:
        """Return AUC by IoU."""
        return self.criteria["iou"].auc

    @property
    def curves(self) -> dict[str, Curve]:
        """Return the precision-recall curve of each criterion."""
        return {name: result.curve for name, result in self.criteria.items()}

    def to_dict(self, *, n_curve_points: int = 200) -> dict[str, Any]:
        """Return a dictionary for JSON: None instead of NaN, no arrays, curves thinned to `n_curve_points`."""
        return {
            "diameter_px": self.diameter_px,
            "threshold": self.threshold,
            "border_px": self.border_px,
            "n_micrographs": len(self.rows),
            "n_labels": self.n_labels,
            "n_labels_ignored": self.n_labels_ignored,
            "n_labels_outside": self.n_labels_outside,
            "n_picks": self.n_picks,
            "n_picks_border": self.n_picks_border,
            "n_picks_stored": self.n_picks_stored,
            "n_duplicates": self.n_duplicates,
            "n_particle_free": self.n_particle_free,
            "n_picks_particle_free": self.n_picks_particle_free,
            "criteria": {
                name: self._criterion_to_dict(result, n_curve_points) for name, result in self.criteria.items()
            },
            "micrographs": [
                {
                    "name": row.name,
                    "n_labels": row.n_labels,
                    "n_picks": row.n_picks,
                    "scores": {name: score.to_dict() for name, score in row.scores.items()},
                }
                for row in self.rows
            ],
            "unmatched_picks": list(self.unmatched_picks),
            "leak": self.leak,
            "frame_hint": self.frame_hint,
            "notes": list(self.notes),
            "n_bootstrap": self.n_bootstrap,
            "seed": self.seed,
        }

    def _criterion_to_dict(self, result: CriterionResult, n_curve_points: int) -> dict[str, Any]:
        curve, d = result.curve, self.diameter_px
        n = len(curve.threshold)
        kept = np.unique(np.linspace(0, n - 1, min(n, n_curve_points)).astype(np.intp))
        recall = curve.recall[kept] if curve.n_labels else np.zeros(0)
        return {
            "description": result.description,
            "default": result.default.to_dict(),
            "best": result.best.to_dict(),
            "f1_lost_to_threshold": result.f1_lost_to_threshold,
            "auc": result.auc,
            "f1_interval": None if result.f1_interval is None else list(result.f1_interval),
            "auc_interval": None if result.auc_interval is None else list(result.auc_interval),
            "mean_iou": result.mean_iou,
            "centre_error_mean_px": result.centre_error_mean_px,
            "centre_error_median_px": result.centre_error_median_px,
            "centre_error_mean_d": _share(result.centre_error_mean_px, d),
            "centre_error_median_d": _share(result.centre_error_median_px, d),
            "calibration_error": result.calibration_error,
            "chance_f1": result.chance_f1,
            "curve": {
                "threshold": [float(value) for value in curve.threshold[kept]],
                "recall": [float(value) for value in recall],
                "precision": [float(value) for value in curve.precision[kept]],
            },
        }

    def figures(self) -> list[tuple[str, list[str]]]:
        """Return the rows of the summary table: a name and one text for each criterion."""
        results = list(self.criteria.values())
        at = "all picks" if self.threshold is None else f"threshold {self.threshold:.3g}"
        d = self.diameter_px
        return [
            ("AUC", [_number(r.auc) + _range(r.auc_interval) for r in results]),
            (f"F1 at {at}", [_number(r.default.f1) + _range(r.f1_interval) for r in results]),
            (f"precision at {at}", [_number(r.default.precision) for r in results]),
            (f"recall at {at}", [_number(r.default.recall) for r in results]),
            ("true / false / missed", [_counts(r.default) for r in results]),
            ("best F1", [_number(r.best.f1) for r in results]),
            ("  at threshold", [_number(r.best.threshold) for r in results]),
            ("  precision, recall there", [_pair(r.best.precision, r.best.recall) for r in results]),
            ("F1 lost to the threshold", [_number(r.f1_lost_to_threshold) for r in results]),
            ("chance level of F1", [_number(r.chance_f1) for r in results]),
            ("mean IoU of true picks", [_number(r.mean_iou) for r in results]),
            ("centre error, mean, px", [_number(r.centre_error_mean_px, 2) for r in results]),
            ("centre error, median, px", [_number(r.centre_error_median_px, 2) for r in results]),
            ("centre error, mean, share of d", [_number(_share(r.centre_error_mean_px, d)) for r in results]),
            (
                "centre error, median, share of d",
                [_number(_share(r.centre_error_median_px, d)) for r in results],
            ),
            ("calibration error (ECE)", [_number(r.calibration_error) for r in results]),
        ]

    def facts(self) -> list[tuple[str, str]]:
        """Return what the set holds, as rows of a name and a text."""
        n_border = self.n_labels_ignored - self.n_labels_outside
        ignored = f", {n_border} more on the border ignored" if n_border > 0 else ""
        if self.n_labels_outside:
            ignored += (
                f", {self.n_labels_outside} more outside of the micrograph{'' if self.border_px else ' (missed)'}"
            )
        on_border = f", {self.n_picks_border} of them on the border" if self.n_picks_border else ""
        free = "none in the set"
        if self.n_particle_free:
            mean = self.n_picks_particle_free / self.n_particle_free
            free = f"{mean:.1f} each ({self.n_picks_particle_free} on {self.n_particle_free})"
        return [
            ("micrographs", str(len(self.rows))),
            ("labels", f"{self.n_labels}{ignored}"),
            ("picks", f"{self.n_picks} of {self.n_picks_stored} stored{on_border}"),
            ("duplicates", f"{self.n_duplicates} pairs within d/2"),
            ("picks on particle-free micrographs", free),
            ("diameter d", "not known, no boxes" if self.diameter_px is None else f"{self.diameter_px:.4g} px"),
            ("ignored border", f"{self.border_px:.4g} px" if self.border_px else "none"),
            ("leak", self.leak or "not stated"),
        ]

    def __str__(self) -> str:
        return self.table()

    def headline(self) -> str:
        """Return in one line what matters most: labels found and picks that are right, by their centres."""
        result = self.criteria["distance"]
        score = result.default
        n_labels, n_judged = score.n_true + score.n_missed, score.n_true + score.n_false
        at = "" if self.threshold is None else f" at threshold {self.threshold:.3g}"
        if not n_labels:
            each = "; each of them counts as false" if n_judged else ""
            return f"{count('pick', n_judged)}{at} where no particle is labelled{each}"
        return (
            f"{score.n_true} of {count('labelled particle', n_labels)} found; {score.n_true} of "
            f"{count('pick', n_judged)} right: F1 {_number(score.f1)}{at} ({result.description})"
        )

    def better_threshold(self) -> str | None:
        """Return in one line which threshold would suit these labels better; None if none clearly does."""
        result = self.criteria["distance"]
        gain = result.f1_lost_to_threshold
        if gain is None or gain < _CLEAR_GAIN or result.best.threshold is None:
            return None
        return f"at threshold {result.best.threshold:.2f} it would be F1 {_number(result.best.f1)}"

    def table(self) -> str:
        """Return all figures as plain text, for a terminal or a log."""
        heads = [result.description for result in self.criteria.values()]
        figures = self.figures()
        lines = [f"{name:<34}  {text}" for name, text in self.facts()]
        widths = [max(len(head), 22) for head in heads]
        lines += ["", " " * 34 + "".join(f"  {h:>{w}}" for h, w in zip(heads, widths, strict=True))]
        lines += [
            f"{name:<34}" + "".join(f"  {t:>{w}}" for t, w in zip(texts, widths, strict=True))
            for name, texts in figures
        ]
        if any(result.auc_interval for result in self.criteria.values()):
            lines += [
                "",
                f"In brackets: 95 % intervals, {self.n_bootstrap} bootstrap draws over micrographs.",
            ]
        lines += ["", LOWER_BOUND, *self.notes]
        if self.frame_hint is not None:
            lines += ["", f"note: {self.frame_hint}"]
        return "\n".join(lines)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _share(value_px: float | None, diameter_px: float | None) -> float | None:
    return None if value_px is None or diameter_px is None else value_px / diameter_px


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _range(interval: Interval | None) -> str:
    return "" if interval is None else f" ({interval[0]:.3f}-{interval[1]:.3f})"


def _pair(first: float | None, second: float | None) -> str:
    return f"{_number(first)}, {_number(second)}"


def _counts(score: Score) -> str:
    return f"{score.n_true} / {score.n_false} / {score.n_missed}"
