"""The micrograph in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Image: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Micrograph:
    """One micrograph at full size.

    Attributes
    ----------
    image : (rows, columns), float32
        Row 0 is the first row stored in an MRC file; TIFF, PNG and JPG are flipped on reading to match.
    pixel_size
        Å per pixel; None where the file does not say, or says something absurd.
    name
        Identity: the path relative to the input root, or the string in the STAR.
    path
        The file it came from, if any.
    warnings
        What the reader tolerated, in words for the user.
    """

    image: Image
    pixel_size: float | None = None
    name: str = "micrograph"
    path: Path | None = None
    warnings: tuple[str, ...] = field(default=())

    @property
    def pixels(self) -> Image:
        """What `prepare` takes: the image."""
        return self.image

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return int(self.image.shape[0]), int(self.image.shape[1])
