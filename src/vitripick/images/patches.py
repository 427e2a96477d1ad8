"""Cut an image into overlapping patches of one size, so that a network sees small particles larger (Wagner 2019)."""

from __future__ import annotations

from dataclasses import dataclass

# How many rows and columns of patches there are.
Patches = tuple[int, int]
WHOLE: Patches = (1, 1)
# A patch has this share of its side in common with its neighbour. Both see a particle in the middle of the seam
# whole, as long as its box is smaller than this share.
OVERLAP = 0.2


@dataclass(frozen=True)
class Window:
    """Says where one patch starts and how large it is, in pixels of the image it is cut from."""

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        """Return the first row below it."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """Return the first column to the right of it."""
        return self.left + self.width


def patch_length(length: float, n: int) -> float:
    """Return the side of each of `n` patches that together span `length` and overlap by `OVERLAP` of their side."""
    return length / (n - (n - 1) * OVERLAP)


def patch_windows(shape: tuple[int, int], patches: Patches) -> list[Window]:
    """Return windows of one size that cover an image of `shape`, row by row; the last in a row ends at the edge."""
    sides = [min(length, round(patch_length(length, n))) for length, n in zip(shape, patches, strict=True)]
    starts = [
        [round(i * (length - side) / (n - 1)) if n > 1 else 0 for i in range(n)]
        for length, n, side in zip(shape, patches, sides, strict=True)
    ]
    return [Window(top, left, sides[0], sides[1]) for top in starts[0] for left in starts[1]]
