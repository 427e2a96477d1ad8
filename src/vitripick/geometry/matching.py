"""Find which pick found which label: one to one, picks in falling confidence (as the field and the paper do)."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from vitripick.geometry.boxes import Boxes, FloatArray

Criterion: TypeAlias = Literal["iou", "distance"]


def iou_of_pairs(a: Boxes, b: Boxes) -> FloatArray:
    """Return the intersection over union of box i of `a` with box i of `b`: (n,), float64, 0-1."""
    overlap_x = np.minimum(a.x + a.width / 2, b.x + b.width / 2) - np.maximum(a.x - a.width / 2, b.x - b.width / 2)
    overlap_y = np.minimum(a.y + a.height / 2, b.y + b.height / 2) - np.maximum(a.y - a.height / 2, b.y - b.height / 2)
    intersection = np.clip(overlap_x, 0, None) * np.clip(overlap_y, 0, None)
    union = a.width * a.height + b.width * b.height - intersection
    result: FloatArray = np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
    return result


def match(
    picks: Boxes,
    labels: Boxes,
    *,
    criterion: Criterion = "iou",
    iou: float = 0.6,
    distance_px: float | None = None,
) -> npt.NDArray[np.intp]:
    """Return the label that each pick found, one to one.

    Picks in falling confidence (ties in their order) each take the best free label that qualifies: the one with
    the highest IoU, or the nearest.

    Parameters
    ----------
    picks, labels
        Boxes of one micrograph. With `criterion="iou"` both need sizes.
    criterion
        `"iou"`: the boxes' IoU is at least `iou`. `"distance"`: the centres are at most `distance_px` apart.
    iou
        The paper uses 0.6 (Wagner et al. 2019).
    distance_px
        Needed with `criterion="distance"`.

    Returns
    -------
    (n_picks,), intp
        Index of the label each pick found, in the order of `picks`; -1 where it found none.
    """
    found = np.full(len(picks), -1, dtype=np.intp)
    if criterion == "distance":
        if distance_px is None:
            raise ValueError("match needs distance_px with criterion='distance'")
        reach = distance_px
    else:
        if not (picks.has_size and labels.has_size):
            raise ValueError("IoU needs box sizes on both sides: give with_size(...) first")
        # If the IoU is above zero, the centres are less than half the sum of the sizes apart, along each axis.
        reach = np.sqrt(2) * (_largest(picks) + _largest(labels)) / 2
    if not len(picks) or not len(labels):
        return found

    from scipy.spatial import cKDTree  # it takes a quarter of a second to load, and much needs no tree

    tree = cKDTree(labels.centres)
    near = tree.query_ball_point(picks.centres, reach + 1e-9)
    counts = np.array([len(candidates) for candidates in near], dtype=np.intp)
    pick_index = np.repeat(np.arange(len(picks)), counts)
    label_index = np.array([j for candidates in near for j in candidates], dtype=np.intp)
    if criterion == "distance":
        offset = picks.centres[pick_index] - labels.centres[label_index]
        score = -np.hypot(offset[:, 0], offset[:, 1])
    else:
        score = iou_of_pairs(picks.select(pick_index), labels.select(label_index))
        good = score >= iou
        pick_index, label_index, score = pick_index[good], label_index[good], score[good]

    confidence = np.nan_to_num(picks.confidence, nan=0.0)
    order = np.lexsort((-score, pick_index, -confidence[pick_index]))
    taken = np.zeros(len(labels), dtype=bool)
    for i in order:
        p, q = pick_index[i], label_index[i]
        if found[p] < 0 and not taken[q]:
            found[p] = q
            taken[q] = True
    return found


def _largest(boxes: Boxes) -> float:
    return float(max(boxes.width.max(), boxes.height.max())) if len(boxes) else 0.0
