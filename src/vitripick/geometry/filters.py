"""Keep the boxes of the right size."""

from __future__ import annotations

import numpy as np

from vitripick.geometry.boxes import Boxes, FloatArray


def estimated_size_px(boxes: Boxes, *, else_box_size: bool = False) -> FloatArray:
    """Return the size that the network estimated: the side of the square of the same area.

    Parameters
    ----------
    boxes
        Picks, in full-size pixels.
    else_box_size
        Use the size of the box where the network estimated none. Otherwise such a box has NaN.

    Returns
    -------
    (n,), float64
        In full-size pixels.
    """
    size: FloatArray = np.sqrt(boxes.estimated_width * boxes.estimated_height)
    return np.where(np.isnan(size), np.sqrt(boxes.width * boxes.height), size) if else_box_size else size


def keep_sizes(
    boxes: Boxes,
    *,
    minimum_px: float | None = None,
    maximum_px: float | None = None,
    else_box_size: bool = False,
) -> Boxes:
    """Return the boxes whose estimated size lies within the limits; a box without any size stays.

    Parameters
    ----------
    boxes
        Picks, in full-size pixels.
    minimum_px, maximum_px
        In full-size pixels; None: no limit.
    else_box_size
        As in `estimated_size_px`.
    """
    size = estimated_size_px(boxes, else_box_size=else_box_size)
    too_small = size < (-np.inf if minimum_px is None else minimum_px)
    too_large = size > (np.inf if maximum_px is None else maximum_px)
    return boxes.select(~(too_small | too_large))
