"""Read TIFF micrographs through `tifffile`: 8, 16 and 32 bits, plain or (with the extra `[tiff]`) compressed."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import tifffile

from vitripick.errors import MicrographError
from vitripick.formats.micrographs.image_file import (
    ImageFile,
    MicrographHeader,
    check_shape,
    check_unpacked,
    choose_slice,
    sane_pixel_size,
    to_grey,
)

# tifffile and its codecs raise these errors on damaged files; files that were cut and overwritten at random showed it.
# TiffFileError is a ValueError, and the codecs' own errors are RuntimeErrors.
_DAMAGE = (ValueError, RuntimeError, LookupError, TypeError, ArithmeticError, AttributeError, struct.error)
# No method can shrink an image by more than this factor: one code of 12 bits stands for at most 4096 bytes in LZW,
# deflate stops at 1:1032, PackBits at 2:128. So a header that claims more is damaged.
_LARGEST_RATIO = {
    tifffile.COMPRESSION.LZW: 2731,
    tifffile.COMPRESSION.ADOBE_DEFLATE: 1032,
    tifffile.COMPRESSION.DEFLATE: 1032,
    tifffile.COMPRESSION.PACKBITS: 64,
}
# The longest movies have some thousands of frames.
_MOST_PAGES = 100_000
_MOST_TAGS = 65_535
# tifffile logs a line for every page of a damaged file. Our error says what matters.
logging.getLogger("tifffile").addHandler(logging.NullHandler())
logging.getLogger("tifffile").propagate = False
_ANGSTROM_PER_UNIT = {2: 2.54e8, 3: 1e8}  # ResolutionUnit: inch, centimetre


def read_tiff_header(file: BinaryIO, size: int, path: Path) -> MicrographHeader:
    """Return shape, pixel size and number of slices without the pixels; arguments and errors as in `read_tiff`."""
    with _opened(file, path) as tiff:
        return _header(tiff, size, path)


def read_tiff(file: BinaryIO, size: int, path: Path, *, slice_index: int | None = None) -> ImageFile:
    """Read one image, flipped so that row 0 is the last row stored.

    TIFF stores the top row first. RELION, IMOD and EMAN2 flip it on reading, and so do we, so that coordinates mean the
    same in all of them.

    Parameters
    ----------
    file
        Open for reading.
    size
        Its length in bytes; the header's claims are compared with it before any allocation.
    path
        For messages.
    slice_index
        Which image of a stack, from 0.

    Raises
    ------
    MicrographError
        If the file is damaged or cut short, needs a decoder that is not installed, or is a stack and no
        `slice_index` is given.
    """
    with _opened(file, path) as tiff:
        header = _header(tiff, size, path)
        index = choose_slice(header.n_slices, slice_index, path)
        alike = _alike(tiff)
        series = alike[index // len(alike[0].pages)]
        pixels = series.asarray(key=index % len(alike[0].pages))
        if series.keyframe.axes.startswith("S"):  # channels stored as planes
            pixels = pixels.transpose(1, 2, 0)
        grey, warnings = to_grey(pixels)
        if others := len(tiff.series) - len(alike):
            warnings += (f"the file holds images of {1 + others} kinds; the first is read",)
    return ImageFile(grey[::-1], header, warnings)


@contextmanager
def _opened(file: BinaryIO, path: Path) -> Iterator[tifffile.TiffFile]:
    try:
        check_pages(file, path)
        file.seek(0)
        with tifffile.TiffFile(file) as tiff:
            yield tiff
    except MicrographError:
        raise
    except _DAMAGE as error:
        if "imagecodecs" in str(error):
            raise MicrographError(
                f"{path}: this TIFF is compressed in a way that needs another package ({_reason(error)}); "
                "pip install 'vitripick[tiff]', or save it uncompressed."
            ) from error
        raise MicrographError(f"{path}: this TIFF cannot be read ({_reason(error)}).") from error


def check_pages(file: BinaryIO, path: Path) -> None:
    """Raise a `MicrographError` if the pages of a TIFF lead in a circle, or are too many for a movie.

    In some damaged files the pages lead in a circle, which tifffile would follow without end. So they are followed here
    first.
    """
    file.seek(0)
    start = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    if order is None or len(start) < 8:
        return  # tifffile says what is wrong
    is_big = start[2:4] in (b"\x2b\x00", b"\x00\x2b")
    count, entry, offset = (f"{order}Q", 20, f"{order}Q") if is_big else (f"{order}H", 12, f"{order}I")
    where = start[8:16] if is_big else start[4:8]
    seen: set[int] = set()
    while len(where) == struct.calcsize(offset):
        (at,) = struct.unpack(offset, where)
        if at == 0:
            return
        if at in seen:
            raise MicrographError(
                f"{path}: the pages of this TIFF lead in a circle (page {len(seen) + 1} is an earlier one again); the "
                "file is damaged."
            )
        if len(seen) == _MOST_PAGES:
            raise MicrographError(f"{path}: this TIFF has more than {_MOST_PAGES} pages; no movie is so long.")
        seen.add(at)
        file.seek(at)
        number = file.read(struct.calcsize(count))
        if len(number) < struct.calcsize(count):
            return
        (n_tags,) = struct.unpack(count, number)
        if n_tags > _MOST_TAGS:
            return
        file.seek(at + len(number) + entry * n_tags)
        where = file.read(struct.calcsize(offset))


def _reason(error: Exception) -> str:
    return str(error).strip("'\"") or type(error).__name__


def _alike(tiff: tifffile.TiffFile) -> list[Any]:
    """Return the first image's series and all like it, because frames written one by one may each be a series."""
    first = tiff.series[0]
    return [other for other in tiff.series if (other.shape, other.dtype) == (first.shape, first.dtype)]


def _header(tiff: tifffile.TiffFile, size: int, path: Path) -> MicrographHeader:
    if not tiff.series:
        raise MicrographError(f"{path}: there is no image in this TIFF.")
    alike = _alike(tiff)
    page = alike[0].keyframe
    rows, columns = int(page.imagelength), int(page.imagewidth)
    n_slices = len(alike) * len(alike[0].pages)
    check_shape((rows, columns), n_slices, path)
    if page.dtype is None or page.dtype.kind not in "uif" or page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        kind = page.photometric.name.lower() if page.dtype is not None else f"{page.bitspersample}-bit"
        raise MicrographError(f"{path}: {kind} pixels are not a micrograph; save it as 8, 16 or 32-bit grey.")
    if page.imagedepth != 1 or page.samplesperpixel > 4:
        raise MicrographError(
            f"{path}: {page.samplesperpixel} channels of {page.imagedepth} layers are not a micrograph."
        )
    pixel_bytes = page.dtype.itemsize * page.samplesperpixel
    check_unpacked((rows, columns), pixel_bytes, path)
    if page.is_tiled:
        check_unpacked((page.tilelength, page.tilewidth), pixel_bytes, path)
    for series in alike:
        _check_data(series, size, path)
    return MicrographHeader((rows, columns), _pixel_size(page), n_slices)


def _check_data(series: Any, size: int, path: Path) -> None:
    """Raise a `MicrographError` if the image data ends before the header says it does."""
    end = 0
    for page in series.pages:
        if page is None:  # ImageJ writes one contiguous block, so a later frame has no page
            continue
        if not page.databytecounts or 0 in page.databytecounts:
            raise MicrographError(f"{path}: a part of the image was never written to this TIFF.")
        end = max(end, *map(sum, zip(page.dataoffsets, page.databytecounts, strict=False)))
    keyframe = series.keyframe
    n_bytes, needed = sum(keyframe.databytecounts), keyframe.size * keyframe.bitspersample // 8
    if keyframe.compression == tifffile.COMPRESSION.NONE:
        if n_bytes < needed:
            raise MicrographError(f"{path}: has {n_bytes} of {needed} bytes of pixels; the file is damaged.")
        if series.dataoffset is not None:  # contiguous
            end = max(end, series.dataoffset + series.nbytes)
    elif needed > n_bytes * _LARGEST_RATIO.get(keyframe.compression, needed):
        raise MicrographError(
            f"{path}: the header says {needed} bytes of pixels, but {n_bytes} compressed bytes cannot hold "
            "them; the file is damaged."
        )
    if size < end:
        raise MicrographError(
            f"{path}: has {size} of {end} bytes; it is still being written, or its copy was interrupted."
        )


def _pixel_size(page: Any) -> float | None:
    """Return it from the resolution tags if these make sense for a micrograph; a screen's 72 dpi does not."""
    unit, resolution = page.tags.get("ResolutionUnit"), page.tags.get("XResolution")
    if unit is None or resolution is None or int(unit.value) not in _ANGSTROM_PER_UNIT:
        return None
    numerator, denominator = resolution.value
    if not numerator or not denominator:
        return None
    return sane_pixel_size(_ANGSTROM_PER_UNIT[int(unit.value)] * denominator / numerator)
