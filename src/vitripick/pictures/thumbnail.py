"""Draw a small JPEG of a micrograph with its picks, for web pages and logs of a facility."""

from __future__ import annotations

import cv2
import numpy as np

from vitripick.geometry import Boxes, Image
from vitripick.pictures.drawing import bgr, grey_levels, resized

_COLOUR = bgr("#2fd39a")


def thumbnail_jpeg(image: Image, picks: Boxes, *, max_side: int = 512, quality: int = 85) -> bytes:
    """Draw the micrograph in grey with a circle for each pick; row 0, the first stored, is at the top.

    Parameters
    ----------
    image : (rows, columns), float32
        The full-size micrograph.
    picks
        In pixels of `image`; all are drawn.
    max_side
        The longer side of the picture in pixels; smaller micrographs stay as they are.
    quality
        Quality of the JPEG, 0-100.
    """
    scale = min(max_side / max(image.shape), 1.0)
    canvas = cv2.cvtColor(grey_levels(resized(image, scale)), cv2.COLOR_GRAY2BGR)
    bits = 4  # OpenCV takes places in fractions of a pixel with this many bits
    shift = (scale - 1) / 2  # the middle of the first pixel stays the middle of what it covers
    for x, y, width, height in zip(picks.x, picks.y, picks.width, picks.height, strict=True):
        size = float(np.sqrt(width * height)) * scale
        radius = size / 2 if np.isfinite(size) else 0.02 * max(canvas.shape)
        centre = round((x * scale + shift) * 2**bits), round((y * scale + shift) * 2**bits)
        cv2.circle(canvas, centre, round(max(radius, 1.5) * 2**bits), _COLOUR, 1, cv2.LINE_AA, bits)
    done, encoded = cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"OpenCV could not encode an image of shape {canvas.shape} as JPEG")
    return bytes(encoded.tobytes())
