"""Define the micrograph, in memory or not."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Image: TypeAlias = npt.NDArray[np.float32]

# A particle that spans fewer pixels than this cannot be seen.
SMALLEST_PX = 6.0
# A place of a junk map (0-1) counts as junk from this probability on: for counting picks and for drawing alike.
IS_JUNK = 0.5


def why_unseen(diameter_px: float, shape: tuple[int, int]) -> str | None:
    """Return why no particle of this diameter can be seen in this shape, as words to follow it; None if one can."""
    if diameter_px < SMALLEST_PX:
        return f"spans fewer than the {SMALLEST_PX:g} pixels that show one"
    if diameter_px > min(shape):
        return f"is larger than the micrograph, {shape[1]} x {shape[0]}"
    return None


@dataclass(frozen=True, eq=False, repr=False)
class Micrograph:
    """Holds one micrograph at full size.

    This class holds its pixels. `open_micrograph` may give a subclass that leaves them in the file, and reads them
    whenever `image` is asked for.

    Attributes
    ----------
    image : (rows, columns), float32
        Row 0 is the first row stored in an MRC file; TIFF, PNG and JPG are flipped on reading to match.
    pixel_size
        Å per pixel; None where the file does not say, or says something absurd.
    name
        The micrograph's identity: its path relative to the input root, or the string in the STAR.
    path
        The file it came from, if any.
    warnings
        What the reader tolerated, in words for the user.

    Examples
    --------
    >>> Micrograph(np.zeros((400, 300), np.float32), pixel_size=1.24, name="grid3/0042.mrc")
    grid3/0042.mrc: 400 rows x 300 columns, 1.24 Å/px
    """

    image: Image
    pixel_size: float | None = None
    name: str = "micrograph"
    path: Path | None = None
    warnings: tuple[str, ...] = field(default=())

    @property
    def shape(self) -> tuple[int, int]:
        """Return (rows, columns)."""
        return int(self.image.shape[0]), int(self.image.shape[1])

    def reduced(self, shape: tuple[int, int]) -> Image | None:
        """Return the image at this smaller shape if that needs no look at all of it at once, else None."""
        return None

    def in_memory(self) -> Micrograph:
        """Return this micrograph with its pixels in memory, and with the warnings that they gave."""
        return self

    def __repr__(self) -> str:
        rows, columns = self.shape
        scale = "pixel size unknown" if self.pixel_size is None else f"{self.pixel_size:.4g} Å/px"
        return f"{self.name}: {rows} rows x {columns} columns, {scale}"
