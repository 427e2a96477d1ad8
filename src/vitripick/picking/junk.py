"""The junk map of a micrograph: brought to the micrograph's frame, kept as a picture, read back."""

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
    """Raise `UsageError`, before anything is picked, where masks are wanted of a network that has none."""
    if wanted and not card.knows_junk:
        raise UsageError(
            f"{parameter('junk_masks', True)}: model {card.name!r} does not say what is junk; leave the option out, or "
            "pick with a model that does (`vitripick models` lists them)."
        )


def over_micrograph(junk: Image, *, stride: int, working_shape: tuple[int, int]) -> Image:
    """The network's junk map as one that covers the micrograph from edge to edge.

    Cells of the network begin at the first pixel and may end beyond the last one; here all rows are equally high, and
    all columns equally wide, so that whoever stretches the map over the micrograph has it in place.

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
        0-1, the same probabilities.
    """
    n_rows, n_columns = (max(1, round(length / stride)) for length in working_shape)
    # Middle of cell i of n: (i + 0.5) / n of the whole length, and that in the network's cells.
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
    """Keep a map as 8-bit PNG, 255 for probability 1; where there is none, an older one is removed."""
    if junk is None:
        path.unlink(missing_ok=True)
    else:
        write_bytes_atomically(path, pixels_png(np.round(np.asarray(junk) * 255).astype(np.uint8)))


def read_junk(path: Path) -> Image | None:
    """A map that `write_junk` kept; None where there is none.

    Raises
    ------
    FormatError
        If the file is no picture.
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
    """The map at the micrograph's full size, (rows, columns), as 8-bit PNG: a pixel for each of its pixels."""
    # OpenCV's frame is that of whole pixels with their outlines, as ours: stretched edge to edge.
    full = cv2.resize(np.round(junk * 255).astype(np.uint8), (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return pixels_png(np.asarray(full, dtype=np.uint8))
