"""Unpack the `.gz` or `.bz2` around a micrograph, with a limit on the size of what comes out."""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from vitripick.errors import MicrographError
from vitripick.formats.micrographs.mrc import HEADER_BYTES, bytes_needed

_CHUNK = 1 << 20
_MOST_COUNTED = 64 << 20


def unpack_header(path: Path) -> bytes:
    """Return the bytes of the MRC header in `path` (`.gz` or `.bz2`); errors as in `unpack`."""
    with _errors_of(path), _open(path) as file:
        return file.read(HEADER_BYTES)


def unpack(path: Path) -> tuple[bytes, int]:
    """Return the bytes that the MRC header in `path` (`.gz` or `.bz2`) announces, and how many bytes there are in all.

    The header is read first, and only the bytes that it announces are kept in memory. Further bytes are only counted,
    up to 64 MiB.

    Raises
    ------
    MicrographError
        If the compressed data is damaged or cut short, is not an MRC file, or holds an image that would need more than
        `image_file.MAX_UNPACKED_BYTES` of memory.
    """
    with _errors_of(path), _open(path) as file:
        n_needed = bytes_needed(file.read(HEADER_BYTES), path)
        file.seek(0)
        # One call gives one piece of memory. Joining several pieces would need twice as much.
        data = file.read(n_needed)
        size = len(data)
        while size < n_needed + _MOST_COUNTED and (more := file.read(_CHUNK)):
            size += len(more)
    return data, size


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    try:
        yield
    except EOFError:
        raise MicrographError(f"{path}: the compressed file is cut short. Copy it again.") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise MicrographError(f"{path}: the gzip file is damaged ({error}). Copy it again.") from error
    except OSError as error:
        # bz2 reports "Invalid data stream" as an OSError without a number, so one with a number comes from the disk.
        if error.errno is not None:
            raise
        raise MicrographError(f"{path}: the bzip2 file is damaged ({error}). Copy it again.") from error


def _open(path: Path) -> BinaryIO | gzip.GzipFile | bz2.BZ2File:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else bz2.open(path, "rb")
