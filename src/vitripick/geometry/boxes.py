"""Define `Boxes`, which say where particles are: labels (placed by a person) or picks (proposed by a model)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from vitripick.geometry.alignment import Alignment, join_alignments

FloatArray: TypeAlias = npt.NDArray[np.float64]
# An index, several indices, a mask or a slice chooses some of the boxes.
Which: TypeAlias = (
    int | np.integer[Any] | slice | Sequence[int] | Sequence[bool] | npt.NDArray[np.bool_ | np.integer[Any]]
)

_COLUMNS = ("x", "y", "width", "height", "confidence", "estimated_width", "estimated_height")


@dataclass(frozen=True, eq=False, repr=False)
class Boxes:
    """Holds the boxes of one micrograph: their centres and sizes in pixels of the full-size micrograph.

    `x` runs along columns and `y` along rows. Row 0 is the first row stored in the MRC file, and (0, 0) is the middle
    of the first stored pixel. Every column is an array with one number for each box. A number that is not known is NaN.

    Attributes
    ----------
    x, y : (n,), float64
        Centres.
    width, height : (n,), float64
        Sizes; NaN where the file did not say (RELION's STAR, for one).
    confidence : (n,), float64
        The model's confidence, 0-1; NaN for labels.
    estimated_width, estimated_height : (n,), float64
        The size that the network saw, which may differ from the exported one; NaN if it gave none.
    micrograph
        The micrograph's identity: its path relative to the input root, or the string in the STAR.
    shape
        (rows, columns) of the full-size micrograph, where known.
    pixel_size
        Å per pixel, where known.
    alignment
        Shifts and classes of each box, where a classification or a refinement found them; `recentred` applies shifts.

    Examples
    --------
    `Boxes.at` makes boxes from centres; `repr` says what they are.

    >>> picks = Boxes.at([120, 40.5, 300], [80, 60, 200], size_px=80, confidence=[0.9, 0.4, 0.7], micrograph="a.mrc")
    >>> picks
    3 boxes of a.mrc, 80 px, confidence 0.40–0.90
    >>> picks.x
    array([120. ,  40.5, 300. ])

    A mask, a slice or an array of indices gives the boxes that it names, in that order. One index gives one box, which
    is a `Boxes` too; a loop gives every box that way.

    >>> picks[picks.confidence > 0.5]
    2 boxes of a.mrc, 80 px, confidence 0.70–0.90
    >>> picks[-1]
    1 box of a.mrc, 80 px, confidence 0.70
    >>> [box.confidence.item() for box in picks[:2]]
    [0.9, 0.4]

    Numbers come from the columns, not from the boxes: `centres` is an array of shape (n, 2).

    >>> picks.centres[0]
    array([120.,  80.])

    A file of coordinates alone gives neither a size nor a confidence: both are NaN.

    >>> labels = Boxes.at([10, 20], [5, 6])
    >>> labels
    2 boxes, size unknown, no confidence
    >>> labels.width
    array([nan, nan])
    >>> labels.with_size(64)
    2 boxes, 64 px, no confidence

    The frame stays that of the full-size micrograph. `scaled` brings boxes there from an image binned by 4.

    >>> Boxes.at([0], [0], size_px=20).scaled(4).centres
    array([[1.5, 1.5]])
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
    alignment: Alignment | None = None

    def __post_init__(self) -> None:
        n = len(self.x)
        for name in _COLUMNS:
            column = getattr(self, name)
            if not isinstance(column, np.ndarray) or column.dtype != np.float64 or column.shape != (n,):
                raise ValueError(f"Boxes.{name} must be a float64 array of shape ({n},), got {column!r}")
        if self.alignment is not None and len(self.alignment) != n:
            raise ValueError(f"Boxes.alignment is of {len(self.alignment)} boxes, but there are {n}")

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
        """Return boxes with these centres; a scalar is repeated for every box.

        Parameters
        ----------
        x, y : (n,)
            Centres in full-size pixels.
        size_px
            Width and height of square boxes; `width` and `height` override it.
        width, height, confidence, estimated_width, estimated_height
            One number for all boxes, or (n,).
        micrograph, shape, pixel_size
            As in `Boxes`.

        Raises
        ------
        ValueError
            If a column has another number of values than `x`.

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
        """Return no boxes: the micrograph was searched and holds none."""
        return cls.at([], [], micrograph=micrograph, shape=shape, pixel_size=pixel_size)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, which: Which) -> Boxes:
        """Return the boxes that an index, several, a mask or a slice names, in that order.

        Raises
        ------
        IndexError
            If an index or a mask goes beyond the boxes.
        """
        # One index gives one box, so that whatever takes Boxes takes the result.
        at: Any = [which] if isinstance(which, (int, np.integer)) else which
        columns: dict[str, Any] = {name: getattr(self, name)[at] for name in _COLUMNS}
        return dataclasses.replace(self, **columns, alignment=None if self.alignment is None else self.alignment[at])

    def __iter__(self) -> Iterator[Boxes]:
        """Return the boxes one by one, each as a `Boxes` of one."""
        return (self[i] for i in range(len(self)))

    def __array__(self, *args: Any, **options: Any) -> NoReturn:
        raise TypeError("Boxes are columns, not one array: take .centres for (n, 2), or .x, .y, .width, .confidence.")

    def __repr__(self) -> str:
        count = "1 box" if len(self) == 1 else f"{len(self)} boxes"
        name = "" if self.micrograph is None else f" of {self.micrograph}"
        facts = f", {self._size_in_words()}, {self._confidence_in_words()}" if len(self) else ""
        return count + name + facts

    def _size_in_words(self) -> str:
        known = np.isfinite(self.width) & np.isfinite(self.height)
        if not known.any():
            return "size unknown"
        width, height = (_range(side[known], ".4g") for side in (self.width, self.height))
        size = f"{width} px" if np.array_equal(self.width[known], self.height[known]) else f"{width} x {height} px"
        return size + _where_known(known)

    def _confidence_in_words(self) -> str:
        known = np.isfinite(self.confidence)
        if not known.any():
            return "no confidence"
        return f"confidence {_range(self.confidence[known], '.2f')}{_where_known(known)}"

    @property
    def has_size(self) -> bool:
        """Return whether every box has a width and a height (true when there are no boxes)."""
        return bool(np.isfinite(self.width).all() and np.isfinite(self.height).all())

    @property
    def has_confidence(self) -> bool:
        """Return whether every box has a confidence (true when there are no boxes)."""
        return bool(np.isfinite(self.confidence).all())

    @property
    def centres(self) -> FloatArray:
        """Return x and y as one array: (n, 2), float64."""
        return np.column_stack([self.x, self.y])

    @property
    def box_size_px(self) -> float:
        """Return the median of width and height over all boxes; NaN where no size is known."""
        sizes = np.concatenate([self.width, self.height])
        sizes = sizes[np.isfinite(sizes)]
        return float(np.median(sizes)) if len(sizes) else float("nan")

    def select(self, which: Which) -> Boxes:
        """Return `self[which]`, for a chain of calls."""
        return self[which]

    def above(self, threshold: float) -> Boxes:
        """Return the boxes with at least this confidence; labels (no confidence) all stay."""
        return self.select(~(self.confidence < threshold))

    def inside(self, shape: tuple[int, int]) -> Boxes:
        """Return the boxes whose centre lies on a pixel of a micrograph of this shape, (rows, columns)."""
        rows, columns = shape
        x, y = self.x, self.y
        return self.select((x >= -0.5) & (x <= columns - 0.5) & (y >= -0.5) & (y <= rows - 0.5))

    def by_confidence(self) -> Boxes:
        """Return the boxes by falling confidence; equal ones keep their order."""
        return self.select(np.argsort(-self.confidence, kind="stable"))

    def with_size(self, size_px: float) -> Boxes:
        """Return square boxes of this size around the same centres."""
        size = np.full(len(self), float(size_px))
        return dataclasses.replace(self, width=size, height=size.copy())

    def renamed(self, micrograph: str) -> Boxes:
        """Return the same boxes under another name of their micrograph."""
        return dataclasses.replace(self, micrograph=micrograph)

    def scaled(self, factor: float) -> Boxes:
        """Return the boxes in an image enlarged by `factor`: from a binned image to the full size, or back.

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
        """Return the boxes with y counted from the last row instead of the first, or back.

        `n_rows` is the number of rows of the full-size micrograph.
        """
        alignment = None if self.alignment is None else self.alignment.turned_over()
        return dataclasses.replace(self, y=n_rows - 1 - self.y, alignment=alignment)

    def recentred(self, pixel_size: float) -> Boxes:
        """Return the boxes where their particles are: each centre minus its refined shift.

        `pixel_size` is that of the full-size micrograph, in Å per pixel. Boxes without shifts stay where they are.

        Examples
        --------
        >>> from vitripick.geometry import Alignment
        >>> found = Alignment(np.array([[10.0, 0.0]]), np.array([1]), np.array([np.nan]))
        >>> dataclasses.replace(Boxes.at([100], [50]), alignment=found).recentred(2.0).centres
        array([[95., 50.]])
        """
        if self.alignment is None:
            return self
        shift = self.alignment.shift_angstrom / pixel_size
        return dataclasses.replace(
            self, x=self.x - shift[:, 0], y=self.y - shift[:, 1], alignment=self.alignment.without_shifts()
        )

    def of(
        self,
        *,
        micrograph: str | None = None,
        shape: tuple[int, int] | None = None,
        pixel_size: float | None = None,
    ) -> Boxes:
        """Return the same boxes with these facts about their micrograph; None keeps what they have."""
        return dataclasses.replace(
            self,
            micrograph=self.micrograph if micrograph is None else micrograph,
            shape=self.shape if shape is None else shape,
            pixel_size=self.pixel_size if pixel_size is None else pixel_size,
        )

    def sized(self, size_px: float) -> Boxes:
        """Return the same boxes, with `size_px` where one has no width or height."""
        if self.has_size:
            return self
        width = np.where(np.isfinite(self.width), self.width, size_px)
        height = np.where(np.isfinite(self.height), self.height, size_px)
        return dataclasses.replace(self, width=width, height=height)


def concatenate_boxes(parts: Sequence[Boxes]) -> Boxes:
    """Return all boxes of `parts` as one, with the micrograph, shape and pixel size of the first."""
    if not parts:
        return Boxes.empty()
    columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS}
    alignment = join_alignments([part.alignment for part in parts], [len(part) for part in parts])
    return dataclasses.replace(parts[0], **columns, alignment=alignment)


def _scaled_shape(shape: tuple[int, int], factor: float) -> tuple[int, int]:
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def _range(values: FloatArray, format: str) -> str:
    low, high = f"{values.min():{format}}", f"{values.max():{format}}"
    return low if low == high else f"{low}–{high}"


def _where_known(known: npt.NDArray[np.bool_]) -> str:
    return "" if known.all() else " where known"
