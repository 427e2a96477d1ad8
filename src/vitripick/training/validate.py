"""Judge weights on the validation micrographs, and find the threshold that suits them best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vitripick.evaluation import evaluate
from vitripick.geometry import Boxes, remove_overlaps
from vitripick.models.detector import Detector
from vitripick.models.run import FLOOR_CONFIDENCE, detect
from vitripick.settings.pick import MINIMUM_DISTANCE_DIAMETERS
from vitripick.training.samples import Sample
from vitripick.training.threshold_tuning import tune_threshold

# Label boxes that scatter by more than this share of their mean were drawn to measure, not placed with one size.
_VARIES = 0.05


@dataclass(frozen=True)
class Validation:
    """Holds figures over the validation micrographs; of several sets, the mean over sets.

    Attributes
    ----------
    threshold
        The tuned threshold (`tune_threshold`), for complete and for sparse labels.
    f1, auc
        By distance (d/4), F1 at `threshold`.
    auc_iou
        AUC at IoU 0.6.
    n_labels
        Number of labels that the figures rest on.
    """

    threshold: float
    f1: float
    auc: float
    auc_iou: float
    n_labels: int = 0

    @property
    def score(self) -> float:
        """Return the score by which the best checkpoint is chosen: both criteria count, and no threshold is
        involved."""
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
        # If some micrographs are known to be fully labelled, only those judge.
        complete = [sample for sample in own if sample.knowledge.complete]
        own = complete if any(len(sample.labels) for sample in complete) else own
        # A name is not unique here, because a strip has the name of its micrograph.
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
        n_labels=sum(e.n_labels for e in evaluations),
    )


def find_particles(detector: Detector, sample: Sample) -> Boxes:
    """Return all picks of a prepared sample down to the floor confidence, in working pixels, as `pick` would keep them.

    Their boxes are those that `pick` exports, of the particle's diameter; where the labels' own sizes vary, they are
    those that the network saw.
    """
    found = detect(detector, sample.image, floor=FLOOR_CONFIDENCE, patches=sample.patches)
    boxes = Boxes.at(
        found.x,
        found.y,
        width=found.width if _sizes_vary(sample) else sample.diameter_px,
        height=found.height if _sizes_vary(sample) else sample.diameter_px,
        confidence=found.confidence,
        shape=_shape(sample),
    )
    boxes = _outside_ignored(boxes, sample)
    return remove_overlaps(boxes, minimum_distance_px=MINIMUM_DISTANCE_DIAMETERS * sample.diameter_px)


def _sizes_vary(sample: Sample) -> bool:
    sizes = sample.labels[:, 2:]
    return len(sizes) > 1 and float((sizes.std(axis=0) / sizes.mean(axis=0)).max()) > _VARIES


def _labels(sample: Sample) -> Boxes:
    x, y, width, height = sample.labels.T.astype(np.float64)
    return _outside_ignored(Boxes.at(x, y, width=width, height=height, shape=_shape(sample)), sample)


def _outside_ignored(boxes: Boxes, sample: Sample) -> Boxes:
    if sample.knowledge.ignored is None:
        return boxes
    height, width = _shape(sample)
    rows = np.clip(np.round(boxes.y), 0, height - 1).astype(np.intp)
    columns = np.clip(np.round(boxes.x), 0, width - 1).astype(np.intp)
    return boxes.select(~sample.knowledge.ignored[rows, columns])


def _shape(sample: Sample) -> tuple[int, int]:
    return int(sample.image.shape[0]), int(sample.image.shape[1])
