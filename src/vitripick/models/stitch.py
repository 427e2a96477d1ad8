"""Join the detections of overlapping patches to those of the whole image, without doubles or losses at the seams."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vitripick.images import Window
from vitripick.models.detections import Detections

# In this share of an overlap along its own inner edge, where particles are cut, detections of a patch do not count. In
# the half between, those of both patches count, so that a particle that each finds at a slightly different place is not
# lost.
_SILENT_SHARE = 0.25
# Detections of two patches nearer than this share of their size are one particle.
_SAME = 0.5


def stitch(found: Sequence[Detections], windows: Sequence[Window], shape: tuple[int, int]) -> Detections:
    """Return the detections of all patches in pixels of the whole image, each particle once.

    Parameters
    ----------
    found
        Of each patch, in its own pixels.
    windows
        Where the patches lie, as `patch_windows` gives them.
    shape
        (rows, columns) of the whole image.

    Returns
    -------
    Detections
        Of the places that two patches found, the more confident. Two detections of one patch both stay: how near
        two particles may be is for the picker to say.
    """
    kept = []
    for n, (own, window) in enumerate(zip(found, windows, strict=True)):
        top, bottom, left, right = _silent_bands(windows, window)
        has_say = (
            (own.y >= top - 0.5)
            & (own.y < window.height - bottom - 0.5)
            & (own.x >= left - 0.5)
            & (own.x < window.width - right - 0.5)
        )
        moved = Detections(own.x + window.left, own.y + window.top, own.width, own.height, own.confidence)
        kept.append((moved.select(has_say), np.full(int(has_say.sum()), n)))
    everything = Detections(
        *(
            np.concatenate([getattr(own, name) for own, _ in kept])
            for name in ("x", "y", "width", "height", "confidence")
        )
    )
    return inside(_without_doubles(everything, np.concatenate([patch for _, patch in kept])), shape)


def inside(found: Detections, shape: tuple[int, int]) -> Detections:
    """Return the detections that have their centre inside an image of `shape`."""
    height, width = shape
    return found.select((found.x > -0.5) & (found.x < width - 0.5) & (found.y > -0.5) & (found.y < height - 0.5))


def _silent_bands(windows: Sequence[Window], own: Window) -> tuple[float, float, float, float]:
    """Return how far from its upper, lower, left and right edge detections of a patch do not count: 0 at the image's
    edge."""
    above = [w.bottom - own.top for w in windows if w.left == own.left and w.top < own.top]
    below = [own.bottom - w.top for w in windows if w.left == own.left and w.top > own.top]
    before = [w.right - own.left for w in windows if w.top == own.top and w.left < own.left]
    after = [own.right - w.left for w in windows if w.top == own.top and w.left > own.left]
    top, bottom, left, right = (max(0, max(o, default=0)) * _SILENT_SHARE for o in (above, below, before, after))
    return top, bottom, left, right


def _without_doubles(found: Detections, patch: npt.NDArray[np.intp]) -> Detections:
    from scipy.spatial import cKDTree  # it takes an eighth of a second to load, and picking needs none

    if len(found) < 2:
        return found
    size = np.sqrt(found.width * found.height)
    places = np.column_stack([found.x, found.y])
    pairs = cKDTree(places).query_pairs(_SAME * float(size.max()), output_type="ndarray")
    distance = np.hypot(*(places[pairs[:, 0]] - places[pairs[:, 1]]).T)
    same = (patch[pairs[:, 0]] != patch[pairs[:, 1]]) & (distance < _SAME * size[pairs].mean(axis=1))
    rank = np.empty(len(found), np.intp)
    rank[np.lexsort((found.x, found.y, -found.confidence))] = np.arange(len(found))
    keep = np.ones(len(found), bool)
    by_rank = np.sort(rank[pairs[same]], axis=1)
    at = np.argsort(rank)
    for better, worse in by_rank[np.lexsort((by_rank[:, 1], by_rank[:, 0]))]:
        if keep[at[better]]:
            keep[at[worse]] = False
    return found.select(keep)
