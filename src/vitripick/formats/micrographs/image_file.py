"""Hold what the header of a micrograph's file says, and make the checks that all readers share."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vitripick.errors import MicrographError
from vitripick.geometry import Image

# A micrograph of 11520 x 8184 pixels (the largest camera today, in super-resolution) has 0.4 GB as float32. So a
# compressed file that holds more than this is a mistake, or is meant to fill the memory.
MAX_UNPACKED_BYTES = 2 << 30
# A pixel size outside these limits is a placeholder or a screen's dots per inch.
SMALLEST_PIXEL_SIZE, LARGEST_PIXEL_SIZE = 0.05, 100.0


@dataclass(frozen=True)
class MicrographHeader:
    """Holds what the header of a micrograph's file says, before its pixels are read.

    Attributes
    ----------
    shape
        (rows, columns) of one slice.
    pixel_size
        Å per pixel; None where the file does not say, or says something absurd.
    n_slices
        1 for a micrograph; more for a stack or a movie.
    pixel_type
        NumPy's name for the type of an MRC file's pixels, such as "float16"; empty for other files.
    """

    shape: tuple[int, int]
    pixel_size: float | None = None
    n_slices: int = 1
    pixel_type: str = field(default="", compare=False)


@dataclass(frozen=True, eq=False)
class ImageFile:
    """Holds one slice as a format's module reads it, before its pixels are checked.

    Attributes
    ----------
    pixels : (rows, columns), numbers of any kind
        Row 0 is the first row as RELION counts; the reader has already corrected the file's own direction of y.
    header
        Header of the whole file.
    warnings
        What was tolerated.
    """

    pixels: npt.NDArray[Any]
    header: MicrographHeader
    warnings: tuple[str, ...] = ()

    def floats(self) -> Image:
        """Return the pixels as float32, C-contiguous; those of an MRC file are the same array, others are a copy."""
        # A float64 beyond float32 becomes Inf here, and is later judged with the other pixels.
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(self.pixels, dtype=np.float32)


def sane_pixel_size(value: float) -> float | None:
    """Return `value` where it can be the Å per pixel of a micrograph, else None."""
    if math.isfinite(value) and SMALLEST_PIXEL_SIZE <= value <= LARGEST_PIXEL_SIZE:
        return value
    return None


def choose_slice(n_slices: int, slice_index: int | None, path: Path) -> int:
    """Return the slice to read: the only one, or the one asked for.

    Raises
    ------
    MicrographError
        If there are several and none was asked for, or the one asked for is not there.
    """
    if slice_index is None:
        if n_slices != 1:
            raise MicrographError(
                f"{path}: this is a stack or movie of {n_slices} frames; average it first, as motion correction does "
                "(in Python, slice_index of read_micrograph chooses one)."
            )
        return 0
    if not 0 <= slice_index < n_slices:
        raise MicrographError(f"{path}: there is no slice {slice_index}; the file has {n_slices}, counted from 0.")
    return slice_index


def check_shape(shape: tuple[int, int], n_slices: int, path: Path) -> None:
    """Raise a `MicrographError` if the header says that there are no pixels."""
    if min(*shape, n_slices) <= 0:
        raise MicrographError(
            f"{path}: the header says {shape[1]} x {shape[0]} pixels and {n_slices} slices, so there is no image in it."
        )


def check_unpacked(shape: tuple[int, int], bytes_per_pixel: float, path: Path) -> None:
    """Raise a `MicrographError`, before any allocation, if a compressed image is too large for a micrograph."""
    n_bytes = shape[0] * shape[1] * bytes_per_pixel
    if n_bytes > MAX_UNPACKED_BYTES:
        raise MicrographError(
            f"{path}: the header says {shape[1]} x {shape[0]} pixels, which would unpack to "
            f"{n_bytes / 2**30:,.1f} GiB; no micrograph is so large, so the file is damaged."
        )


def to_grey(pixels: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """Return colour as its mean, with a warning; an alpha channel is dropped.

    Parameters
    ----------
    pixels : (rows, columns) or (rows, columns, channels)
        Pixels as decoded.
    """
    if pixels.ndim == 2:
        return pixels, ()
    n_channels = pixels.shape[2]
    if n_channels in (1, 2):  # grey, grey + alpha
        return pixels[:, :, 0], ()
    grey = pixels[:, :, :3].mean(axis=2, dtype=np.float32)
    return grey, ("a colour image: the mean of its channels is used",)
