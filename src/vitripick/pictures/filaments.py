"""Draw filaments on their micrograph, and straightened segments."""

from __future__ import annotations

import cv2
import numpy as np

from vitripick.geometry import Filaments, Image
from vitripick.pictures.drawing import bgr, confidence_colours, grey_levels, pixels_png, resized

# OpenCV draws lines at fractions of a pixel, counted in 1 / 16.
_SHIFT = 4


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
            # Directions have no front end, so sides are kept by the sense of the path.
            along = np.gradient(fine.points, axis=0)
            turned = np.where(np.sum(along * np.column_stack([np.cos(angle), np.sin(angle)]), axis=1) < 0, -1, 1)
            side = np.column_stack([-np.sin(angle), np.cos(angle)]) * turned[:, None] * drawn.width / 2
            _line(canvas, fine.points + side, colour, 1)
            _line(canvas, fine.points - side, colour, 1)
    return pixels_png(canvas)


def _line(canvas: np.ndarray, points: np.ndarray, colour: tuple[int, ...], thickness: int) -> None:  # type: ignore[type-arg]
    at = np.rint(points * (1 << _SHIFT)).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(canvas, [at], False, colour, thickness, cv2.LINE_AA, _SHIFT)
