"""Remove all but one of the picks that show the same particle."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vitripick.geometry.boxes import Boxes

# Picks with more neighbours along x than this in all go into a k-d tree.
_MOST_CANDIDATES = 1 << 21


def remove_overlaps(picks: Boxes, *, minimum_distance_px: float) -> Boxes:
    """Keep the most confident of any picks whose centres are closer than `minimum_distance_px`.

    Picks are taken in falling confidence, so the result does not depend on the order of `picks`. No n × n array is
    needed, so the number of picks has no limit.

    Returns
    -------
    Boxes
        In falling confidence; no two centres closer than `minimum_distance_px`.
    """
    # Position breaks ties, so the order in which picks of equal confidence came does not matter.
    ranked = picks.select(np.lexsort((picks.x, picks.y, -picks.confidence)))
    if len(ranked) < 2 or minimum_distance_px <= 0:
        return ranked
    pairs = _close_pairs(ranked, minimum_distance_px)
    keep = np.ones(len(ranked), dtype=bool)
    # In each pair i < j, and ranked is in falling confidence: i is the stronger one.
    for i, j in pairs[np.argsort(pairs[:, 0], kind="stable")]:
        if keep[i]:
            keep[j] = False
    return ranked.select(keep)


def _close_pairs(boxes: Boxes, distance_px: float) -> npt.NDArray[np.intp]:
    """Return the pairs (i, j), i < j, of boxes whose centres are closer than `distance_px`: (n, 2)."""
    by_x = np.argsort(boxes.x, kind="stable")
    x, y = boxes.x[by_x], boxes.y[by_x]
    n_right = np.searchsorted(x, x + distance_px, side="right") - np.arange(len(x)) - 1
    n_right = np.maximum(n_right, 0)
    if n_right.sum() > _MOST_CANDIDATES:
        from scipy.spatial import cKDTree  # it takes an eighth of a second to load, and few picks need no tree

        # query_pairs includes its radius, so a slightly smaller radius means "<", not "<=".
        near = cKDTree(boxes.centres).query_pairs(np.nextafter(distance_px, 0), output_type="ndarray")
        return np.asarray(near, np.intp)
    left = np.repeat(np.arange(len(x)), n_right)
    right = np.arange(len(left)) - np.repeat(np.cumsum(n_right) - n_right, n_right) + left + 1
    close = (x[right] - x[left]) ** 2 + (y[right] - y[left]) ** 2 < distance_px**2
    ends = np.stack([by_x[left[close]], by_x[right[close]]])
    return np.stack([ends.min(axis=0), ends.max(axis=0)], axis=1)
