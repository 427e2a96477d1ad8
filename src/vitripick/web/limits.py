"""Apply the user's limits on picks, which decide which of the stored picks are shown, counted and exported.

The page applies the same rules by itself (static/limits.js), so that a slider moves without waiting for the server.
tests/web/limits.json holds cases that both must pass.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from vitripick.geometry import Boxes, FloatArray, estimated_size_px, keep_sizes, remove_overlaps
from vitripick.web.project_settings import ProjectSettings

# A pick nearer than this to a rejected place, in boxes, is the rejected pick, found again by another model.
REJECTED_BOXES = 0.25


def within_limits(picks: Boxes, settings: ProjectSettings, *, rejected: FloatArray, box_size_px: float) -> Boxes:
    """Return the picks that pass the project's limits and that the user did not reject, in the order of `ranked`.

    Parameters
    ----------
    picks
        Picks of one micrograph. The box is the size where the network estimated none.
    settings
        `threshold`, `smallest_px`, `largest_px` and `minimum_distance_px` are the limits; 0 means no limit.
    rejected : (n, 2), float64
        x and y of the rejected places, in full-size pixels.
    box_size_px
        The project's box size in full-size pixels.
    """
    if len(rejected) and len(picks):
        distance, _ = cKDTree(rejected).query(picks.centres)
        picks = picks.select(distance > REJECTED_BOXES * box_size_px)
    picks = keep_sizes(
        picks.above(settings.threshold),
        minimum_px=settings.smallest_px or None,
        maximum_px=settings.largest_px or None,
        else_box_size=True,
    )
    return remove_overlaps(picks, minimum_distance_px=settings.minimum_distance_px)


def ranked(picks: Boxes) -> Boxes:
    """Return the picks, the surest first; of equally sure ones the one with the smaller y, then x.

    The page takes them in this order, and of two picks that are too close it keeps the first, as `within_limits` does.
    """
    return remove_overlaps(picks, minimum_distance_px=0)


def picks_json(picks: Boxes) -> list[list[float]]:
    """Return a row for each pick: x, y and size in full-size pixels, and confidence (1 where none is known)."""
    size = estimated_size_px(picks, else_box_size=True)
    confidence = np.nan_to_num(picks.confidence, nan=1.0)
    rows = np.column_stack([picks.x.round(2), picks.y.round(2), size.round(1), confidence.round(4)])
    return [[float(value) for value in row] for row in rows]
