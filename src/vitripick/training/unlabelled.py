"""Decide what an unlabelled place means: people rarely label every particle that they see, and often very few.

To teach every unlabelled place as background lowers the network's confidence everywhere alike, as long as labels were
left out at random (Elkan & Noto 2008), and keeps the ranking; in our comparison nothing was better
(docs/benchmarks/sparse_labels.md), so it is the default. The alternatives here ask the averaged network, while
training goes on, which unlabelled places look like the labelled ones: a place where it is as sure as at the labels is
not background. Comparing with the labelled places, and not with a fixed confidence, works for any number of labels, and
changes almost nothing if labels are complete. The averaged network as its own teacher is that of Tarvainen & Valpola
2017.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from vitripick.geometry import Boxes, FloatArray
from vitripick.models.detector import Detector, LabelArray
from vitripick.settings.train import TrainSettings
from vitripick.training.processes import Processes
from vitripick.training.samples import Sample
from vitripick.training.validate import find_particles

# A place counts as sure if its confidence reaches this quantile of the labelled places; from half of that on, it counts
# as unknown.
_SURE_QUANTILE, _OPEN_SHARE = 0.3, 0.5
# Below this, the network does not find the labelled places either, so it cannot judge others.
_LEAST_CONFIDENCE = 0.1
# A pick this near to a label (in diameters) is that label found; farther than the second, it is another place.
_SAME_DIAMETERS, _OTHER_DIAMETERS = 0.25, 0.5


def at_the_start(samples: Sequence[Sample], settings: TrainSettings) -> list[Sample]:
    """Return the samples for the start of a training: except with `background`, unlabelled places count less.

    A micrograph that is marked empty or fully labelled counts in full everywhere.
    """
    if settings.unlabelled == "background":
        return list(samples)
    weight = settings.unlabelled_weight
    return [sample if _is_known(sample) else sample.knowing(unlabelled_weight=weight) for sample in samples]


def reconsiders(settings: TrainSettings) -> bool:
    """Return whether `reconsider` may change samples with these settings."""
    return settings.unlabelled in ("ignore", "teach")


def reconsider(samples: Sequence[Sample], detector: Detector, settings: TrainSettings) -> list[Sample]:
    """Return the samples with what the averaged network finds at their unlabelled places.

    Parameters
    ----------
    samples
        As people labelled them.
    detector
        The averaged network, for inference.
    settings
        `unlabelled="ignore"`: places as sure as labelled ones do not count. `"teach"`: they become labels, and less
        sure ones do not count. With the other treatments nothing changes.
    """
    samples = at_the_start(samples, settings)
    if not reconsiders(settings):
        return samples
    found = {i: find_particles(detector, sample) for i, sample in enumerate(samples) if not _is_known(sample)}
    references: dict[int, list[FloatArray]] = {}
    for i, picks in found.items():
        references.setdefault(samples[i].set_index, []).append(_labelled_confidence(picks, samples[i]))
    limits = {index: _limit(np.concatenate(own)) for index, own in references.items()}
    result = []
    for i, sample in enumerate(samples):
        if i not in found or limits[sample.set_index] < _LEAST_CONFIDENCE:
            result.append(sample)
            continue
        high = limits[sample.set_index]
        low = high * _OPEN_SHARE
        others = _elsewhere(found[i], sample)
        sure, unsure = others.above(high), others.select((others.confidence < high) & (others.confidence >= low))
        if settings.unlabelled == "ignore":
            result.append(sample.knowing(open_places=_as_labels(others.above(low), sample)))
        else:
            labels = np.concatenate([sample.labels, _as_labels(sure, sample)])
            result.append(sample.with_labels(labels, _as_labels(unsure, sample)))
    return result


def broadcast_places(samples: Sequence[Sample], processes: Processes) -> list[Sample]:
    """Return the samples with what the first process found at their unlabelled places; pixels are not sent."""
    shared = processes.share([(sample.labels, sample.knowledge.open_places) for sample in samples])
    return [sample.with_labels(labels, places) for sample, (labels, places) in zip(samples, shared, strict=True)]


def _limit(labelled: FloatArray) -> float:
    return float(np.quantile(labelled, _SURE_QUANTILE)) if len(labelled) else 0.0


def _labelled_confidence(picks: Boxes, sample: Sample) -> FloatArray:
    """Return the confidence with which each label was found; 0 where it was not."""
    if not len(picks):
        return np.zeros(len(sample.labels))
    distance, nearest = cKDTree(picks.centres).query(sample.labels[:, :2])
    return np.where(distance <= _SAME_DIAMETERS * sample.diameter_px, picks.confidence[nearest], 0.0)


def _is_known(sample: Sample) -> bool:
    return sample.knowledge.empty or bool(sample.knowledge.complete)


def _elsewhere(picks: Boxes, sample: Sample) -> Boxes:
    # A rejected place is known, like a labelled one.
    known = np.concatenate([sample.labels[:, :2], sample.knowledge.rejected])
    distance, _ = cKDTree(known).query(picks.centres)
    return picks.select(distance > _OTHER_DIAMETERS * sample.diameter_px)


def _as_labels(picks: Boxes, sample: Sample) -> LabelArray:
    """Return picks as labels; their size is that of the labels, so that sizes cannot grow from round to round."""
    size = np.median(sample.labels[:, 2:], axis=0) if len(sample.labels) else np.full(2, sample.diameter_px)
    return np.column_stack([picks.x, picks.y, np.broadcast_to(size, (len(picks), 2))]).astype(np.float32)
