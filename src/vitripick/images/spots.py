"""Show where a micrograph has spots of one size, dark or light: a blob detector's answer at every place."""

from __future__ import annotations

import cv2
import numpy as np

from vitripick.geometry import SMALLEST_PX, Image
from vitripick.images.prepare import Preparation, prepare

# Diameters are tried from an eighth to eight times the known one, or from an 80th to a 5th of the long side.
_FACTORS = (1.0, 2.0, 4.0, 8.0, 1 / 2, 1 / 4, 1 / 8)
_SHARES = (1 / 80, 1 / 40, 1 / 20, 1 / 10, 1 / 5)
_LONGEST_PX = 1200


def spot_maps(image: Image, *, diameter_px: float | None, working_diameter_px: float = 8.0) -> list[Image | None]:
    """Return `spot_map` for the given diameter and for others, because the diameter may be wrong or unknown.

    Parameters
    ----------
    image : (rows, columns), float32
        The full-size micrograph.
    diameter_px
        Diameter of the particles, in full-size pixels; None if it is not known.
    working_diameter_px
        Diameter in pixels of each map.

    Returns
    -------
    list of (h, w), float32
        Each of another shape; None for a diameter that the micrograph cannot show.
    """
    rows, columns = image.shape
    if diameter_px is None:
        wanted = [share * max(rows, columns) for share in _SHARES]
    else:
        wanted = [factor * diameter_px for factor in _FACTORS]
    return [
        spot_map(image, diameter_px=spot_px, working_diameter_px=working_diameter_px)
        if SMALLEST_PX <= spot_px <= min(rows, columns) / 3
        and max(rows, columns) / spot_px * working_diameter_px <= _LONGEST_PX
        else None
        for spot_px in wanted
    ]


def spot_map(image: Image, *, diameter_px: float, working_diameter_px: float = 24.0) -> Image:
    """Return how much darker each place is than its surroundings, over spots of one diameter.

    It is a Laplacian of Gaussians (Lindeberg 1998) on the locally normalised micrograph.

    Parameters
    ----------
    image : (rows, columns), float32
        The full-size micrograph.
    diameter_px
        Diameter of the spots, in full-size pixels.
    working_diameter_px
        The same in pixels of the map.

    Returns
    -------
    (h, w), float32
        At the working scale. Above zero for dark spots, below for light ones; all zero for a constant image.
    """
    prepared = prepare(image, Preparation(working_diameter_px=working_diameter_px), diameter_px=diameter_px)
    # A disc of radius r answers most strongly at sigma = r / sqrt(2).
    blurred = cv2.GaussianBlur(prepared.image, (0, 0), working_diameter_px / 2 / np.sqrt(2))
    return np.asarray(cv2.Laplacian(blurred, cv2.CV_32F, ksize=1), dtype=np.float32)
