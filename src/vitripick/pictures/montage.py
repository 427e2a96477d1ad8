"""Lay particles side by side, the surest first."""

from __future__ import annotations

import cv2
import numpy as np

from vitripick.geometry import Boxes, Image
from vitripick.pictures.drawing import Pixels, confidence_colours, grey_levels, pixels_png

_GAP_PX = 3
_BAR_PX = 3


def montage_png(
    image: Image,
    picks: Boxes,
    n: int = 64,
    *,
    size_px: float | None = None,
    threshold: float | None = None,
    thumbnail_px: int = 88,
    n_columns: int = 16,
) -> bytes:
    """Draw crops of picks, row by row in falling confidence, each with a bar in the colour of its confidence.

    With more than `n` picks, `n` at equal steps are shown, from the surest to the weakest. A montage of only the best
    would look good for any model.

    Parameters
    ----------
    image : (rows, columns), float32
        The full-size micrograph; row 0 of a crop is drawn at the top.
    picks
        In pixels of `image`.
    n
        The largest number of crops.
    size_px
        Width of the square cut out; by default 1.4 boxes.
    threshold
        Picks below it are left out.
    thumbnail_px
        Width of a crop in the picture.
    n_columns
        Crops in a row.

    Returns
    -------
    bytes
        PNG.
    """
    if threshold is not None:
        picks = picks.above(threshold)
    picks = picks.by_confidence()
    if len(picks) > n:
        picks = picks.select(np.unique(np.linspace(0, len(picks) - 1, n).astype(np.intp)))
    box = picks.box_size_px
    size = size_px if size_px is not None else 1.4 * box if np.isfinite(box) else max(image.shape) / 16
    step, n_columns = thumbnail_px + _GAP_PX, max(1, min(n_columns, len(picks)))
    n_rows = max(1, -(-len(picks) // n_columns))
    sheet: Pixels = np.full((n_rows * (step + _BAR_PX) + _GAP_PX, n_columns * step + _GAP_PX, 3), 255, dtype=np.uint8)
    if not len(picks):
        return pixels_png(sheet)
    crops = [_crop(image, x, y, size, thumbnail_px) for x, y in picks.centres]
    # Crops stretched one by one would make noise look like particles, so all have one grey scale. The ice is not
    # equally thick everywhere, so the mean is taken off each.
    low_pass = max(0.6, thumbnail_px / 35)
    grey = grey_levels(np.vstack([cv2.GaussianBlur(crop, (0, 0), low_pass) for crop in crops]), low_pass_px=0)
    for i, (tile, colour) in enumerate(
        zip(np.split(grey, len(crops)), confidence_colours(picks.confidence), strict=True)
    ):
        top = _GAP_PX + (i // n_columns) * (step + _BAR_PX)
        left = _GAP_PX + (i % n_columns) * step
        sheet[top : top + thumbnail_px, left : left + thumbnail_px] = tile[:, :, None]
        sheet[top + thumbnail_px : top + thumbnail_px + _BAR_PX, left : left + thumbnail_px] = colour
    return pixels_png(sheet)


def _crop(image: Image, x: float, y: float, size: float, thumbnail_px: int) -> Image:
    """Return a square of `size` around (x, y), less its mean; what lies beyond the border is 0."""
    # A warp alone would skip some pixels, so whole pixels are cut first, and shrinking averages all of them.
    half = max(1, round(size / 2))
    column, row = round(x), round(y)
    rows, columns = np.arange(row - half, row + half), np.arange(column - half, column + half)
    inside_rows = rows[(rows >= 0) & (rows < image.shape[0])]
    inside_columns = columns[(columns >= 0) & (columns < image.shape[1])]
    square = np.zeros((2 * half, 2 * half), dtype=np.float32)
    if len(inside_rows) and len(inside_columns):
        seen = image[np.ix_(inside_rows, inside_columns)]
        top, left = int(inside_rows[0] - rows[0]), int(inside_columns[0] - columns[0])
        square[top : top + seen.shape[0], left : left + seen.shape[1]] = seen - seen.mean()
    how = cv2.INTER_AREA if len(square) > thumbnail_px else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (thumbnail_px, thumbnail_px), interpolation=how), dtype=np.float32)
