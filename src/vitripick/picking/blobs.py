"""Find particles with a blob detector at the known diameter, as a baseline to compare a network with.

It is a Laplacian of Gaussians (Lindeberg 1998) on the locally normalised micrograph, simple enough for an afternoon.
"""

from __future__ import annotations

import cv2
import numpy as np

from vitripick.geometry import Boxes, Micrograph, remove_overlaps
from vitripick.images import Preparation, prepare


def pick_blobs(micrograph: Micrograph, *, diameter_px: float) -> Boxes:
    """Return the dark blobs of the given diameter, strongest first.

    Parameters
    ----------
    micrograph
        The micrograph, with dark particles, as under usual underfocus.
    diameter_px
        Diameter of the particle, in full-size pixels.

    Returns
    -------
    Boxes
        Confidence is the response divided by twice the 99th percentile of all responses, cut at 1. It is a rank, not a
        probability.
    """
    preparation = Preparation(working_diameter_px=24.0)
    known = {"micrograph": micrograph.name, "shape": micrograph.shape, "pixel_size": micrograph.pixel_size}
    if float(np.ptp(micrograph.image)) == 0.0:
        return Boxes.empty(**known)  # type: ignore[arg-type]
    prepared = prepare(micrograph.image, preparation, diameter_px=diameter_px)
    # A disc of radius r answers most strongly at sigma = r / sqrt(2).
    sigma = preparation.working_diameter_px / 2 / np.sqrt(2)
    blurred = cv2.GaussianBlur(prepared.image, (0, 0), sigma)
    response = cv2.Laplacian(blurred, cv2.CV_32F, ksize=1)
    reach = max(1, round(preparation.working_diameter_px * 0.25))
    highest = cv2.dilate(response, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    rows, columns = np.nonzero((response == highest) & (response > 0))
    strength = response[rows, columns].astype(np.float64)
    full = 2 * np.percentile(strength, 99) if len(strength) else 1.0
    x, y = prepared.to_full(columns.astype(np.float64), rows.astype(np.float64))
    picks = Boxes.at(
        x,
        y,
        size_px=diameter_px,
        confidence=np.clip(strength / full, 0, 1),
        micrograph=micrograph.name,
        shape=micrograph.shape,
        pixel_size=micrograph.pixel_size,
    )
    return remove_overlaps(picks, minimum_distance_px=0.5 * diameter_px)
