"""Read MRC files (MRC2014 and its variants) fast and tolerantly, and write them with `mrcfile`.

Row 0 of the array is the first row stored. Where the length of the data fits, three quirks give only a warning:
machine stamps that are zero or wrong, extended headers of a wrong length, and bytes behind the data.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from vitripick.atomic import atomic_path
from vitripick.errors import MicrographError
from vitripick.formats.micrographs.image_file import (
    ImageFile,
    MicrographHeader,
    check_shape,
    check_unpacked,
    choose_slice,
    sane_pixel_size,
)
from vitripick.formats.micrographs.sign import looks_unsigned
from vitripick.geometry import Image

HEADER_BYTES = 1024
# This gives the bits a pixel by mode. 101 is IMOD's (and RELION's) packed 4-bit, for movies of counted electrons.
_BITS = {0: 8, 1: 16, 2: 32, 6: 16, 12: 16, 101: 4}
_DTYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2", 101: "u1"}
_REFUSED = {
    3: "complex 16-bit integers (mode 3), a Fourier transform",
    4: "complex floats (mode 4), a Fourier transform",
    16: "RGB colours (mode 16)",
}
_STAMPS = {b"\x44\x44": "<", b"\x44\x41": "<", b"\x11\x11": ">"}
_ORDER_NAMES = {"<": "little-endian", ">": "big-endian"}
_IMOD_STAMP = 1146047817
# Pieces of this size stay in the processor's cache, so reading and converting them is faster than one large piece.
_STRIP_BYTES = 1 << 20
# SerialEM's extended headers of movies have some hundred kilobytes.
_MOST_EXTENDED = 16 << 20
# This many rows, at equal steps, show whether bytes are unsigned.
_N_LOOKED_AT = 64


@dataclass(frozen=True)
class _Layout:
    """Says where an MRC file's pixels lie, and how."""

    order: str
    mode: int
    columns: int
    rows: int
    n_slices: int
    extended_bytes: int
    pixel_size: float | None
    unsigned_bytes: bool
    warnings: tuple[str, ...]

    @property
    def row_bytes(self) -> int:
        return (self.columns * _BITS[self.mode] + 7) // 8  # a row of packed 4-bit pixels starts on a byte

    @property
    def data_bytes(self) -> int:
        return self.row_bytes * self.rows * self.n_slices

    @property
    def dtype(self) -> np.dtype[Any]:
        kind = "u1" if self.mode == 0 and self.unsigned_bytes else _DTYPES[self.mode]
        return np.dtype(self.order + kind)

    @property
    def header(self) -> MicrographHeader:
        kind = "" if self.mode == 101 else self.dtype.name
        return MicrographHeader((self.rows, self.columns), self.pixel_size, self.n_slices, kind)


def read_mrc_header(start: bytes | bytearray, size: int | None, path: Path) -> MicrographHeader:
    """Return the header from the first 1024 bytes.

    Parameters
    ----------
    start
        The file's first bytes.
    size
        Bytes in the whole file; None where that is not known, as for a compressed file.
    path
        For messages.

    Raises
    ------
    MicrographError
        If this is not an MRC file, has a mode that is not an image, or has less data than the header says.
    """
    layout = _parse(start, size, path)
    if size is not None:
        _data_offset(layout, size, path)
    return layout.header


def read_mrc(file: BinaryIO, size: int, path: Path, *, slice_index: int | None = None) -> ImageFile:
    """Read one slice; the header is compared with `size` before anything is allocated.

    This reads modes 0 (int8; unsigned where IMOD's flags say so), 1 (int16), 2 (float32), 6 (uint16), 12 (float16) and
    101 (packed 4-bit), in both byte orders.

    Parameters
    ----------
    file
        Open for reading, at any place.
    size
        Its length in bytes.
    path
        For messages.
    slice_index
        Which slice of a stack, from 0.

    Raises
    ------
    MicrographError
        As `read_mrc_header`, and for a stack without `slice_index`.
    """
    file.seek(0)
    layout = _parse(file.read(HEADER_BYTES), size, path)
    offset, warnings = _data_offset(layout, size, path)
    index = choose_slice(layout.n_slices, slice_index, path)
    layout = _with_sign(file, layout, offset)
    file.seek(offset + index * layout.row_bytes * layout.rows)
    image = _read_packed(file, layout, path) if layout.mode == 101 else _read_pixels(file, layout, path)
    return ImageFile(image, layout.header, (*layout.warnings, *warnings))


def bytes_needed(start: bytes, path: Path) -> int:
    """Return how many bytes of an unpacked file are needed to read its image; errors as in `read_mrc_header`."""
    layout = _parse(start, None, path)
    extended = layout.extended_bytes
    # If the length of the extended header is nonsense, all bytes around the data must be checked.
    return HEADER_BYTES + layout.data_bytes + (extended if 0 <= extended <= _MOST_EXTENDED else _MOST_EXTENDED)


@dataclass(frozen=True)
class MrcRows:
    """Reads some rows of a single image, so that the whole image need not be in memory."""

    header: MicrographHeader
    warnings: tuple[str, ...]
    layout: _Layout
    offset: int
    path: Path

    def read(self, file: BinaryIO, start: int, stop: int) -> Image:
        """Return rows `start` up to but not including `stop`, as float32; this works for packed files, too."""
        layout = self.layout
        file.seek(self.offset + start * layout.row_bytes)
        some = replace(layout, rows=stop - start)
        return _read_packed(file, some, self.path) if layout.mode == 101 else _read_pixels(file, some, self.path)


def open_mrc_rows(file: BinaryIO, size: int, path: Path) -> MrcRows:
    """Open a file of one slice and leave its pixels to be read later; errors are those of `read_mrc`."""
    file.seek(0)
    layout = _parse(file.read(HEADER_BYTES), size, path)
    offset, warnings = _data_offset(layout, size, path)
    choose_slice(layout.n_slices, None, path)
    layout = _with_sign(file, layout, offset)
    return MrcRows(layout.header, (*layout.warnings, *warnings), layout, offset, path)


def read_mrc_volume(path: str | Path) -> tuple[npt.NDArray[np.float32], float | None]:
    """Read a density map, all sections.

    Parameters
    ----------
    path
        An MRC (`.mrc`, `.map`, `.ccp4`) file, not compressed.

    Returns
    -------
    volume : (sections, rows, columns), float32
    pixel_size
        Å per voxel along x; None where the header says none or something absurd.

    Raises
    ------
    MicrographError
        As `read_mrc_header`, or if the file is missing.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            layout = _parse(file.read(HEADER_BYTES), size, path)
            offset, _ = _data_offset(layout, size, path)
            file.seek(offset)
            read = _read_packed if layout.mode == 101 else _read_pixels
            volume = np.stack([read(file, layout, path) for _ in range(layout.n_slices)])
    except OSError as error:
        raise MicrographError(f"{path}: cannot read this map: {error.strerror}.") from error
    return volume, layout.pixel_size


def write_mrc(
    path: str | Path,
    image: npt.NDArray[Any],
    *,
    pixel_size: float | None = None,
    dtype: npt.DTypeLike = np.float32,
    label: str = "Written by vitripick",
) -> None:
    """Write one micrograph, whole or not at all.

    Parameters
    ----------
    path
        Ends in `.mrc`; its folder is made if it is missing.
    image : (rows, columns)
        Row 0 becomes the first row stored.
    pixel_size
        Å per pixel, for the header; without it the header has 0.
    dtype
        int8, int16, uint16, float16 or float32. Floats are rounded to whole numbers for the first three.
    label
        What the header says about the file, 80 letters of ASCII at most.

    Raises
    ------
    ValueError
        If `image` is not 2-D, MRC has no mode for `dtype`, or a value does not fit it.
    """
    import mrcfile  # only writing needs it, so reading does not pay for the import

    target = np.dtype(dtype)
    if image.ndim != 2 or target not in [np.dtype(kind) for kind in ("i1", "i2", "u2", "f2", "f4")]:
        raise ValueError(f"an image of shape {image.shape} as {target} is not an MRC micrograph")
    if target.kind in "iu":
        limits = np.iinfo(target)
        if not (image.min() >= limits.min and image.max() <= limits.max):
            raise ValueError(f"pixels from {image.min()} to {image.max()} do not fit {target}")
        image = np.rint(image)
    with atomic_path(path) as temporary, mrcfile.new(temporary, overwrite=True) as file:
        file.set_data(np.ascontiguousarray(image, dtype=target))
        file.voxel_size = pixel_size or 0.0
        # mrcfile's own label holds the time, but the same pixels should give the same bytes, so ours replaces it.
        file.header.label[0] = label.encode("ascii")


def _parse(start: bytes | bytearray, size: int | None, path: Path) -> _Layout:
    if len(start) < HEADER_BYTES:
        raise MicrographError(f"{path}: has {len(start)} of the {HEADER_BYTES} bytes of an MRC header.")
    order, warnings = _byte_order(start, size)
    columns, rows, n_slices, mode = struct.unpack_from(f"{order}4i", start)
    if mode in _REFUSED:
        raise MicrographError(f"{path}: holds {_REFUSED[mode]}, not a micrograph.")
    if mode not in _BITS:
        raise MicrographError(
            f"{path}: this is not an MRC file of a known kind (its mode is {mode}; vitripick reads 0, 1, 2, 6, 12, "
            "101)."
        )
    check_shape((rows, columns), n_slices, path)
    (extended_bytes,) = struct.unpack_from(f"{order}i", start, 92)
    pixel_size, more = _pixel_size(start, order)
    imod_stamp, imod_flags = struct.unpack_from(f"{order}2i", start, 152)
    layout = _Layout(
        order=order,
        mode=mode,
        columns=columns,
        rows=rows,
        n_slices=n_slices,
        extended_bytes=extended_bytes,
        pixel_size=pixel_size,
        # In IMOD 4.2.23 and later, bit 0 of the flags says that bytes are signed. Without IMOD's stamp the rule is
        # that of MRC2014: signed.
        unsigned_bytes=imod_stamp == _IMOD_STAMP and not imod_flags & 1,
        warnings=(*warnings, *more),
    )
    if size is None:
        # The unpacked bytes and the image as float32 are in memory at the same time.
        check_unpacked((rows, columns), n_slices * _BITS[mode] / 8 + 4, path)
    return layout


def _byte_order(start: bytes | bytearray, size: int | None) -> tuple[str, tuple[str, ...]]:
    """Return "<" or ">" as the machine stamp says, unless the header makes sense only in the other order."""
    stamp = bytes(start[212:214])
    stamped = _STAMPS.get(stamp)
    first = stamped or "<"
    other = ">" if first == "<" else "<"
    order = other if not _plausible(start, first, size) and _plausible(start, other, size) else first
    if order == stamped:
        return order, ()
    return order, (f"the machine stamp is {stamp.hex(' ')}; the file is read as {_ORDER_NAMES[order]}",)


def _plausible(start: bytes | bytearray, order: str, size: int | None) -> bool:
    columns, rows, n_slices, mode = struct.unpack_from(f"{order}4i", start)
    if mode not in _BITS and mode not in _REFUSED:
        return False
    n_pixels = columns * rows * n_slices
    return min(columns, rows, n_slices) >= 0 and (size is None or n_pixels * _BITS.get(mode, 8) // 8 <= size)


def _pixel_size(start: bytes | bytearray, order: str) -> tuple[float | None, tuple[str, ...]]:
    mx, my, _, cell_x, cell_y = struct.unpack_from(f"{order}3i2f", start, 28)
    if mx <= 0 or cell_x == 0:
        return None, ()
    # The cell is float32, so digits from the seventh on are rounding errors: 1.2000000477 for 1.2.
    raw = float(f"{cell_x / mx:.6g}")
    pixel_size = sane_pixel_size(raw)
    if pixel_size is None:
        return None, (f"the header's pixel size, {raw:.4g} Å, is absurd and not used",)
    raw_y = cell_y / my if my > 0 else 0.0
    if sane_pixel_size(raw_y) is not None and abs(raw_y - raw) > 0.01 * raw:
        return pixel_size, (f"the header's pixel size is {raw:.4g} Å along x and {raw_y:.4g} Å along y; x is used",)
    return pixel_size, ()


def _data_offset(layout: _Layout, size: int, path: Path) -> tuple[int, tuple[str, ...]]:
    """Return where the first slice starts, or raise a `MicrographError` if the data cannot be there."""
    extended, after_header = layout.extended_bytes, size - HEADER_BYTES
    if after_header == layout.data_bytes:
        if extended == 0:
            return HEADER_BYTES, ()
        return HEADER_BYTES, (f"the header promises {extended} bytes of extended header, but there are none",)
    if not 0 <= extended <= after_header:
        # The length is nonsense, so the extra bytes of the file must be the extended header, before the data.
        surplus = after_header - layout.data_bytes
        if surplus > 0:
            return HEADER_BYTES + surplus, (
                f"the header promises {extended} bytes of extended header; {surplus} are there",
            )
        extended = 0
    expected = HEADER_BYTES + extended + layout.data_bytes
    if size < expected:
        raise MicrographError(
            f"{path}: has {size} of {expected} bytes ({layout.columns} x {layout.rows} x {layout.n_slices} "
            f"pixels, mode {layout.mode}); it is still being written, or its copy was interrupted."
        )
    surplus = size - expected
    warnings = (f"the file is {surplus} bytes longer than its header says",) if surplus else ()
    return HEADER_BYTES + extended, warnings


def _read_pixels(file: BinaryIO, layout: _Layout, path: Path) -> Image:
    image = np.empty((layout.rows, layout.columns), dtype=np.float32)
    flat = image.reshape(-1)
    if layout.dtype == np.float32:  # float32 in this machine's own order
        _fill(file, flat, path)
        return image
    step = max(1, _STRIP_BYTES // layout.dtype.itemsize)
    strip = np.empty(min(step, len(flat)), dtype=layout.dtype)
    for first in range(0, len(flat), step):
        piece = strip[: len(flat) - first]
        _fill(file, piece, path)
        flat[first : first + step] = piece
    return image


def _read_packed(file: BinaryIO, layout: _Layout, path: Path) -> Image:
    """Read two pixels from each byte, the first in the lower four bits (IMOD 4.8, mode 101)."""
    image = np.empty((layout.rows, layout.columns), dtype=np.float32)
    step = max(1, _STRIP_BYTES // layout.row_bytes)
    for first in range(0, layout.rows, step):
        rows = image[first : first + step]
        stored = np.empty((len(rows), layout.row_bytes), dtype=np.uint8)
        _fill(file, stored.reshape(-1), path)
        rows[:, 0::2] = stored & 0x0F
        rows[:, 1::2] = (stored >> 4)[:, : layout.columns // 2]
    return image


def _with_sign(file: BinaryIO, layout: _Layout, offset: int) -> _Layout:
    """Return the layout, with bytes that look unsigned marked so, and a warning; older programs wrote such files."""
    if layout.mode != 0 or layout.unsigned_bytes:
        return layout
    n_rows = layout.rows * layout.n_slices
    counts = np.zeros(256, np.int64)
    for row in np.unique(np.linspace(0, n_rows - 1, min(n_rows, _N_LOOKED_AT)).astype(np.int64)):
        file.seek(offset + int(row) * layout.row_bytes)
        counts += np.bincount(np.frombuffer(file.read(layout.row_bytes), np.uint8), minlength=256)
    if not looks_unsigned(counts):
        return layout
    warning = (
        "mode 0 means signed bytes, but the histogram of these is split at 0, with its peak where signed bytes end; "
        "they are read as unsigned (0 to 255)"
    )
    return replace(layout, unsigned_bytes=True, warnings=(*layout.warnings, warning))


def _fill(file: BinaryIO, array: npt.NDArray[Any], path: Path) -> None:
    n_read = file.readinto(array.view(np.uint8).data)  # type: ignore[attr-defined]
    if n_read != array.nbytes:
        raise MicrographError(f"{path}: became shorter while it was read.")
