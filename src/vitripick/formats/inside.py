"""Leave out picks whose centre lies outside the micrograph, and say so."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from vitripick.geometry import Boxes

log = logging.getLogger("vitripick")


def keep_inside(boxes: Boxes, path: Path) -> Boxes:
    """Return the boxes whose centre, as written with six decimals, is in the micrograph; warn about the others.

    RELION's Extract (5.0) stops altogether at one centre outside, and moving the centre would invent a pick. Where the
    shape is not known, only centres below zero are known to be outside.
    """
    x, y = np.round(boxes.x, 6), np.round(boxes.y, 6)
    inside = (x >= 0) & (y >= 0)
    if boxes.shape is not None:
        inside &= (x < boxes.shape[1]) & (y < boxes.shape[0])
    if not inside.all():
        log.warning(
            "%s: %d of %d picks of %s lie outside the micrograph and are left out",
            path,
            int((~inside).sum()),
            len(boxes),
            boxes.micrograph or "it",
        )
    return boxes.select(inside)
