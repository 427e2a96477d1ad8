"""Compute the measures: judged picks in, numbers out; arrays only.

Every measure of a set starts from one greedy matching per micrograph, over *all* of its picks. Picks are matched in
falling confidence, so dropping the weakest ones never changes what the others found. The same true/false flags
therefore hold at every threshold, and a whole precision-recall curve costs one matching.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitripick.geometry import Boxes, Criterion, FloatArray, iou_of_pairs, match

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Judged:
    """Holds the picks of one micrograph (or of a joined set), each true, false or ignored, strongest first.

    Attributes
    ----------
    confidence : (n,), float64
        Falling; 1 where the pick had none.
    is_true : (n,), bool
        Whether the pick found a label that counts.
    is_ignored : (n,), bool
        Whether the pick is neither true nor false, because it is on the border (see `judge`).
    iou, centre_error_px : (n,), float64
        IoU and distance between the pick and the label it found; NaN where it is not true.
    micrograph_index : (n,), intp
        Which micrograph of the set the pick lies on.
    n_labels
        Labels that count.
    n_labels_ignored
        Labels on the border.
    """

    confidence: FloatArray
    is_true: BoolArray
    is_ignored: BoolArray
    iou: FloatArray
    centre_error_px: FloatArray
    micrograph_index: npt.NDArray[np.intp]
    n_labels: int
    n_labels_ignored: int

    @property
    def counted(self) -> BoolArray:
        """Return (n,), bool: whether the pick counts as true or false, so is not ignored."""
        return ~self.is_ignored


@dataclass(frozen=True, eq=False)
class Curve:
    """Holds precision and recall at every distinct confidence, from the strictest threshold to the loosest.

    Attributes
    ----------
    threshold : (n,), float64
        Falling; picks with at least this confidence are kept.
    n_true, n_false : (n,), float64
        Picks at or above `threshold`, not counting ignored ones.
    n_labels
        Labels that count, in the whole set.
    """

    threshold: FloatArray
    n_true: FloatArray
    n_false: FloatArray
    n_labels: int

    @property
    def precision(self) -> FloatArray:
        """Return (n,), float64; every point holds at least one pick, so it is always defined."""
        precision: FloatArray = self.n_true / (self.n_true + self.n_false)
        return precision

    @property
    def recall(self) -> FloatArray:
        """Return (n,), float64; NaN where there are no labels."""
        if not self.n_labels:
            return np.full(len(self.threshold), np.nan)
        recall: FloatArray = self.n_true / self.n_labels
        return recall

    @property
    def f1(self) -> FloatArray:
        """Return (n,), float64: the harmonic mean of precision and recall."""
        f1: FloatArray = 2 * self.n_true / (self.n_true + self.n_false + self.n_labels)
        return f1


def strongest_first(picks: Boxes) -> Boxes:
    """Return the picks in falling confidence, with ties broken by position, so that their order changes no figure.

    A pick without a confidence counts as certain (1): labels judged as picks must be kept at every threshold.
    """
    picks = dataclasses.replace(picks, confidence=np.where(np.isnan(picks.confidence), 1.0, picks.confidence))
    return picks.select(np.lexsort((picks.x, picks.y, -picks.confidence)))


def on_border(boxes: Boxes, shape: tuple[int, int] | None, border_px: float) -> BoolArray:
    """Return (n,), bool: whether the centre lies closer than `border_px` to the micrograph's edge, or outside it.

    The edge is the outer side of the outermost pixels, half a pixel beyond their middles. Without a `shape`,
    or with a border of 0, no box is on the border.
    """
    if shape is None or border_px <= 0:
        return np.zeros(len(boxes), dtype=bool)
    n_rows, n_columns = shape
    margin = np.minimum.reduce([boxes.x + 0.5, n_columns - 0.5 - boxes.x, boxes.y + 0.5, n_rows - 0.5 - boxes.y])
    inside: BoolArray = margin < border_px
    return inside


def judge(
    picks: Boxes,
    labels: Boxes,
    *,
    criterion: Criterion,
    iou: float = 0.6,
    distance_px: float | None = None,
    border_px: float = 0.0,
    ignored: Boxes | None = None,
    micrograph_index: int = 0,
) -> Judged:
    """Decide for each pick of one micrograph whether it is true, false or ignored.

    All picks and labels are matched first, and the border and what is ignored count afterwards. A pick that found a
    label on the border is ignored, and so is an unmatched pick on the border. A pick on the border that found a label
    inside is true. Labels on the border are never missed.

    Parameters
    ----------
    picks, labels
        Boxes of one micrograph, both with sizes. `shape` of either says where the border is.
    criterion, iou, distance_px
        As in `vitripick.geometry.match`.
    border_px
        Width of the ignored band; 0 for none.
    ignored
        Boxes with sizes: a pick that found no label, with its centre in one of them, is neither true nor false.
    micrograph_index
        Which one of its set this is.
    """
    picks = strongest_first(picks)
    shape = picks.shape if labels.shape is None else labels.shape
    found = match(picks, labels, criterion=criterion, iou=iou, distance_px=distance_px)
    label_ignored = on_border(labels, shape, border_px)
    matched = found >= 0
    is_ignored = on_border(picks, shape, border_px)
    if ignored is not None:
        is_ignored |= _inside_any(picks, ignored)
    is_ignored[matched] = label_ignored[found[matched]]
    is_true = matched & ~is_ignored

    overlap = np.full(len(picks), np.nan)
    error = np.full(len(picks), np.nan)
    true_picks, found_labels = picks.select(is_true), labels.select(found[is_true])
    overlap[is_true] = iou_of_pairs(true_picks, found_labels)
    error[is_true] = np.hypot(true_picks.x - found_labels.x, true_picks.y - found_labels.y)
    return Judged(
        confidence=picks.confidence,
        is_true=is_true,
        is_ignored=is_ignored,
        iou=overlap,
        centre_error_px=error,
        micrograph_index=np.full(len(picks), micrograph_index, dtype=np.intp),
        n_labels=int(np.count_nonzero(~label_ignored)),
        n_labels_ignored=int(np.count_nonzero(label_ignored)),
    )


def _inside_any(picks: Boxes, boxes: Boxes) -> BoolArray:
    """Return which picks have their centre in one of these boxes, (n,)."""
    # One box after the other: there are a few of them, and up to 20,000 picks.
    inside = np.zeros(len(picks), bool)
    for x, y, width, height in zip(boxes.x, boxes.y, boxes.width, boxes.height, strict=True):
        inside |= (np.abs(picks.x - x) <= width / 2) & (np.abs(picks.y - y) <= height / 2)
    return inside


def join(parts: list[Judged]) -> Judged:
    """Return all picks of a set ranked together, strongest first."""
    empty = np.zeros(0)
    confidence = np.concatenate([empty, *(part.confidence for part in parts)])
    order = np.argsort(-confidence, kind="stable")
    none = np.zeros(0, dtype=bool)
    return Judged(
        confidence=confidence[order],
        is_true=np.concatenate([none, *(part.is_true for part in parts)])[order],
        is_ignored=np.concatenate([none, *(part.is_ignored for part in parts)])[order],
        iou=np.concatenate([empty, *(part.iou for part in parts)])[order],
        centre_error_px=np.concatenate([empty, *(part.centre_error_px for part in parts)])[order],
        micrograph_index=np.concatenate([np.zeros(0, dtype=np.intp), *(part.micrograph_index for part in parts)])[
            order
        ],
        n_labels=sum(part.n_labels for part in parts),
        n_labels_ignored=sum(part.n_labels_ignored for part in parts),
    )


def precision_recall_curve(judged: Judged) -> Curve:
    """Return the curve with one point for each distinct confidence; equal picks are kept or dropped together."""
    confidence = judged.confidence[judged.counted]
    is_true = judged.is_true[judged.counted]
    last_of_tie = np.flatnonzero(np.append(np.diff(confidence) != 0, len(confidence) > 0))
    n_true = np.cumsum(is_true)[last_of_tie].astype(np.float64)
    return Curve(
        threshold=confidence[last_of_tie],
        n_true=n_true,
        n_false=last_of_tie + 1.0 - n_true,
        n_labels=judged.n_labels,
    )


def area_under_curve(curve: Curve) -> float | None:
    """Return the area under the precision-recall curve (AUC): each gain in recall times the precision there, summed.

    The curve is integrated by steps, which information retrieval calls average precision. This is the conservative
    choice. A straight line between two points of the curve lies above the values that thresholds in between can reach.
    So trapezoids give too much, most of all with few distinct confidences. An envelope of later, better precisions
    gives even more. Recall that no pick reaches adds nothing.

    Returns
    -------
    float or None
        0-1; None where there are no labels.
    """
    if not curve.n_labels:
        return None
    return float(np.sum(np.diff(curve.recall, prepend=0.0) * curve.precision))


def calibration_error(judged: Judged, *, n_bins: int = 10) -> float | None:
    """Return the expected calibration error (ECE): how far confidence lies from the share of true picks, 0-1.

    Every judged pick that was stored goes into one of `n_bins` bins of equal width. In each bin, the mean confidence is
    compared with the share of true picks. The ECE is the mean of these differences, weighted by the picks in each bin;
    None where there is no pick.
    """
    confidence = judged.confidence[judged.counted]
    if not len(confidence):
        return None
    is_true = judged.is_true[judged.counted]
    bins = np.clip((confidence * n_bins).astype(np.intp), 0, n_bins - 1)
    gap = np.bincount(bins, weights=confidence - is_true, minlength=n_bins)
    return float(np.abs(gap).sum() / len(confidence))


def count_duplicates(picks: Boxes, *, distance_px: float) -> int:
    """Return the number of pairs of picks at most `distance_px` apart: the same particle picked twice."""
    from scipy.spatial import cKDTree  # it takes an eighth of a second to load, and picking needs none

    if len(picks) < 2:
        return 0
    tree = cKDTree(picks.centres)
    # count_neighbors counts each pair both ways, and each pick with itself.
    return int((tree.count_neighbors(tree, distance_px) - len(picks)) // 2)


def plateau_middle(curve: Curve, *, tolerance: float = 0.005) -> float:
    """Return the middle of the thresholds around the best one whose F1 stays within `tolerance` of the best.

    The best point of a curve is luck: with the next set of micrographs it lies elsewhere. The F1 of a usable model is
    flat around it, and the middle of that flat stretch moves little.

    Parameters
    ----------
    curve
        The curve of the whole set.
    tolerance
        How far F1 may be below the best, as a share of the best F1.

    Returns
    -------
    float
        A threshold; NaN where no pick is true, because then there is no best one.
    """
    f1 = curve.f1
    if not len(f1) or f1.max() <= 0:
        return float("nan")
    best = int(np.argmax(f1))
    good = f1 >= (1 - tolerance) * f1[best]
    below = np.flatnonzero(~good[best:])
    above = np.flatnonzero(~good[:best])
    first = int(above[-1]) + 1 if len(above) else 0
    last = best + int(below[0]) - 1 if len(below) else len(f1) - 1
    # Any threshold down to (not including) the next confidence keeps the same picks as the last good point.
    lowest = curve.threshold[min(last + 1, len(f1) - 1)]
    middle = float((curve.threshold[first] + lowest) / 2)
    return middle if middle > lowest else float(curve.threshold[last])
