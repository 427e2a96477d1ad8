"""Read every kind of micrograph: each file gives a `Micrograph` or a `MicrographError`."""

from __future__ import annotations

import io
import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

import numpy as np

from vitripick.errors import MicrographError, UsageError, parameter
from vitripick.formats.micrographs.compressed import unpack, unpack_header
from vitripick.formats.micrographs.image_file import ImageFile, MicrographHeader
from vitripick.formats.micrographs.mrc import HEADER_BYTES, read_mrc, read_mrc_header
from vitripick.formats.names.suffixes import (
    MRC_SUFFIXES,
    PACKED_MRC_SUFFIXES,
    RASTER_SUFFIXES,
    TIFF_SUFFIXES,
    suffix_of,
    suffixes_in_words,
)
from vitripick.geometry import Image, Micrograph

Kind: TypeAlias = Literal["mrc", "packed mrc", "tiff", "raster"]
# A few dead pixels may be NaN, but a file with more than this share of NaN or infinite pixels is broken.
_LARGEST_SHARE_NOT_FINITE = 0.05
# If a camera counts thousands, zeros along a border lie a few hundred deviations off; they must stay.
OUTLIER_DEVIATIONS = 1000.0
# In a smaller image a single pixel may be a part of the picture.
_FEWEST_PIXELS = 4096
_SAMPLE_PIXELS = 100_000


def read_micrograph(
    path: str | Path,
    *,
    name: str | None = None,
    slice_index: int | None = None,
    pixel_size: float | None = None,
) -> Micrograph:
    """Read a micrograph: MRC (also in `.gz` and `.bz2`), TIFF, PNG or JPG.

    TIFF, PNG and JPG store the top row first. They are flipped on reading, as RELION, IMOD and EMAN2 do, so that row 0
    means the same as in an MRC file. docs/micrographs.md says what is tolerated.

    Parameters
    ----------
    path
        The suffix says what it is.
    name
        The micrograph's identity; the file's own name by default.
    slice_index
        Which slice of a stack, from 0.
    pixel_size
        Å per pixel, if the header gives none or a wrong one; it overrides the header.

    Returns
    -------
    Micrograph
        `image` is (rows, columns), float32, C-contiguous, and finite; `warnings` says what was tolerated.

    Raises
    ------
    MicrographError
        If the file is missing, cannot be read, is damaged, cut short or no single image, or more than 5 % of
        its pixels are NaN or infinite.
    """
    path = Path(path)
    if pixel_size is not None and not (math.isfinite(pixel_size) and pixel_size > 0):
        raise UsageError(f"the pixel size must be a positive number of Å, not {pixel_size}.")
    with opened(path) as (kind, file, size):
        found = read_image_file(kind, file, size, path, slice_index)
    return checked(found, path, name=name, pixel_size=pixel_size)


def checked(found: ImageFile, path: Path, *, name: str | None, pixel_size: float | None) -> Micrograph:
    """Return the micrograph that a file holds, with its pixels checked and mended; arguments as in `read_micrograph`.

    Raises
    ------
    MicrographError
        If more than 5 % of the pixels are NaN or infinite.
    """
    image = found.floats()
    warnings = [*found.warnings, *_mend(image, path)]
    if pixel_size is None:
        warnings += doubts_about(found.header.pixel_size)
    return Micrograph(
        image=image,
        pixel_size=found.header.pixel_size if pixel_size is None else pixel_size,
        name=path.name if name is None else name,
        path=path,
        warnings=tuple(warnings),
    )


def read_header(path: str | Path) -> MicrographHeader:
    """Return shape, pixel size and number of slices, without reading the pixels.

    Raises
    ------
    MicrographError
        Errors of `read_micrograph`, as far as the header shows them.
    """
    path = Path(path)
    with opened(path, header_only=True) as (kind, file, size):
        if kind == "mrc":
            return read_mrc_header(file.read(HEADER_BYTES), size, path)
        if kind == "packed mrc":
            return read_mrc_header(file.read(), None, path)
        if kind == "tiff":
            from vitripick.formats.micrographs.tiff import read_tiff_header

            return read_tiff_header(file, size, path)
        from vitripick.formats.micrographs.raster import read_raster_header

        return read_raster_header(file, path)


def read_image_file(kind: Kind, file: BinaryIO, size: int, path: Path, slice_index: int | None = None) -> ImageFile:
    """Read what `opened` yields, whatever its kind; the pixels are not checked yet. Errors as in `read_micrograph`."""
    if kind in ("mrc", "packed mrc"):
        return read_mrc(file, size, path, slice_index=slice_index)
    if kind == "tiff":
        from vitripick.formats.micrographs.tiff import (
            read_tiff,  # tifffile and cv2 cost start-up time and MRC needs neither, so the import is here
        )

        return read_tiff(file, size, path, slice_index=slice_index)
    if slice_index not in (None, 0):
        raise MicrographError(f"{path}: there is no slice {slice_index}; a PNG or JPG is one image.")
    from vitripick.formats.micrographs.raster import read_raster

    return read_raster(file, path)


def doubts_about(pixel_size: float | None) -> tuple[str, ...]:
    """Return a warning about a header's pixel size of exactly 1 Å, which programs write if they do not know it."""
    if pixel_size != 1.0:
        return ()
    return (
        "the header's pixel size is exactly 1 Å, which many programs write if they do not know it; if it is wrong, "
        "give "
        f"{parameter('pixel_size')}",
    )


@contextmanager
def opened(path: Path, *, header_only: bool = False) -> Iterator[tuple[Kind, BinaryIO, int]]:
    """Yield the file's kind, the file open for reading (unpacked if it was compressed), and its size in bytes.

    Errors are those of `read_micrograph`.
    """
    kind = _kind(path)
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise MicrographError(f"{path}: this is a folder or a device, not a file.")
        if status.st_size == 0:
            raise MicrographError(f"{path}: the file is empty (0 bytes).")
        if kind == "packed mrc":
            data, size = (unpack_header(path), 0) if header_only else unpack(path)
            yield kind, io.BytesIO(data), size
        else:
            with path.open("rb") as file:
                yield kind, file, status.st_size
    except FileNotFoundError:
        if path.is_symlink():
            raise MicrographError(f"{path}: is a link to {os.readlink(path)}, which is not there.") from None
        raise MicrographError(f"{path}: there is no such file.") from None
    except PermissionError:
        raise MicrographError(f"{path}: you are not allowed to read this file.") from None
    except OSError as error:
        raise MicrographError(f"{path}: cannot be read ({error.strerror or error}).") from error


def _kind(path: Path) -> Kind:
    suffix = suffix_of(path.name)
    if suffix in MRC_SUFFIXES:
        return "mrc"
    if suffix in PACKED_MRC_SUFFIXES:
        return "packed mrc"
    if suffix in TIFF_SUFFIXES:
        return "tiff"
    if suffix in RASTER_SUFFIXES:
        return "raster"
    raise MicrographError(f"{path}: this suffix is not that of a micrograph; vitripick reads {suffixes_in_words()}.")


def _mend(image: Image, path: Path) -> list[str]:
    """Replace NaN and Inf in place by the mean of the rest, and return warnings about the pixels."""
    # Any NaN makes both NaN, and any Inf is one of the two, so two passes find every such pixel without a mask.
    lowest, highest = image.min(), image.max()
    if np.isfinite(lowest) and np.isfinite(highest):
        constant = ["a constant image: every pixel has the same value"] if lowest == highest else []
        return constant + _without_outliers(image, (float(lowest), float(highest)))
    finite = np.isfinite(image)
    n_bad = image.size - int(np.count_nonzero(finite))
    if n_bad > _LARGEST_SHARE_NOT_FINITE * image.size:
        raise MicrographError(
            f"{path}: {n_bad} of {image.size} pixels ({n_bad / image.size:.1%}) are NaN or infinite; more "
            f"than {_LARGEST_SHARE_NOT_FINITE:.0%} is too many to mend. Make the micrograph again."
        )
    image[~finite] = image[finite].mean(dtype=np.float64)
    warnings = [f"{n_bad} NaN or infinite pixels, replaced by the mean of the others"]
    if image.min() == image.max():
        warnings.append("a constant image: every pixel has the same value")
    return warnings + _without_outliers(image)


def has_outliers(
    image: Image, *, deviations: float = OUTLIER_DEVIATIONS, limits: tuple[float, float] | None = None
) -> bool:
    """Return whether a pixel lies farther from the median than this number of robust standard deviations.

    Median and deviation come from a sample of the pixels. So this takes a thousandth of the time of reading. `limits`
    are the lowest and the highest pixel, if the caller knows them.
    """
    if image.size < _FEWEST_PIXELS:
        return False
    middle, spread = _middle_and_spread(image)
    lowest, highest = (float(image.min()), float(image.max())) if limits is None else limits
    return spread > 0 and max(highest - middle, middle - lowest) > deviations * spread


def _without_outliers(image: Image, limits: tuple[float, float] | None = None) -> list[str]:
    """Replace pixels with impossible values by the median, in place, and return a warning about them.

    A few pixels of 1e30 would each spoil all pixels around them when the image is downscaled.
    """
    if not has_outliers(image, limits=limits):
        return []
    middle, spread = _middle_and_spread(image)
    outliers = np.abs(image - np.float32(middle)) > OUTLIER_DEVIATIONS * spread
    n_outliers = int(np.count_nonzero(outliers))
    if n_outliers > _LARGEST_SHARE_NOT_FINITE * image.size:
        return []  # these are a part of the picture
    image[outliers] = middle
    return [
        f"{n_outliers} pixels lie more than {OUTLIER_DEVIATIONS:g} standard deviations from the others, replaced by "
        "their median"
    ]


def _middle_and_spread(image: Image) -> tuple[float, float]:
    """Return the median and the robust standard deviation of a sample of the pixels."""
    step = max(1, round((image.size / _SAMPLE_PIXELS) ** 0.5))
    sample = image[::step, ::step].astype(np.float64).ravel()
    # NumPy's own median looks for NaN and takes the mean of two middle values, which costs five times as much.
    middle = float(np.partition(sample, len(sample) // 2)[len(sample) // 2])
    return middle, 1.4826 * float(np.partition(np.abs(sample - middle), len(sample) // 2)[len(sample) // 2])
