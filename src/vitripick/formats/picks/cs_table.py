"""Open the tables of cryoSPARC (`.cs`), and read the shifts and classes that it found for each particle.

A shift is counted in pixels of the images that were aligned (`psize_A` beside it), and moves the particle to the middle
of its image, x first. So the particle lies at its position minus the shift. The sign follows an example in the
documentation of cryosparc-tools. The order follows pyem and cryoDRGN, although that example has y first. It was not
tried with a live cryoSPARC.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt

from vitripick.errors import FormatError
from vitripick.formats.picks.csdat import is_csdat, read_csdat
from vitripick.formats.text import read_file
from vitripick.geometry import Alignment, FloatArray
from vitripick.geometry.alignment import MOST_CLASSES

log = logging.getLogger("vitripick")

_UID = "uid"
# A refinement comes after the 2-D classification, so its fields go first.
_ALIGNMENTS = ("alignments3D", "alignments2D")
# In characters; a column takes about 40.
_LONGEST_HEADER = 1_000_000
# NumPy raises these errors if header and data contradict each other.
_DAMAGED = (ValueError, EOFError, TypeError, SyntaxError, OverflowError, RecursionError, MemoryError, TokenError)


def load_cs(path: Path) -> npt.NDArray[Any]:
    """Return the table of a `.cs` file, read without pickling; a compressed one needs cryosparc-tools."""
    data = read_file(path)
    if is_csdat(data):
        return read_csdat(path, data)
    if not data.startswith(b"\x93NUMPY"):
        raise FormatError(f"{path}: this is neither a NumPy array nor CSDAT, as .cs files are.")
    try:
        # A pickle runs whatever its author wrote, so pickling is never allowed. A table with hundreds of columns has a
        # header longer than NumPy's own limit, which guards against headers that take too long to read.
        rows: npt.NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False, max_header_size=_LONGEST_HEADER)
    except _DAMAGED as error:
        raise FormatError(f"{path}: this NumPy array cannot be read: {_in_one_line(error)}.") from None
    if rows.dtype.names is None or rows.ndim != 1:
        raise FormatError(f"{path}: a .cs file is a table with named columns, but this is an array of {rows.dtype}.")
    return rows


def join_passthrough(rows: npt.NDArray[Any], path: Path, wanted: Sequence[str]) -> npt.NDArray[Any] | None:
    """Return the table with the `wanted` fields of a passthrough file next to it; None if no file has them all.

    A job writes the fields that it changed into one file, and the others into a second one with `passthrough` in its
    name. The particles' ids say which rows belong together.
    """
    names = rows.dtype.names or ()
    if _UID not in names or not _is_whole_number(rows.dtype[_UID]):
        return None
    for beside in sorted(path.parent.glob("*passthrough*.cs")):
        if beside.name == path.name:
            continue
        other = load_cs(beside)
        if not {_UID, *wanted} <= set(other.dtype.names or ()) or not _is_whole_number(other.dtype[_UID]):
            continue
        order = np.argsort(other[_UID], kind="stable")
        at = np.searchsorted(other[_UID][order], rows[_UID])
        at = order[np.minimum(at, len(order) - 1)] if len(order) else np.zeros(len(rows), np.intp)
        if len(rows) and (not len(order) or (other[_UID][at] != rows[_UID]).any()):
            continue  # the passthrough of other particles
        extra = [name for name in other.dtype.names or () if name not in names]
        joined = np.empty(
            len(rows), [(name, rows.dtype[name]) for name in names] + [(name, other.dtype[name]) for name in extra]
        )
        for name in names:
            joined[name] = rows[name]
        for name in extra:
            joined[name] = other[name][at] if len(rows) else other[name][:0]
        log.warning("%s: the positions of its particles are read from %s", path, beside.name)
        return joined
    return None


def _is_whole_number(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "iu" and not dtype.shape


def cs_alignment(rows: npt.NDArray[Any], path: Path) -> Alignment | None:
    """Return the shifts and classes of a table's particles; None where it has neither.

    Raises
    ------
    FormatError
        If a shift is not two numbers, or a class not one.
    """
    names = rows.dtype.names or ()
    n = len(rows)
    shift, classes = np.zeros((n, 2)), np.full(n, -1, np.int64)
    stage = next((one for one in _ALIGNMENTS if f"{one}/shift" in names), None)
    if stage is not None:
        field = f"{stage}/shift"
        if rows.dtype[field].shape != (2,) or rows.dtype[field].base.kind not in "fiu":
            raise FormatError(f"{path}: {field} should hold two numbers in each row, but it holds {rows.dtype[field]}.")
        pixels = rows[field].astype(np.float64)
        if not np.isfinite(pixels).all():
            raise FormatError(f"{path}: a particle has a shift that is not a number ({field}).")
        size = f"{stage}/psize_A" if f"{stage}/psize_A" in names else "blob/psize_A"
        sizes = float_column(rows, size, path) if size in names else np.full(n, np.nan)
        sizes = np.where(sizes > 0, sizes, np.nan)
        # Without a size of the images' pixels, only a shift of 0 is known in Å.
        shift = np.where(pixels == 0, 0.0, pixels * sizes[:, None])
    counted = next((f"{one}/class" for one in _ALIGNMENTS if f"{one}/class" in names), None)
    if counted is not None:
        numbers = float_column(rows, counted, path)
        classes = np.where(np.abs(numbers) <= MOST_CLASSES, numbers, -1).astype(np.int64)
    if stage is None and counted is None:
        return None
    return Alignment(shift, classes, np.full(n, np.nan))


def micrograph_pixel_sizes(rows: npt.NDArray[Any], path: Path) -> list[float | None]:
    """Return Å per pixel of the micrograph of each row, None where the table does not say it."""
    field = "location/micrograph_psize_A"
    if field not in (rows.dtype.names or ()):
        return [None] * len(rows)
    return [size if np.isfinite(size) and size > 0 else None for size in float_column(rows, field, path).tolist()]


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120].rstrip(".") or type(error).__name__


def float_column(rows: npt.NDArray[Any], name: str, path: Path) -> FloatArray:
    """Return a column of one number in each row, or raise a `FormatError`."""
    if rows.dtype[name].kind not in "fiu" or rows.dtype[name].shape:
        raise FormatError(f"{path}: {name} should hold one number in each row, but it holds {rows.dtype[name]}.")
    return rows[name].astype(np.float64)
