"""Find picks whose centre is outside the micrograph, and leave them out if the format asks for it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vitripick.errors import parameter
from vitripick.geometry import Boxes

log = logging.getLogger("vitripick")

_ANY_SHAPE = (1 << 40, 1 << 40)


def keep_inside(boxes: Boxes, path: Path) -> Boxes:
    """Return the boxes whose centre, as written with six decimals, is in the micrograph; warn about the others.

    RELION's Extract (3.1.3) stops altogether at a box that lies wholly outside, and moving it would invent a pick.
    Where the shape is not known, only centres below zero are known to be outside.
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


def warn_of_outside(parts: Sequence[Boxes], target: Path) -> None:
    """Warn about picks outside their micrograph, in a format whose programs accept them."""
    # Where the shape is not known, only places below zero are known to be outside.
    outside = [(len(b) - len(b.inside(b.shape or _ANY_SHAPE)), b.micrograph) for b in parts]
    n_outside = sum(n for n, _ in outside)
    if n_outside:
        first = next(name for n, name in outside if n)
        log.warning(
            "%s: %d of %d picks lie outside their micrograph and stay in the file, first in %s; check whether %s, %s "
            "or "
            "another micrograph is needed",
            target,
            n_outside,
            sum(map(len, parts)),
            first or "a micrograph without a name",
            parameter("scale"),
            parameter("flip_y"),
        )
