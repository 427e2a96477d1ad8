"""Turn tables of segments into polylines, and polylines into straight pieces, for all formats of filaments."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from vitripick.geometry import Filament, Filaments, FloatArray

# A straight line replaces a filament that leaves it by at most this share of the width.
_STRAIGHT_WIDTHS = 0.125
_STRAIGHT_PX = 2.0


def joined_segments(
    x: FloatArray,
    y: FloatArray,
    tube: Sequence[str],
    *,
    track: FloatArray | None = None,
    width: FloatArray | None = None,
    confidence: FloatArray | None = None,
) -> list[Filament]:
    """Return a filament for each tube, through its segments; a tube of one segment is a pixel long.

    Parameters
    ----------
    x, y : (n,)
        Centres.
    tube : (n,)
        Which filament each belongs to.
    track : (n,), or None
        Distance along the filament, where known; else the order of the rows counts.
    width, confidence : (n,), or None
        Of each row; a filament gets the mean of its own.
    """
    found = []
    for rows in _groups(tube):
        if track is not None:
            rows = rows[np.argsort(track[rows], kind="stable")]
        points = np.column_stack([x[rows], y[rows]])
        if len(np.unique(points, axis=0)) < 2:
            # Its direction is lost, so it is laid along x.
            points = np.array([points[0] - (0.5, 0), points[0] + (0.5, 0)])
        means = [
            float("nan") if some is None or np.isnan(some[rows]).all() else float(np.nanmean(some[rows]))
            for some in (width, confidence)
        ]
        found.append(Filament.through(points, width=means[0], confidence=means[1]))
    return found


def _groups(names: Sequence[str]) -> list[np.ndarray]:  # type: ignore[type-arg]
    """Return the rows of each name, in order of first mention."""
    index: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        index.setdefault(name, []).append(row)
    return [np.array(rows, np.intp) for rows in index.values()]


def straight_pieces(filaments: Filaments) -> list[tuple[FloatArray, FloatArray, float]]:
    """Return start, end and width of straight lines that follow the filaments: one each, or more where they bend."""
    pieces = []
    for one in filaments:
        limit = max(_STRAIGHT_PX, _STRAIGHT_WIDTHS * one.width if np.isfinite(one.width) else 0.0)
        waiting = [(0, len(one.points) - 1)]
        kept = {0, len(one.points) - 1}
        while waiting:
            low, high = waiting.pop()
            chord = one.points[high] - one.points[low]
            inner = one.points[low + 1 : high] - one.points[low]
            if not len(inner):
                continue
            length = max(float(np.hypot(*chord)), 1e-9)
            off = np.abs(inner[:, 0] * chord[1] - inner[:, 1] * chord[0]) / length
            worst = int(off.argmax())
            if off[worst] > limit:
                kept.add(low + 1 + worst)
                waiting += [(low, low + 1 + worst), (low + 1 + worst, high)]
        ends = sorted(kept)
        pieces += [(one.points[a], one.points[b], one.width) for a, b in pairwise(ends)]
    return pieces
