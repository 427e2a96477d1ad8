"""Make the images on which a network is quantised and its copies are compared; they are the same on every machine."""

from __future__ import annotations

import cv2
import numpy as np

from vitripick.geometry import FloatArray, Image
from vitripick.images import Preparation, normalise_locally


def calibration_images(preparation: Preparation, *, n: int, pad_to: int, first_seed: int = 0) -> list[Image]:
    """Return made-up micrographs as the network sees them: particles of four kinds, ice, carbon, gold, noise.

    What reaches a network is normalised and clipped, so its range is known. These images only need to cause the same
    responses as real micrographs.

    Parameters
    ----------
    preparation
        From the model's card.
    n
        Number of images.
    pad_to
        Sides are multiples of this.
    first_seed
        Seed of the first image; each further image takes the next one.

    Returns
    -------
    list of (h, w), float32
    """
    whole = preparation.scale_by == "long_side"
    side = preparation.input_size_px if whole else 16 * round(preparation.working_diameter_px)
    side = -(-side // pad_to) * pad_to
    images = []
    for seed in range(first_seed, first_seed + n):
        rng = np.random.default_rng(seed)
        diameter = side * rng.uniform(0.03, 0.15) if whole else preparation.working_diameter_px * rng.uniform(0.8, 1.2)
        raw = _micrograph(rng, side, diameter)
        images.append(normalise_locally(raw, sigma_px=preparation.background_sigma_px, clip=preparation.clip))
    return images


def _micrograph(rng: np.random.Generator, side: int, diameter: float) -> Image:
    noise = rng.standard_normal((side, side)).astype(np.float32)
    soft = cv2.GaussianBlur(rng.standard_normal((side, side)).astype(np.float32), (0, 0), diameter / rng.uniform(6, 20))
    image: Image = rng.uniform(0.4, 1.0) * noise + rng.uniform(0.2, 1.0) * soft / soft.std()
    strength = rng.uniform(0.3, 2.5)
    kind = int(rng.integers(4))
    for _ in range(int(rng.uniform(0.1, 0.7) * (side / diameter) ** 2)):
        centre = rng.uniform(0, side, 2)
        _stamp(image, centre, diameter * rng.uniform(0.9, 1.1), -strength * rng.uniform(0.6, 1.4), kind, rng)
    if rng.random() < 0.4:  # an edge of carbon
        image[:, : int(side * rng.uniform(0.1, 0.5))] -= rng.uniform(0.5, 4)
    for _ in range(rng.integers(3)):  # ice crystals, dark and large
        _stamp(image, rng.uniform(0, side, 2), diameter * rng.uniform(1, 4), -rng.uniform(2, 8), 0, rng)
    for _ in range(rng.integers(6)):  # dots of gold
        _stamp(image, rng.uniform(0, side, 2), diameter * rng.uniform(0.1, 0.4), -rng.uniform(5, 15), 0, rng)
    return image


def _stamp(
    image: Image, centre: FloatArray, diameter: float, depth: float, kind: int, rng: np.random.Generator
) -> None:
    """Add a disc, a ring, a rod or a lump at (x, y)."""
    half = int(0.75 * diameter) + 2
    x, y = int(centre[0]), int(centre[1])
    left, top, right, bottom = max(0, x - half), max(0, y - half), x + half, y + half
    place = image[top:bottom, left:right]
    rows, columns = np.mgrid[top : top + place.shape[0], left : left + place.shape[1]]
    angle = rng.uniform(0, np.pi)
    along = (columns - centre[0]) * np.cos(angle) + (rows - centre[1]) * np.sin(angle)
    across = (rows - centre[1]) * np.cos(angle) - (columns - centre[0]) * np.sin(angle)
    squeeze = (1.0, 1.0, 2.5, 1.4)[kind]
    radius = np.hypot(along, squeeze * across) * 2 / diameter
    profile = 1 / (1 + np.exp((radius - 0.9) * 12))
    if kind == 1:
        profile = np.exp(-(((radius - 0.75) / 0.18) ** 2))
    if kind == 3:
        profile = profile * (0.6 + 0.4 * np.sin(along * 7 / diameter) * np.cos(across * 9 / diameter))
    place += (depth * profile).astype(np.float32)
