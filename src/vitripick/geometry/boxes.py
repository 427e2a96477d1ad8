"""Boxes: where particles are. Labels (placed by a person) and picks (proposed by a model) are both this."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]

_COLUMNS = ("x", "y", "width", "height", "confidence", "estimated_width", "estimated_height")


@dataclass(frozen=True, eq=False)
class Boxes:
    """The boxes of one micrograph, in pixels of the full-size micrograph.

    `x` runs along columns and `y` along rows; row 0 is the first row stored in the MRC file and (0, 0) is the
    middle of the first stored pixel. A box is its centre and its size. What is not known is NaN.

    Attributes
    ----------
    x, y : (n,), float64
        Centres.
    width, height : (n,), float64
        Sizes; NaN where the file did not say (RELION's STAR, for one).
    confidence : (n,), float64
        0-1, the model's; NaN for labels.
    estimated_width, estimated_height : (n,), float64
        The size the network saw, beside the size exported; NaN where there is none.
    micrograph
        The micrograph's identity: its path relative to the input root, or the string in the STAR.
    shape
        (rows, columns) of the full-size micrograph, where known.
    pixel_size
        Å per pixel, where known.
    """

    x: FloatArray
    y: FloatArray
    width: FloatArray
    height: FloatArray
    confidence: FloatArray
    estimated_width: FloatArray
    estimated_height: FloatArray
    micrograph: str | None = None
    shape: tuple[int, int] | None = None
    pixel_size: float | None = None

    def __post_init__(self) -> None:
        n = len(self.x)
        for name in _COLUMNS:
            column = getattr(self, name)
            if not isinstance(column, np.ndarray) or column.dtype != np.float64 or column.shape != (n,):
                raise ValueError(f"Boxes.{name} must be a float64 array of shape ({n},), got {column!r}")

    @classmethod
    def at(
        cls,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        size_px: npt.ArrayLike = np.nan,
        width: npt.ArrayLike | None = None,
        height: npt.ArrayLike | None = None,
        confidence: npt.ArrayLike = np.nan,
        estimated_width: npt.ArrayLike = np.nan,
        estimated_height: npt.ArrayLike = np.nan,
        micrograph: str | None = None,
        shape: tuple[int, int] | None = None,
        pixel_size: float | None = None,
    ) -> Boxes:
        """Boxes with these centres; scalars are repeated for every box.

        Parameters
        ----------
        x, y : (n,)
            Centres in full-size pixels.
        size_px
            Width and height of square boxes; `width` and `height` go before it.
        width, height, confidence, estimated_width, estimated_height
            One number for all boxes, or (n,).
        micrograph, shape, pixel_size
            As in `Boxes`.

        Examples
        --------
        >>> len(Boxes.at([10, 20], [5, 6], size_px=8))
        2
        """
        xs = np.atleast_1d(np.asarray(x, dtype=np.float64))

        def column(values: npt.ArrayLike) -> FloatArray:
            array = np.asarray(values, dtype=np.float64)
            if array.ndim and array.shape != xs.shape:
                raise ValueError(f"{len(xs)} boxes cannot have {array.shape} values in one column")
            return np.broadcast_to(array, xs.shape).copy()

        return cls(
            x=xs.copy(),
            y=column(y),
            width=column(size_px if width is None else width),
            height=column(size_px if height is None else height),
            confidence=column(confidence),
            estimated_width=column(estimated_width),
            estimated_height=column(estimated_height),
            micrograph=micrograph,
            shape=shape,
            pixel_size=pixel_size,
        )

    @classmethod
    def empty(
        cls,
        *,
        micrograph: str | None = None,
        shape: tuple[int, int] | None = None,
        pixel_size: float | None = None,
    ) -> Boxes:
        """No boxes: looked at, nothing there."""
        return cls.at([], [], micrograph=micrograph, shape=shape, pixel_size=pixel_size)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def has_size(self) -> bool:
        """Whether every box has a width and a height (true when there are no boxes)."""
        return bool(np.isfinite(self.width).all() and np.isfinite(self.height).all())

    @property
    def has_confidence(self) -> bool:
        """Whether every box has a confidence (true when there are no boxes)."""
        return bool(np.isfinite(self.confidence).all())

    @property
    def centres(self) -> FloatArray:
        """(n, 2), float64: x and y."""
        return np.column_stack([self.x, self.y])

    @property
    def box_size_px(self) -> float:
        """Median of width and height over all boxes; NaN where no size is known."""
        sizes = np.concatenate([self.width, self.height])
        sizes = sizes[np.isfinite(sizes)]
        return float(np.median(sizes)) if len(sizes) else float("nan")

    def select(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.intp] | slice) -> Boxes:
        """The boxes that a mask, an index array or a slice names, in that order."""
        return dataclasses.replace(self, **{name: getattr(self, name)[which] for name in _COLUMNS})

    def above(self, threshold: float) -> Boxes:
        """The boxes with at least this confidence; labels (no confidence) all stay."""
        return self.select(~(self.confidence < threshold))

    def inside(self, shape: tuple[int, int]) -> Boxes:
        """The boxes whose centre lies on a pixel of a micrograph of this shape."""
        rows, columns = shape
        x, y = self.x, self.y
        return self.select((x >= -0.5) & (x <= columns - 0.5) & (y >= -0.5) & (y <= rows - 0.5))

    def by_confidence(self) -> Boxes:
        """Sorted by falling confidence; equal ones keep their order."""
        return self.select(np.argsort(-self.confidence, kind="stable"))

    def with_size(self, size_px: float) -> Boxes:
        """Square boxes of this size around the same centres."""
        size = np.full(len(self), float(size_px))
        return dataclasses.replace(self, width=size, height=size.copy())

    def renamed(self, micrograph: str) -> Boxes:
        """The same boxes under another name of their micrograph."""
        return dataclasses.replace(self, micrograph=micrograph)

    def scaled(self, factor: float) -> Boxes:
        """Every coordinate and size times `factor`: from a binned image's pixels to the full size, or back.

        Pixel centres are kept: the middle of the first pixel of an image binned by b is at (b - 1) / 2.
        """
        shift = (factor - 1) / 2
        return dataclasses.replace(
            self,
            x=self.x * factor + shift,
            y=self.y * factor + shift,
            width=self.width * factor,
            height=self.height * factor,
            estimated_width=self.estimated_width * factor,
            estimated_height=self.estimated_height * factor,
            shape=None if self.shape is None else _scaled_shape(self.shape, factor),
            pixel_size=None if self.pixel_size is None else self.pixel_size / factor,
        )

    def flipped(self, n_rows: int) -> Boxes:
        """y counted from the last row instead of the first, or back; `n_rows` of the full-size micrograph."""
        return dataclasses.replace(self, y=n_rows - 1 - self.y)

    def of(
        self,
        *,
        micrograph: str | None = None,
        shape: tuple[int, int] | None = None,
        pixel_size: float | None = None,
    ) -> Boxes:
        """The same boxes, with what is given here filled in about their micrograph."""
        return dataclasses.replace(
            self,
            micrograph=self.micrograph if micrograph is None else micrograph,
            shape=self.shape if shape is None else shape,
            pixel_size=self.pixel_size if pixel_size is None else pixel_size,
        )


def concatenate_boxes(parts: Sequence[Boxes]) -> Boxes:
    """All boxes of `parts` in one, with the micrograph, shape and pixel size of the first."""
    if not parts:
        return Boxes.empty()
    columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS}
    return dataclasses.replace(parts[0], **columns)


def _scaled_shape(shape: tuple[int, int], factor: float) -> tuple[int, int]:
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))
