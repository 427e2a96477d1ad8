"""Read PNG and JPG, the formats of screenshots and previews: 8 or 16 bits, no pixel size."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from vitripick.errors import MicrographError
from vitripick.formats.micrographs.image_file import (
    ImageFile,
    MicrographHeader,
    check_shape,
    check_unpacked,
    to_grey,
)

_PNG = b"\x89PNG\r\n\x1a\n"
_JPG = b"\xff\xd8"
# These JPEG markers start a frame and so hold its size (ITU T.81, table B.1); C4, C8 and CC mean something else.
_JPG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Programs append thumbnails and padding to a JPEG, so the marker that ends it is sought in this many last bytes.
_JPG_TAIL_BYTES = 1 << 16


def read_raster_header(file: BinaryIO, path: Path) -> MicrographHeader:
    """Return the shape of a PNG or JPG from its first bytes; arguments and errors are those of `read_raster`."""
    file.seek(0)
    start = file.read(8)
    if start == _PNG:
        shape = _png_shape(file.read(16), path)
    elif start.startswith(_JPG):
        file.seek(2)
        shape = _jpg_shape(file, path)
    else:
        raise MicrographError(f"{path}: this is neither a PNG nor a JPG, although its name says so.")
    check_shape(shape, 1, path)
    check_unpacked(shape, 4, path)
    return MicrographHeader(shape)


def read_raster(file: BinaryIO, path: Path) -> ImageFile:
    """Read a PNG or JPG, flipped so that row 0 is the last row stored.

    They store the top row first; RELION, IMOD and EMAN2 flip them on reading, and so do we. Colours become their mean,
    with a warning. An EXIF tag that turns the image is ignored: the pixels count as stored.

    Parameters
    ----------
    file
        Open for reading.
    path
        For messages.

    Raises
    ------
    MicrographError
        If it is neither, or is damaged or cut short.
    """
    header = read_raster_header(file, path)
    file.seek(0)
    data = file.read()
    if not _ends_well(data):
        raise MicrographError(
            f"{path}: ends before its image does ({len(data)} bytes are there); it is still being written, "
            f"or its copy was interrupted."
        )
    try:
        pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise MicrographError(f"{path}: cannot be decoded ({error.err}).") from error
    if pixels is None or pixels.shape[:2] != header.shape:
        raise MicrographError(f"{path}: the image data is damaged and cannot be decoded.")
    grey, warnings = to_grey(pixels)
    return ImageFile(grey[::-1], header, warnings)


def _png_shape(chunk: bytes, path: Path) -> tuple[int, int]:
    if len(chunk) < 16 or chunk[4:8] != b"IHDR":
        raise MicrographError(f"{path}: the PNG's header is missing or cut short.")
    columns, rows = struct.unpack(">II", chunk[8:])
    return rows, columns


def _jpg_shape(file: BinaryIO, path: Path) -> tuple[int, int]:
    """Return the shape from the first frame's marker; `file` must be positioned after the first marker."""
    while len(marker := file.read(2)) == 2 and marker[0] == 0xFF:
        if marker[1] == 0xFF:  # padding before a marker
            file.seek(-1, 1)
            continue
        segment = file.read(2)
        if len(segment) < 2:
            break
        if marker[1] in _JPG_FRAMES:
            frame = file.read(5)
            if len(frame) < 5:
                break
            rows, columns = struct.unpack(">xHH", frame)
            return rows, columns
        file.seek(struct.unpack(">H", segment)[0] - 2, 1)
    raise MicrographError(f"{path}: the JPG's header is missing or cut short.")


def _ends_well(data: bytes) -> bool:
    """Return whether the marker that ends the image is there, because OpenCV 4 fills missing parts with grey."""
    if data.startswith(_JPG):
        return b"\xff\xd9" in data[-_JPG_TAIL_BYTES:]
    place = len(_PNG)
    while place + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        place += 12 + length
        if kind == b"IEND":
            return bool(place <= len(data))
    return False
