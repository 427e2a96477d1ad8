"""Keep the boxes of the right size."""

from __future__ import annotations

import numpy as np

from vitripick.geometry.boxes import Boxes, FloatArray


def estimated_size_px(boxes: Boxes) -> FloatArray:
    """(n,), float64: the size the network saw, of a box that is not square the mean of its sides' logarithms.

    NaN where no network said any.
    """
    size: FloatArray = np.sqrt(boxes.estimated_width * boxes.estimated_height)
    return size


def keep_sizes(boxes: Boxes, *, minimum_px: float | None = None, maximum_px: float | None = None) -> Boxes:
    """The boxes whose estimated size lies within the limits; those without an estimate all stay.

    Parameters
    ----------
    boxes
        Picks, in full-size pixels.
    minimum_px, maximum_px
        In full-size pixels; None: no limit.
    """
    size = estimated_size_px(boxes)
    too_small = size < (-np.inf if minimum_px is None else minimum_px)
    too_large = size > (np.inf if maximum_px is None else maximum_px)
    return boxes.select(~(too_small | too_large))
