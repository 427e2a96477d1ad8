"""Patch mode: an image as overlapping patches of one size, so that small particles are seen larger (Wagner 2019)."""

from __future__ import annotations

from dataclasses import dataclass

# Rows and columns of patches.
Patches = tuple[int, int]
WHOLE: Patches = (1, 1)
# Share of a patch's side that it has in common with its neighbour. A particle in the middle of the seam is then seen
# whole by both as long as its box is smaller than this share.
OVERLAP = 0.2


@dataclass(frozen=True)
class Window:
    """One patch: where it starts and how large it is, in pixels of the image it is cut from."""

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        """First row below it."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """First column beside it."""
        return self.left + self.width


def patch_length(length: float, n: int) -> float:
    """The side of each of `n` patches that overlap by `OVERLAP` of it and together span `length`."""
    return length / (n - (n - 1) * OVERLAP)


def patch_windows(shape: tuple[int, int], patches: Patches) -> list[Window]:
    """Windows of one size that cover an image of `shape`, row by row; the last of each row ends at its edge."""
    sides = [min(length, round(patch_length(length, n))) for length, n in zip(shape, patches, strict=True)]
    starts = [
        [round(i * (length - side) / (n - 1)) if n > 1 else 0 for i in range(n)]
        for length, n, side in zip(shape, patches, sides, strict=True)
    ]
    return [Window(top, left, sides[0], sides[1]) for top in starts[0] for left in starts[1]]
