"""Find where a micrograph's border holds no image: rows or columns smeared outwards, or filled with one value.

Programs that align movies leave such bands where frames were moved out of the picture. The bands are not ice, but a
network may take their streaks for particles.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vitripick.geometry import Image

# Bands are sought in this share of the image along each side.
_SOUGHT = 1 / 8
# Between two rows of a band nothing changes: at most the first share of what usually changes from row to row. (Along
# the borders of 70 real micrographs without a band, that share is never below 0.31.) Some rows between a band and the
# image are blurred together; they belong to the band up to the second share.
_NOTHING, _BLURRED = 0.1, 0.5
# The median over this many rows says how much usually changes.
_SAMPLE = 64


class Border(NamedTuple):
    """Says how many rows or columns along each side hold no image."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def extended(self, values: Image, *, of: tuple[int, int]) -> Image:
        """Return `values`, a map over a picture of shape `of`, with its values next to the border repeated into it."""
        (top, bottom), (left, right) = pads = tuple(
            (round(before * n / whole), round(after * n / whole))
            for (before, after), n, whole in zip((self[:2], self[2:]), values.shape, of, strict=True)
        )
        rows, columns = values.shape
        return np.pad(values[top : rows - bottom, left : columns - right], pads, mode="edge")

    def mask(self, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
        """Return a mask of this shape (bool): true in the border."""
        inside = np.ones((shape[0] - self.top - self.bottom, shape[1] - self.left - self.right), bool)
        return ~np.pad(inside, (self[:2], self[2:]))


NO_BORDER = Border()


def find_border(image: Image) -> Border:
    """Return the bands along the sides of an image, before any local normalisation.

    Parameters
    ----------
    image : (rows, columns), float32
        A small size suffices, because an average of pixels of a band has that band's value.
    """
    by_column = image.T
    return Border(_band(image), _band(image[::-1]), _band(by_column), _band(by_column[::-1]))


def _band(image: Image) -> int:
    """Return the number of rows of the band at the top."""
    n = len(image)
    sought = int(n * _SOUGHT)
    if sought < 2:
        return 0
    sampled = np.linspace(0, n - 2, min(_SAMPLE, n - 1)).astype(np.intp)
    usual = float(np.median(_change(image[sampled], image[sampled + 1])))
    change = _change(image[:sought], image[1 : sought + 1])
    still = np.nonzero(change <= _NOTHING * usual)[0]
    # A filter may have changed rows outside the still ones, so not every row needs to be still. But at least half do:
    # one dead line somewhere does not make a band up to there.
    if not usual or not len(still) or len(still) < (still[-1] + 1) / 2:
        return 0
    changing = np.nonzero(change[still[-1] :] > _BLURRED * usual)[0]
    return int(still[-1] + (changing[0] if len(changing) else 1))


def _change(rows: Image, next_rows: Image) -> Image:
    """Return the root mean square of what changes from each row to the next."""
    difference = next_rows - rows
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", difference, difference) / difference.shape[1]), np.float32)
