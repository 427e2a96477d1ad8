"""Draw filaments on their micrograph, and straightened segments."""

from __future__ import annotations

import cv2
import numpy as np

from vitripick.geometry import Filament, Filaments, Image
from vitripick.pictures.drawing import bgr, confidence_colours, grey_levels, pixels_png, resized

# OpenCV draws lines at fractions of a pixel, counted in 1 / 16.
_SHIFT = 4
# Height of a straightened filament, in widths.
_STRIP_WIDTHS = 2.5


def filaments_png(
    image: Image, filaments: Filaments, *, labels: Filaments | None = None, max_side: int = 1400
) -> bytes:
    """Draw the micrograph in grey, each filament as its centre line and its two edges, coloured by confidence.

    Parameters
    ----------
    image : (rows, columns), float32
        The micrograph.
    filaments
        Traced ones.
    labels
        True ones, drawn as thin light lines below.
    max_side
        Longest side of the picture.
    """
    scale = min(1.0, max_side / max(image.shape))
    small = resized(image, scale)
    canvas = cv2.cvtColor(grey_levels(small), cv2.COLOR_GRAY2BGR)
    for one in () if labels is None else labels:
        _line(canvas, one.scaled(scale).points, bgr("#6cc4ff"), 4)
    for one in filaments:
        drawn = one.scaled(scale)
        known = np.isfinite(one.confidence)
        colour = tuple(int(v) for v in confidence_colours(np.array([one.confidence if known else 1.0]))[0])
        _line(canvas, drawn.points, colour, 1)
        if np.isfinite(drawn.width) and drawn.width > 4:
            fine = drawn.resampled(max(2.0, drawn.width / 4))
            _, angle = fine.at(fine.track)
            # A direction is the same both ways, so the sense of the path decides which side is which.
            along = np.gradient(fine.points, axis=0)
            turned = np.where(np.sum(along * np.column_stack([np.cos(angle), np.sin(angle)]), axis=1) < 0, -1, 1)
            side = np.column_stack([-np.sin(angle), np.cos(angle)]) * turned[:, None] * drawn.width / 2
            _line(canvas, fine.points + side, colour, 1)
            _line(canvas, fine.points - side, colour, 1)
    return pixels_png(canvas)


def straightened_png(image: Image, filaments: Filaments, *, most: int = 24, max_side: int = 1400) -> bytes:
    """Draw filaments straightened, one above the other, each from its first end at the left.

    Parameters
    ----------
    image : (rows, columns), float32
        The micrograph.
    filaments
        Those of unknown width are left out.
    most
        Largest number of filaments; the longest ones are drawn.
    max_side
        Longest side of the picture.
    """
    some = sorted((one for one in filaments if one.width > 0), key=lambda one: -one.length)[:most]
    if not some:
        return pixels_png(np.zeros((16, 16), np.uint8))
    height = _STRIP_WIDTHS * max(one.width for one in some)
    # Small pixels where there is room, and never finer than the micrograph's.
    scale = min(1.0, max_side / max(some[0].length, len(some) * (height + 4)))
    rows, columns = max(3, round(height * scale)), max(3, round(some[0].length * scale))
    strips = np.full((len(some) * (rows + 4) - 4, columns), 255, np.uint8)
    small = resized(image, scale)
    for i, one in enumerate(some):
        strip = grey_levels(straightened(small, one.scaled(scale), rows))
        strips[i * (rows + 4) : i * (rows + 4) + rows, : strip.shape[1]] = strip[:, :columns]
    return pixels_png(strips)


def straightened(image: Image, filament: Filament, rows: int) -> Image:
    """Return the image along a filament: its first end at the left, y across it downwards, (rows, length)."""
    n = max(3, round(filament.length))
    at, angle = filament.at((np.arange(n) + 0.5) * filament.length / n)
    along = np.gradient(at, axis=0)
    way = np.column_stack([np.cos(angle), np.sin(angle)])
    # A direction is the same both ways, so it is turned to the sense of the path.
    way *= np.where(np.sum(along * way, axis=1) < 0, -1, 1)[:, None]
    across = np.arange(rows) - (rows - 1) / 2
    x = (at[None, :, 0] - across[:, None] * way[None, :, 1]).astype(np.float32)
    y = (at[None, :, 1] + across[:, None] * way[None, :, 0]).astype(np.float32)
    result: Image = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return result


def _line(canvas: np.ndarray, points: np.ndarray, colour: tuple[int, ...], thickness: int) -> None:  # type: ignore[type-arg]
    at = np.rint(points * (1 << _SHIFT)).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(canvas, [at], False, colour, thickness, cv2.LINE_AA, _SHIFT)
