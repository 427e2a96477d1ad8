"""Unpack the `.gz` or `.bz2` around a micrograph, with a limit on the size of what comes out."""

from __future__ import annotations

import bz2
import gzip
import zlib
from pathlib import Path
from typing import BinaryIO

from vitripick.errors import MicrographError
from vitripick.formats.micrographs import image_file

_CHUNK = 1 << 20


def unpack(path: Path, *, n_bytes: int | None = None) -> bytearray:
    """Return all that `path` (`.gz` or `.bz2`) holds, or its first `n_bytes`.

    Raises
    ------
    MicrographError
        If the compressed data is damaged or cut short, or unpacks to more than
        `image_file.MAX_UNPACKED_BYTES`.
    """
    data = bytearray()
    limit = image_file.MAX_UNPACKED_BYTES
    try:
        with _open(path) as file:
            while n_bytes is None or len(data) < n_bytes:
                chunk = file.read(_CHUNK if n_bytes is None else n_bytes - len(data))
                if not chunk:
                    break
                data += chunk
                if len(data) > limit:
                    raise MicrographError(
                        f"{path}: unpacks to more than {limit / 2**30:.3g} GiB; no micrograph is so large; "
                        "unpack it yourself and look at what it holds."
                    )
    except EOFError:
        raise MicrographError(
            f"{path}: the compressed file is cut short; {len(data)} bytes could be unpacked. Copy it again."
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise MicrographError(f"{path}: not a whole gzip file ({error}). Copy it again.") from error
    except OSError as error:
        # bz2 reports "Invalid data stream" as an OSError without a number, so one with a number comes from the disk.
        if error.errno is not None:
            raise
        raise MicrographError(f"{path}: not a whole bzip2 file ({error}). Copy it again.") from error
    return data


def _open(path: Path) -> BinaryIO | gzip.GzipFile | bz2.BZ2File:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else bz2.open(path, "rb")
