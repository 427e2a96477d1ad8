"""Bring the junk map of a micrograph to the micrograph's frame, store it as a picture, and read it back."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from vitripick.atomic import write_bytes_atomically
from vitripick.errors import FormatError, UsageError, parameter
from vitripick.geometry import Image
from vitripick.models import ModelCard
from vitripick.pictures.drawing import pixels_png


def check_junk_masks(card: ModelCard, wanted: bool) -> None:
    """Raise `UsageError`, before anything is picked, if masks are wanted from a network that has no junk map."""
    if wanted and not card.knows_junk:
        raise UsageError(
            f"{parameter('junk_masks', True)}: model {card.name!r} does not say what is junk; leave the option out, or "
            "pick with a model that does (`vitripick models` lists them)."
        )


def over_micrograph(junk: Image, *, stride: int, working_shape: tuple[int, int]) -> Image:
    """Return the network's junk map as one that covers the micrograph from edge to edge.

    The network's cells begin at the first pixel and may end beyond the last one. In the result all rows are equally
    high and all columns equally wide, so the map fits when it is stretched over the micrograph.

    Parameters
    ----------
    junk : (rows, columns), float32
        As in `Detections`.
    stride
        Working pixels per cell of `junk`.
    working_shape
        (rows, columns) of the prepared image.

    Returns
    -------
    (round(h / stride), round(w / stride)), float32
        The same probabilities, 0-1.
    """
    n_rows, n_columns = (max(1, round(length / stride)) for length in working_shape)
    # The middle of cell i of n lies at (i + 0.5) / n of the length; it is converted to the network's cells.
    y, x = (
        ((np.arange(n, dtype=np.float32) + 0.5) * length / n / stride - 0.5).astype(np.float32)
        for n, length in zip((n_rows, n_columns), working_shape, strict=True)
    )
    map_x, map_y = np.meshgrid(x, y)
    moved = cv2.remap(
        np.ascontiguousarray(junk, np.float32), map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(np.clip(moved, 0, 1), dtype=np.float32)


def write_junk(path: Path, junk: Image | None) -> None:
    """Write a map as 8-bit PNG, 255 for probability 1; if there is none, remove an older file."""
    if junk is None:
        path.unlink(missing_ok=True)
    else:
        write_bytes_atomically(path, pixels_png(np.round(np.asarray(junk) * 255).astype(np.uint8)))


def read_junk(path: Path) -> Image | None:
    """Return the map that `write_junk` wrote; None if there is none.

    Raises
    ------
    FormatError
        If the file is not a picture.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) if data else None
    if pixels is None:
        raise FormatError(f"{path}: this should be a grey PNG. Remove it and pick again.")
    return np.asarray(pixels / np.float32(255), dtype=np.float32)


def junk_mask_png(junk: Image, shape: tuple[int, int]) -> bytes:
    """Return the map as 8-bit PNG at the micrograph's full size (rows, columns), one pixel for each of its pixels."""
    # OpenCV stretches pixels with their outlines, from edge to edge, which is also our frame.
    full = cv2.resize(np.round(junk * 255).astype(np.uint8), (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return pixels_png(np.asarray(full, dtype=np.uint8))
