"""Compare picks with labels, by the measures that docs/evaluation.md defines."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from vitripick.errors import UsageError, parameter
from vitripick.evaluation.bootstrap import bootstrap_intervals
from vitripick.evaluation.chance import random_places
from vitripick.evaluation.frame import check_frame, seen_by_picks
from vitripick.evaluation.metrics import (
    Judged,
    area_under_curve,
    calibration_error,
    count_duplicates,
    join,
    judge,
    on_border,
    plateau_middle,
    precision_recall_curve,
)
from vitripick.evaluation.result import CriterionResult, Evaluation, MicrographRow, Score
from vitripick.geometry import Boxes, Criterion
from vitripick.text import listed

BoxesOrSet = Boxes | Mapping[str, Boxes]

# Small sets draw their random places several times, up to about this many, because the scatter of the chance level
# is then below 0.01.
_N_CHANCE_PLACES = 3000

# This number of micrographs shows a wrong frame, and takes a second.
_N_COMPARED = 20


@dataclasses.dataclass(frozen=True)
class _Rule:
    """Says which picks are true by one criterion."""

    description: str
    criterion: Criterion
    iou: float
    distance_px: float | None

    def judge(
        self, picks: Boxes, labels: Boxes, border_px: float, index: int = 0, ignored: Boxes | None = None
    ) -> Judged:
        return judge(
            picks,
            labels,
            criterion=self.criterion,
            iou=self.iou,
            distance_px=self.distance_px,
            border_px=border_px,
            ignored=ignored,
            micrograph_index=index,
        )


def evaluate(
    picks: BoxesOrSet,
    labels: BoxesOrSet,
    *,
    diameter_px: float | None = None,
    iou: float = 0.6,
    distance_fraction: float = 0.25,
    threshold: float | None = None,
    border_px: float | None = None,
    ignored: BoxesOrSet | None = None,
    n_bootstrap: int = 1000,
    seed: int = 0,
    leak: str | None = None,
    chance_level: bool = True,
) -> Evaluation:
    """Judge picks by labels, under both criteria: the boxes' IoU and the distance between centres.

    Parameters
    ----------
    picks, labels
        Boxes of one micrograph, or of many under the same names. A micrograph with labels but no picks has zero
        picks. One with picks but no labels is listed in `unmatched_picks` and not judged. Picks without a
        confidence count as certain (1). Missing sizes are taken to be the diameter.
    diameter_px
        d, in full-size pixels; by default the median size of the labels' boxes.
    iou
        A pick is true when its box and the label's have at least this IoU. The paper uses 0.6.
    distance_fraction
        A pick is true when its centre is at most this share of d from the label's. d/2 is always reported, too.
    threshold
        The confidence threshold that picks are exported with. None: every pick is exported.
    border_px
        Picks and labels whose centre is closer than this to the border are ignored; d/2 by default, 0 for none. It
        needs the micrograph's shape on its picks or labels.
    ignored
        Boxes of what is neither particle nor background, as `labels`: a pick that found no label and whose centre lies
        in one of them is ignored.
    n_bootstrap
        Draws for the 95 % intervals; 0 for none.
    seed
        The seed of the intervals and of the chance level.
    leak
        Words to show beside the figures: whether any of this data was used in training.
    chance_level
        False leaves it out, and the comparison with other frames too. Most of the time goes there, and training only
        needs the other figures.

    Raises
    ------
    UsageError
        If no diameter is given and no label has a size, though there are boxes; if one of picks and labels is one
        micrograph and the other many; or if a number makes no sense.
    """
    pick_sets, label_sets, unmatched = _as_sets(picks, labels)
    known_d = _diameter(pick_sets, label_sets, diameter_px)
    d = 1.0 if known_d is None else known_d  # without boxes no figure depends on it
    border = (known_d or 0.0) / 2 if border_px is None else float(border_px)
    if not 0 < iou <= 1 or not distance_fraction > 0 or not border >= 0 or n_bootstrap < 0:
        raise UsageError(
            "evaluate needs iou above 0 and at most 1, distance_fraction above 0, border_px and n_bootstrap "
            f"at least 0, but got iou={iou}, distance_fraction={distance_fraction}, "
            f"border_px={border_px}, n_bootstrap={n_bootstrap}."
        )
    names = list(label_sets)
    cases = [(pick_sets[name].sized(d), label_sets[name].sized(d)) for name in names]
    # An empty mapping is one in which nothing is ignored.
    ignored_sets = _as_sets(picks, ignored)[1] if ignored else {}
    ignored_here = [ignored_sets[name].sized(d) if name in ignored_sets else None for name in names]
    kept = [p if threshold is None else p.above(threshold) for p, _ in cases]
    free = [i for i, (_, own) in enumerate(cases) if not len(own)]
    chance_cases, notes = _chance_cases(names, cases, d, border, seed, chance_level)
    confident = any(len(p) for p, _ in cases) and all(p.has_confidence for p, _ in cases)

    criteria: dict[str, CriterionResult] = {}
    scores: list[dict[str, Score]] = [{} for _ in names]
    parts: list[Judged] = []
    for key, rule in _rules(d, iou, distance_fraction).items():
        parts = [rule.judge(p, own, border, i, ignored_here[i]) for i, (p, own) in enumerate(cases)]
        for row, part in zip(scores, parts, strict=True):
            row[key] = score_at(part, threshold)
        result = _result(rule.description, parts, threshold, n_bootstrap=n_bootstrap, seed=seed)
        criteria[key] = dataclasses.replace(
            result,
            calibration_error=result.calibration_error if confident else None,
            chance_f1=_chance_f1(rule, chance_cases, border),
        )
    return Evaluation(
        criteria=criteria,
        diameter_px=known_d,
        threshold=threshold,
        border_px=border,
        n_labels=sum(part.n_labels for part in parts),
        n_labels_ignored=sum(part.n_labels_ignored for part in parts),
        n_labels_outside=sum(_n_outside(p, own) for p, own in cases),
        n_picks=sum(len(p) for p in kept),
        n_picks_border=sum(
            int(on_border(p, labels.shape or p.shape, border).sum()) for p, (_, labels) in zip(kept, cases, strict=True)
        ),
        n_picks_stored=sum(len(p) for p, _ in cases),
        n_duplicates=sum(count_duplicates(p, distance_px=d / 2) for p in kept),
        n_particle_free=len(free),
        n_picks_particle_free=sum(len(kept[i]) for i in free),
        rows=tuple(
            MicrographRow(name, part.n_labels, len(p), row)
            for name, part, p, row in zip(names, parts, kept, scores, strict=True)
        ),
        unmatched_picks=unmatched,
        leak=leak,
        frame_hint=_frame_hint(list(zip(kept, (own for _, own in cases), strict=True)), d, border)
        if chance_level
        else None,
        notes=notes,
        n_bootstrap=n_bootstrap,
        seed=seed,
    )


def _n_outside(picks: Boxes, labels: Boxes) -> int:
    """Return the number of labels outside of their micrograph; 0 if its shape is not known."""
    shape = labels.shape or picks.shape
    return 0 if shape is None else len(labels) - len(labels.inside(shape))


def _frame_hint(cases: list[tuple[Boxes, Boxes]], d: float, border: float) -> str | None:
    """Return another reading of the labels, if the picks fit them far better under it; else None."""
    known = [(p, own, own.shape or p.shape) for p, own in cases if len(p) and len(own)]
    shaped = [(p, own, shape) for p, own, shape in known if shape is not None]
    shaped = shaped[:: max(1, len(shaped) // _N_COMPARED)]
    # Picks have the particle's own size; labels in other pixels have another.
    sizes = [float(np.median(p.width)) for p, _, _ in shaped]
    seen = [seen_by_picks(own, p, shape, diameter_px=size) for (p, own, shape), size in zip(shaped, sizes, strict=True)]
    hint = check_frame(seen, half_box_px=d / 2)
    if hint is None:
        return None

    def f1(read: bool) -> float:
        parts = []
        for (picks, own, shape), size in zip(shaped, sizes, strict=True):
            labels = (hint.reading.apply(own, shape) if read else own).of(shape=shape)
            parts.append(_Rule("", "distance", 1.0, size / 4).judge(picks, labels, border))
        return score_at(join(parts), None).f1 or 0.0

    given, read = f1(False), f1(True)
    # Both measures must agree.
    return hint.text(f"F1 {read:.2f} instead of {given:.2f}, distance ≤ d/4") if read > 2 * given else None


def best_threshold(
    picks: BoxesOrSet,
    labels: BoxesOrSet,
    diameter_px: float,
    criterion: Criterion = "distance",
    *,
    iou: float = 0.6,
    distance_fraction: float = 0.25,
    border_px: float | None = None,
) -> float:
    """Return the confidence threshold to export picks with: the middle of the stretch of nearly best F1.

    The stretch holds all thresholds around the best point whose F1 lies within 0.5 % of the best one. The best point
    itself is luck: it lies elsewhere on the next micrographs.

    Parameters
    ----------
    picks, labels, iou, distance_fraction, border_px
        As in `evaluate`; all picks, down to the floor.
    diameter_px
        d, in full-size pixels.
    criterion
        What a true pick is: "distance" (d/4), or "iou".

    Returns
    -------
    float
        0-1; NaN where no pick is true, so that no threshold is better than another.
    """
    pick_sets, label_sets, _ = _as_sets(picks, labels)
    d = _diameter(pick_sets, label_sets, diameter_px) or 1.0
    border = d / 2 if border_px is None else border_px
    rule = _Rule("", criterion, iou, distance_fraction * d)
    parts = [rule.judge(pick_sets[name].sized(d), own.sized(d), border) for name, own in label_sets.items()]
    return plateau_middle(precision_recall_curve(join(parts)))


def score_at(judged: Judged, threshold: float | None) -> Score:
    """Return the counts at a threshold; None keeps every pick."""
    kept = judged.counted if threshold is None else judged.counted & (judged.confidence >= threshold)
    n_true = int(np.count_nonzero(judged.is_true & kept))
    return Score(threshold, n_true, int(np.count_nonzero(kept)) - n_true, judged.n_labels - n_true)


def _result(
    description: str, parts: list[Judged], threshold: float | None, *, n_bootstrap: int, seed: int
) -> CriterionResult:
    """Return all figures of one criterion except the chance level."""
    judged = join(parts)
    curve = precision_recall_curve(judged)
    best = int(np.argmax(curve.f1)) if len(curve.threshold) else None
    kept = judged.is_true if threshold is None else judged.is_true & (judged.confidence >= threshold)
    intervals = bootstrap_intervals(
        judged,
        [part.n_labels for part in parts],
        threshold=-np.inf if threshold is None else threshold,
        n_draws=n_bootstrap,
        seed=seed,
    )
    any_true = bool(kept.any())
    return CriterionResult(
        description=description,
        default=score_at(judged, threshold),
        best=score_at(judged, None if best is None else float(curve.threshold[best])),
        auc=area_under_curve(curve),
        f1_interval=intervals.f1,
        auc_interval=intervals.auc,
        mean_iou=float(judged.iou[kept].mean()) if any_true else None,
        centre_error_mean_px=float(judged.centre_error_px[kept].mean()) if any_true else None,
        centre_error_median_px=float(np.median(judged.centre_error_px[kept])) if any_true else None,
        calibration_error=calibration_error(judged),
        chance_f1=None,
        curve=curve,
    )


def _rules(d: float, iou: float, distance_fraction: float) -> dict[str, _Rule]:
    share = {0.25: "d/4", 0.5: "d/2"}.get(distance_fraction, f"{distance_fraction:g} d")
    return {
        "iou": _Rule(f"IoU ≥ {iou:g}", "iou", iou, None),
        "distance": _Rule(f"distance ≤ {share}", "distance", iou, distance_fraction * d),
        "half_distance": _Rule("distance ≤ d/2", "distance", iou, 0.5 * d),
    }


def _as_sets(picks: BoxesOrSet, labels: BoxesOrSet) -> tuple[dict[str, Boxes], dict[str, Boxes], tuple[str, ...]]:
    """Return picks and labels by the names of the labelled micrographs, and the names that have picks only."""
    if isinstance(picks, Boxes) and isinstance(labels, Boxes):
        name = labels.micrograph or picks.micrograph or "micrograph"
        return {name: picks}, {name: labels}, ()
    if isinstance(picks, Boxes) or isinstance(labels, Boxes):
        raise UsageError(
            "Picks and labels must both be the Boxes of one micrograph, or both a mapping from name to "
            f"Boxes, but got {type(picks).__name__} and {type(labels).__name__}."
        )
    if not labels:
        raise UsageError("There is no labelled micrograph to judge picks by.")
    matched = {name: picks.get(name, Boxes.empty()) for name in labels}
    return matched, dict(labels), tuple(sorted(set(picks) - set(labels)))


def _diameter(
    pick_sets: Mapping[str, Boxes], label_sets: Mapping[str, Boxes], diameter_px: float | None
) -> float | None:
    """Return d in pixels; None where there is neither a pick nor a label."""
    if diameter_px is not None:
        if not 0 < diameter_px < np.inf:
            raise UsageError(f"The particle's diameter must be above 0 pixels, but is {diameter_px}.")
        return float(diameter_px)
    if not any(len(own) for own in (*label_sets.values(), *pick_sets.values())):
        return None
    # If every micrograph is labelled empty, no label gives d. Every pick is then false whatever d is, so the picks'
    # boxes suffice.
    telling = label_sets if any(len(own) for own in label_sets.values()) else pick_sets
    sizes = np.concatenate([part for own in telling.values() for part in (own.width, own.height)])
    sizes = sizes[np.isfinite(sizes)]
    if not len(sizes):
        raise UsageError(
            "The labels do not say how large the particles are: give the diameter in pixels "
            f"({parameter('diameter_px')})."
        )
    return float(np.median(sizes))


def _chance_cases(
    names: list[str],
    cases: list[tuple[Boxes, Boxes]],
    d: float,
    border: float,
    seed: int,
    wanted: bool,
) -> tuple[list[tuple[Boxes, Boxes]], tuple[str, ...]]:
    """Return random places with the labels of their micrograph, and notes on the border and the chance level."""
    generator = np.random.default_rng(seed)
    chance_cases: list[tuple[Boxes, Boxes]] = []
    shapeless: list[str] = []
    n_labels = sum(len(labels) for _, labels in cases)
    n_draws = int(np.clip(_N_CHANCE_PLACES // max(n_labels, 1), 1, 10))
    for name, (picks, labels) in zip(names, cases, strict=True):
        shape = picks.shape if labels.shape is None else labels.shape
        if shape is None:
            shapeless.append(name)
            continue
        for _ in range(n_draws if len(labels) and wanted else 0):
            places = random_places(len(labels), shape, diameter_px=d, generator=generator)
            chance_cases.append((places, labels))
    notes = []
    if shapeless:
        band = "no border is ignored there, and " if border else ""
        notes.append(
            f"The size of {len(shapeless)} of {len(names)} micrographs is not known ({listed(shapeless, most=3)}): "
            f"{band}they are left out of the chance level."
        )
    return chance_cases, tuple(notes)


def _chance_f1(rule: _Rule, chance_cases: list[tuple[Boxes, Boxes]], border: float) -> float | None:
    if not chance_cases:
        return None
    scored = [score_at(rule.judge(places, labels, border), None) for places, labels in chance_cases]
    return Score(
        None, sum(s.n_true for s in scored), sum(s.n_false for s in scored), sum(s.n_missed for s in scored)
    ).f1
