"""Hold the shifts and classes that a classification or a refinement found for particles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# A larger number is not a class; the file is damaged.
MOST_CLASSES = 1_000_000


@dataclass(frozen=True, eq=False)
class Alignment:
    """Holds the shifts and classes that RELION or cryoSPARC gives for each box, besides its coordinates.

    Attributes
    ----------
    shift_angstrom : (n, 2), float64
        x and y, in Å. The particle lies at the box's centre minus this. NaN where the file does not say it in Å.
    class_number : (n,), int64
        As in the file; -1 where it has none.
    movie_pixel_size : (n,), float64
        Å per pixel of the movies, if the file gives no other pixel size; else NaN. Micrographs may be binned.
    """

    shift_angstrom: npt.NDArray[np.float64]
    class_number: npt.NDArray[np.int64]
    movie_pixel_size: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.class_number)

    def __getitem__(self, which: Any) -> Alignment:
        """Return the alignment of some of the boxes."""
        return Alignment(self.shift_angstrom[which], self.class_number[which], self.movie_pixel_size[which])

    @classmethod
    def none(cls, n: int) -> Alignment:
        """Return the alignment of `n` boxes that no program has aligned."""
        return cls(np.zeros((n, 2)), np.full(n, -1, np.int64), np.full(n, np.nan))

    @property
    def moves(self) -> bool:
        """Return whether a shift is other than 0."""
        return bool((self.shift_angstrom != 0).any())

    def without_shifts(self) -> Alignment:
        """Return the same classes, with shifts of 0."""
        return Alignment(np.zeros_like(self.shift_angstrom), self.class_number, self.movie_pixel_size)

    def turned_over(self) -> Alignment:
        """Return the shifts with y counted the other way."""
        return Alignment(self.shift_angstrom * (1, -1), self.class_number, self.movie_pixel_size)


def join_alignments(parts: Sequence[Alignment | None], lengths: Sequence[int]) -> Alignment | None:
    """Return one alignment for the boxes of all parts; None where no part has one.

    Parameters
    ----------
    parts
        The alignment of each part's boxes, if known.
    lengths
        How many boxes each part has.
    """
    if all(part is None for part in parts):
        return None
    known = [Alignment.none(n) if part is None else part for part, n in zip(parts, lengths, strict=True)]
    return Alignment(
        np.concatenate([part.shift_angstrom for part in known]),
        np.concatenate([part.class_number for part in known]),
        np.concatenate([part.movie_pixel_size for part in known]),
    )
