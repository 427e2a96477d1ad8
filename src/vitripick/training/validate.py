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
        The confidence with the best product of precision and recall (distance, d/4); right for sparse labels too.
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

    Parameters
    ----------
    detector
        In evaluation mode (`for_inference`).
    samples
        All validation samples of the run.
    """
    evaluations = []
    for index in sorted({sample.set_index for sample in samples}):
        own = [sample for sample in samples if sample.set_index == index]
        # A name is not unique here: a strip carries its micrograph's.
        names = [f"{i}:{sample.name}" for i, sample in enumerate(own)]
        labels = {name: _labels(sample) for name, sample in zip(names, own, strict=True)}
        if not any(len(boxes) for boxes in labels.values()):
            continue
        picks = {name: find_particles(detector, sample) for name, sample in zip(names, own, strict=True)}
        diameter = own[0].diameter_px
        evaluations.append(evaluate(picks, labels, diameter_px=diameter, n_bootstrap=0, chance_level=False))
    if not evaluations:
        return Validation(threshold=0.3, f1=0.0, auc=0.0, auc_iou=0.0)
    threshold, f1 = tune_threshold(evaluations)
    return Validation(
        threshold=threshold,
        f1=f1,
        auc=float(np.mean([e.criteria["distance"].auc or 0.0 for e in evaluations])),
        auc_iou=float(np.mean([e.criteria["iou"].auc or 0.0 for e in evaluations])),
    )


def tune_threshold(evaluations: Sequence[Evaluation]) -> tuple[float, float]:
    """The confidence with the best product of precision and recall, averaged over sets, and F1 there.

    Not the best F1: where only some particles are labelled, true picks count as false, precision is too low by the
    share that is labelled, and F1 is best at a threshold that keeps next to nothing. That share, unknown, cancels in
    the product, which is recall squared over the number of picks (Lee & Liu 2003); with complete labels both are best
    at nearly the same place.

    The product is flat near its maximum and its very top is noise, so the middle of all thresholds within half a per
    cent of the maximum is taken.
    """
    grid = np.arange(0.05, 0.96, 0.01)
    merit, f1 = np.zeros_like(grid), np.zeros_like(grid)
    for evaluation in evaluations:
        curve = evaluation.criteria["distance"].curve
        if not len(curve.threshold):
            continue
        # The curve falls in threshold: the point for a grid threshold is the last one at or above it.
        last = np.searchsorted(-curve.threshold, -grid, side="right") - 1
        product = curve.precision * curve.recall
        at = np.maximum(last, 0)
        merit += np.where(last >= 0, product[at], 0.0) / max(float(product.max()), 1e-9)
        f1 += np.where(last >= 0, curve.f1[at], 0.0)
    good = grid[merit >= merit.max() * 0.995]
    threshold = (good[0] + good[-1]) / 2
    nearest = int(np.argmin(np.abs(grid - threshold)))
    return float(round(threshold, 3)), float(f1[nearest] / len(evaluations))


def find_particles(detector: Detector, sample: Sample) -> Boxes:
    """All picks of a prepared sample down to the floor confidence, in working pixels, as `pick` would keep them."""
    found = detect(detector, sample.image, floor=FLOOR_CONFIDENCE, patches=sample.patches)
    boxes = Boxes.at(found.x, found.y, size_px=sample.diameter_px, confidence=found.confidence, shape=_shape(sample))
    return remove_overlaps(boxes, minimum_distance_px=MINIMUM_DISTANCE_DIAMETERS * sample.diameter_px)


def _labels(sample: Sample) -> Boxes:
    x, y, width, height = sample.labels.T.astype(np.float64)
    return Boxes.at(x, y, width=width, height=height, shape=_shape(sample))


def _shape(sample: Sample) -> tuple[int, int]:
    return int(sample.image.shape[0]), int(sample.image.shape[1])
