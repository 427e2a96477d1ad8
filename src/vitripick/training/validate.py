"""How good are these weights on the validation micrographs, and which threshold serves them best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vitripick.evaluation import Evaluation, evaluate
from vitripick.geometry import Boxes, remove_overlaps
from vitripick.models.detector import Detector
from vitripick.models.run import FLOOR_CONFIDENCE, MINIMUM_DISTANCE_DIAMETERS, detect
from vitripick.training.data import Sample


@dataclass(frozen=True)
class Validation:
    """Figures over the validation micrographs; of several sets, the mean over sets.

    Attributes
    ----------
    threshold
        The confidence with the best mean F1 (distance, d/4).
    f1, auc
        By distance (d/4), F1 at `threshold`.
    auc_iou
        AUC at IoU 0.6.
    """

    threshold: float
    f1: float
    auc: float
    auc_iou: float

    @property
    def score(self) -> float:
        """What the best checkpoint is chosen by: both criteria count, and no threshold is involved."""
        return (self.auc + self.auc_iou) / 2


def validate(detector: Detector, samples: Sequence[Sample]) -> Validation:
    """Detect on whole validation samples and compare with their labels, set by set, in working pixels.

    Where none of a set's samples is labelled completely, precision means little: the threshold is then the highest
    at which nine of ten labels that any pick finds are found, and F1 and AUC are lower bounds.

    Parameters
    ----------
    detector
        In evaluation mode (`for_inference`).
    samples
        All validation samples of the run.
    """
    evaluations = []
    all_known = True
    for index in sorted({sample.set_index for sample in samples}):
        own = [sample for sample in samples if sample.set_index == index]
        complete = [sample for sample in own if sample.complete]
        known = any(len(sample.labels) for sample in complete)
        own = complete if known else own
        # A name is not unique here: a strip carries its micrograph's.
        names = [f"{i}:{sample.name}" for i, sample in enumerate(own)]
        labels = {name: _labels(sample) for name, sample in zip(names, own, strict=True)}
        if not any(len(boxes) for boxes in labels.values()):
            continue
        picks = {name: _picks(detector, sample) for name, sample in zip(names, own, strict=True)}
        diameter = own[0].diameter_px
        evaluations.append(evaluate(picks, labels, diameter_px=diameter, n_bootstrap=0, chance_level=False))
        all_known &= known
    if not evaluations:
        return Validation(threshold=0.3, f1=0.0, auc=0.0, auc_iou=0.0)
    threshold, f1 = tune_threshold(evaluations) if all_known else threshold_by_recall(evaluations)
    return Validation(
        threshold=threshold,
        f1=f1,
        auc=float(np.mean([e.criteria["distance"].auc or 0.0 for e in evaluations])),
        auc_iou=float(np.mean([e.criteria["iou"].auc or 0.0 for e in evaluations])),
    )


def tune_threshold(evaluations: Sequence[Evaluation]) -> tuple[float, float]:
    """The confidence with the best F1, averaged over sets, and that F1.

    F1 is flat near its maximum and its very top is noise, so the middle of all thresholds within half a per cent of
    the maximum is taken.
    """
    grid = np.arange(0.05, 0.96, 0.01)
    mean = np.zeros_like(grid)
    for evaluation in evaluations:
        curve = evaluation.criteria["distance"].curve
        sums = curve.precision + curve.recall
        f1 = np.divide(2 * curve.precision * curve.recall, sums, out=np.zeros_like(sums), where=sums > 0)
        # The curve falls in threshold: the point for a grid threshold is the last one at or above it.
        last = np.searchsorted(-curve.threshold, -grid, side="right") - 1
        mean += np.where(last >= 0, f1[np.maximum(last, 0)], 0.0) if len(f1) else 0.0
    mean /= len(evaluations)
    good = grid[mean >= mean.max() * 0.995]
    return float(round((good[0] + good[-1]) / 2, 3)), float(mean.max())


def threshold_by_recall(evaluations: Sequence[Evaluation], *, share: float = 0.9) -> tuple[float, float]:
    """For labels that are not complete: the highest threshold that keeps `share` of the recall, and the F1 there."""
    thresholds, scores = [], []
    for evaluation in evaluations:
        curve = evaluation.criteria["distance"].curve
        if not len(curve.threshold) or not curve.n_true[-1]:
            continue
        enough = int(np.argmax(curve.n_true >= share * curve.n_true[-1]))
        thresholds.append(float(curve.threshold[enough]))
        scores.append(float(curve.f1[enough]))
    return (round(float(np.mean(thresholds)), 3), float(np.mean(scores))) if thresholds else (0.3, 0.0)


def _picks(detector: Detector, sample: Sample) -> Boxes:
    found = detect(detector, sample.image, floor=FLOOR_CONFIDENCE)
    boxes = Boxes.at(found.x, found.y, size_px=sample.diameter_px, confidence=found.confidence, shape=_shape(sample))
    boxes = _outside_ignored(boxes, sample)
    return remove_overlaps(boxes, minimum_distance_px=MINIMUM_DISTANCE_DIAMETERS * sample.diameter_px)


def _labels(sample: Sample) -> Boxes:
    x, y, width, height = sample.labels.T.astype(np.float64)
    return _outside_ignored(Boxes.at(x, y, width=width, height=height, shape=_shape(sample)), sample)


def _outside_ignored(boxes: Boxes, sample: Sample) -> Boxes:
    if sample.weight is None:
        return boxes
    height, width = _shape(sample)
    rows = np.clip(np.round(boxes.y), 0, height - 1).astype(np.intp)
    columns = np.clip(np.round(boxes.x), 0, width - 1).astype(np.intp)
    return boxes.select(sample.weight[rows, columns] > 0)


def _shape(sample: Sample) -> tuple[int, int]:
    return int(sample.image.shape[0]), int(sample.image.shape[1])
