"""Find impossible numbers of picks, and confidences that are scores of other programs, for all formats."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vitripick.errors import FormatError, parameter
from vitripick.geometry import Boxes

log = logging.getLogger("vitripick")

# No micrograph has as many pixels along a side, so a coordinate beyond is a mistake.
_FARTHEST_PX = 1e9
# Files hold confidences with six decimals.
_ROUNDING = 1e-5


def checked(boxes: Boxes, path: Path) -> Boxes:
    """Return the boxes, or raise a `FormatError` if a number is impossible; NaN stands for what is not known."""
    of = "" if boxes.micrograph is None else f" of {boxes.micrograph}"
    for name in ("x", "y"):
        values = getattr(boxes, name)
        wrong = values[~(np.abs(values) <= _FARTHEST_PX)]
        if len(wrong):
            raise FormatError(
                f"{path}: {name} of a box{of} is {wrong[0]:g} px, which is beyond any micrograph; correct the file, or "
                f"{parameter('scale')}."
            )
    for name in ("width", "height", "estimated_width", "estimated_height"):
        values = getattr(boxes, name)
        wrong = values[(values <= 0) | (values > _FARTHEST_PX)]
        if len(wrong):
            raise FormatError(
                f"{path}: {name} of a box{of} is {wrong[0]:g} px, which is not a size of a box; correct the file, or "
                f"{parameter('scale')}."
            )
    if np.isinf(boxes.confidence).any():
        raise FormatError(f"{path}: the confidence of a box{of} is infinite; correct the file.")
    return boxes


def warn_of_scores(parts: Sequence[Boxes], path: Path) -> None:
    """Warn about confidences outside 0 to 1: they are scores of other programs, and are kept as they are."""
    n_known, n_outside, low, high = 0, 0, np.inf, -np.inf
    for boxes in parts:
        known = boxes.confidence[np.isfinite(boxes.confidence)]
        if len(known):
            n_known += len(known)
            n_outside += int(((known < -_ROUNDING) | (known > 1 + _ROUNDING)).sum())
            low, high = min(low, float(known.min())), max(high, float(known.max()))
    if n_outside:
        log.warning(
            "%s: %d of %d confidences lie outside 0 to 1 (%.4g to %.4g), as scores of other programs do; they are "
            "kept, and a threshold acts on them as they are",
            path,
            n_outside,
            n_known,
            low,
            high,
        )
