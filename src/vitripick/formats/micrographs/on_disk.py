"""Average a micrograph down piece by piece, so that it is never in memory at full size as floats.

An MRC file stays on the disk meanwhile. Other formats must be decoded as a whole, but their pixels stay as small as
they are stored: a byte or two each.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from vitripick.formats.micrographs.files import (
    OUTLIER_DEVIATIONS,
    checked,
    doubts_about,
    has_outliers,
    opened,
    read_image_file,
    read_micrograph,
)
from vitripick.formats.micrographs.image_file import ImageFile
from vitripick.formats.micrographs.mrc import open_mrc_rows
from vitripick.geometry import Image, Micrograph
from vitripick.timing import stage

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# Pieces of about this many pixels stay in the processor's cache, so rows are read and averaged in such pieces.
_PIECE_PIXELS = 1 << 18
# If the averages spread less than this share of their size, the micrograph may be constant, so it is read in full.
_NEARLY_CONSTANT = 1e-4
# An outlier of 1000 deviations is one of about 200 after it was averaged with the pixels of 25 rows.
_NARROW_DEVIATIONS = 0.1 * OUTLIER_DEVIATIONS
# Whole numbers of this size take half the memory of floats, or less.
_FEW_BYTES = 2
# (first row, one past the last) -> these rows, float32
_Read: TypeAlias = Callable[[int, int], Image]


class MicrographOnDisk(Micrograph):
    """Leaves the pixels of a `Micrograph` in their file, an MRC file that is not compressed.

    `warnings` says what the reader tolerated in the header. The warnings of `in_memory()` cover the pixels, too.
    """

    path: Path
    _shape: tuple[int, int]

    def __init__(
        self,
        path: Path,
        *,
        name: str,
        shape: tuple[int, int],
        pixel_size: float | None,
        warnings: tuple[str, ...] = (),
    ) -> None:
        # A micrograph is frozen, and this one has no image for the usual constructor.
        vars(self).update(path=path, name=name, _shape=shape, pixel_size=pixel_size, warnings=warnings)

    @property
    def shape(self) -> tuple[int, int]:
        """Return (rows, columns)."""
        return self._shape

    @property
    def image(self) -> Image:
        """Read the file and return all of its pixels: (rows, columns), float32."""
        return self.in_memory().image

    def in_memory(self) -> Micrograph:
        """Read the file and return the whole micrograph.

        Raises
        ------
        MicrographError
            As `read_micrograph`.
        """
        whole = read_micrograph(self.path, name=self.name, pixel_size=self.pixel_size)
        return dataclasses.replace(whole, warnings=tuple(dict.fromkeys([*self.warnings, *whole.warnings])))

    def reduced(self, shape: tuple[int, int]) -> Image | None:
        """Read the micrograph and return it averaged over areas to `shape`, as `resize` does to within rounding.

        Returns
        -------
        (rows, columns), float32, or None
            None if the whole micrograph must be in memory: to enlarge it, to replace pixels that are NaN or far from
            all others, or to check whether it is constant.

        Raises
        ------
        MicrographError
            As `read_micrograph`.
        """
        with opened(self.path) as (_, file, size):
            rows = open_mrc_rows(file, size, self.path)
            return _reduced(lambda start, stop: rows.read(file, start, stop), self.shape, shape)


class MicrographAsStored(Micrograph):
    """Holds the pixels of a `Micrograph` as whole numbers of one or two bytes, as its TIFF, PNG or JPG file does.

    `warnings` says what the reader tolerated in the file. The warnings of `in_memory()` cover the pixels, too.
    """

    path: Path
    _found: ImageFile

    def __init__(self, found: ImageFile, path: Path, *, name: str, pixel_size: float | None) -> None:
        # A micrograph is frozen, and this one has no image for the usual constructor.
        doubts = () if pixel_size is not None else doubts_about(found.header.pixel_size)
        vars(self).update(
            path=path,
            name=name,
            pixel_size=found.header.pixel_size if pixel_size is None else pixel_size,
            warnings=(*found.warnings, *doubts),
            _found=found,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Return (rows, columns)."""
        return self._found.header.shape

    @property
    def image(self) -> Image:
        """Return all pixels: (rows, columns), float32."""
        return self.in_memory().image

    def in_memory(self) -> Micrograph:
        """Return the whole micrograph as floats."""
        whole = checked(self._found, self.path, name=self.name, pixel_size=self.pixel_size)
        return dataclasses.replace(whole, warnings=tuple(dict.fromkeys([*self.warnings, *whole.warnings])))

    def reduced(self, shape: tuple[int, int]) -> Image | None:
        """Return the micrograph averaged over areas to `shape`; None as in `MicrographOnDisk.reduced`."""
        pixels = self._found.pixels
        return _reduced(lambda start, stop: pixels[start:stop].astype(np.float32), self.shape, shape)


def open_micrograph(path: str | Path, *, name: str | None = None, pixel_size: float | None = None) -> Micrograph:
    """Return a micrograph that is averaged down piece by piece where its pixels allow it, else one in memory.

    Parameters
    ----------
    path, name, pixel_size
        As in `read_micrograph`.

    Raises
    ------
    MicrographError
        Errors of `read_micrograph`, as far as the header shows them.
    """
    path = Path(path)
    with opened(path) as (kind, file, size):
        if kind != "mrc":
            found = read_image_file(kind, file, size, path)
            if found.pixels.dtype.kind in "iu" and found.pixels.dtype.itemsize <= _FEW_BYTES:
                return MicrographAsStored(found, path, name=path.name if name is None else name, pixel_size=pixel_size)
            return checked(found, path, name=name, pixel_size=pixel_size)
        rows = open_mrc_rows(file, size, path)
    header = rows.header
    return MicrographOnDisk(
        path=path,
        name=path.name if name is None else name,
        shape=header.shape,
        pixel_size=header.pixel_size if pixel_size is None else pixel_size,
        warnings=(*rows.warnings, *(doubts_about(header.pixel_size) if pixel_size is None else ())),
    )


def _reduced(read: _Read, shape: tuple[int, int], to: tuple[int, int]) -> Image | None:
    """Return the image averaged over areas from `shape` to `to`, or None if all of it must be seen at once."""
    if to[0] > shape[0] or to[1] > shape[1]:
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        narrow = _average_rows(read, shape, to[0])
    lowest, highest = float(narrow.min()), float(narrow.max())
    # A comparison with NaN is false, so `not` makes this hold for NaN and Inf, too.
    if not highest - lowest > _NEARLY_CONSTANT * max(abs(lowest), abs(highest)):
        return None
    if has_outliers(narrow, deviations=_NARROW_DEVIATIONS, limits=(lowest, highest)):
        return None
    return np.asarray(cv2.resize(narrow, (to[1], to[0]), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _average_rows(read: _Read, shape: tuple[int, int], n_out: int) -> Image:
    """Return (n_out, columns): each row is the average of the rows it covers, with shared ones weighted."""
    n_in, columns = shape
    shares = _shares(n_in, n_out)
    result = np.empty((n_out, columns), np.float32)
    step = max(1, int(_PIECE_PIXELS / columns * n_out / n_in))
    for top in range(0, n_out, step):
        bottom = min(top + step, n_out)
        start, stop, weights = shares.piece(top, bottom)
        with stage("read"):
            piece = read(start, stop)
        result[top:bottom] = weights @ piece
    return result


@dataclass(frozen=True, eq=False)
class _Shares:
    """Says which input rows each output row covers, and with which weights, as the parts of a sparse matrix.

    A product with a sparse matrix is one call for a whole piece. It starts no threads, unlike a dense product, and
    leaves Python's lock to the other jobs, unlike a call for each row.
    """

    weights: npt.NDArray[np.float32]
    rows: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int32]

    def piece(self, top: int, bottom: int) -> tuple[int, int, csr_array]:
        """Return the input rows, first and one past the last, of some output rows, and the matrix between the two."""
        from scipy.sparse import csr_array  # it takes 60 ms to load; a run loads it while the network is compiled

        starts = self.starts[top : bottom + 1]
        rows, weights = self.rows[starts[0] : starts[-1]], self.weights[starts[0] : starts[-1]]
        first, stop = int(rows[0]), int(rows[-1]) + 1
        matrix = csr_array((weights, rows - rows[0], starts - starts[0]), shape=(bottom - top, stop - first))
        return first, stop, matrix


@lru_cache(maxsize=16)
def _shares(n_in: int, n_out: int) -> _Shares:
    """Return how `n_in` rows are shared among `n_out` ones.

    OpenCV's area average ignores shares below a thousandth of a row, and so does this function.
    """
    scale = n_in / n_out
    lower = np.arange(n_out) * scale
    upper = np.minimum(lower + scale, n_in)
    first = np.floor(lower + 1e-3).astype(np.intp)
    last = np.minimum(np.ceil(upper - 1e-3).astype(np.intp) - 1, n_in - 1)
    counts = last - first + 1
    starts = np.concatenate([[0], np.cumsum(counts)])
    of = np.repeat(np.arange(n_out), counts)
    at = np.arange(starts[-1]) - starts[of] + first[of]
    share = (np.minimum(at + 1, upper[of]) - np.maximum(at, lower[of])) / (upper - lower)[of]
    return _Shares(share.astype(np.float32), at.astype(np.int32), starts.astype(np.int32))
