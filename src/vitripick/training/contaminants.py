"""Paint what is not a particle into training crops: ice blobs and hard edges; or make crops of noise only.

Training micrographs usually hold few contaminants and no empty ice. A network that has seen none takes an ice ball of
the right size, or a random clump of noise, for a particle. Painted contaminants without labels teach the difference.
Blobs and edges are drawn from a signed distance (negative inside), so that rim and Fresnel-like fringe follow any
outline.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from vitripick.geometry import Image
from vitripick.training.training_crops import Crop

_FloatImage = npt.NDArray[np.float32]


def paint_contaminants(crop: Crop, rng: np.random.Generator, *, diameter_px: float) -> Crop:
    """Return the crop with one kind of contaminant in it; labels that it hides are dropped.

    Parameters
    ----------
    crop
        Prepared intensities: about zero mean and unit variance.
    rng
        Decides everything.
    diameter_px
        The particle's, in pixels of the crop.
    """
    distance = _edge(crop, rng) if rng.random() < 0.25 else _blobs(crop, rng, diameter_px)
    roughness = np.float32(diameter_px * rng.uniform(0.02, 0.2) * rng.choice([1.0, 0.2]))
    distance = distance + _smooth_field(rng, crop.image.shape, diameter_px * rng.uniform(0.2, 1.0)) * roughness
    painted, opaque = _paint(crop.image, distance, rng, diameter_px)
    return _hide_labels(crop, painted, distance, opaque, diameter_px)


def replace_by_noise(crop: Crop, rng: np.random.Generator) -> Crop:
    """Return a crop without particles: this one's power spectrum with random phases, or noise of one or several grains.

    With random phases, contrast and grain are those of real particles, so that only shape tells the two apart.
    Mottled noise is what ice of uneven thickness looks like.
    """
    white = rng.standard_normal(crop.image.shape, dtype=np.float32)
    kind = rng.random()
    if kind < 0.4:
        # The phases of white noise are random and Hermitian, as those of a real image must be.
        phases = np.fft.rfft2(white)
        amplitude = np.abs(np.fft.rfft2(crop.image))
        mixed = amplitude * phases / np.maximum(np.abs(phases), 1e-12)
        noise: Image = np.fft.irfft2(mixed, s=crop.image.shape).astype(np.float32)
    elif kind < 0.75:
        noise = np.asarray(cv2.GaussianBlur(white, (0, 0), max(rng.uniform(-1.0, 1.5), 0.05)), np.float32)
        noise /= np.float32(noise.std())
        for _ in range(rng.integers(1, 4)):
            grain_px = float(np.exp(rng.uniform(np.log(1.0), np.log(20.0))))
            noise = noise + np.float32(rng.uniform(0, 1)) * _smooth_field(rng, noise.shape, grain_px)
    else:
        # Sometimes the noise has a direction, like the scan lines of a detector.
        sigma_x = max(rng.uniform(-1.0, 4.0), 0.05)
        sigma_y = sigma_x if rng.random() < 0.6 else max(rng.uniform(-1.0, 4.0), 0.05)
        noise = np.asarray(cv2.GaussianBlur(white, (0, 0), sigma_x, sigmaY=sigma_y), np.float32)
    unit = np.clip(noise / np.float32(max(float(noise.std()), 1e-6)), -5, 5)
    return Crop(unit, crop.labels[:0], np.ones_like(crop.weight), np.zeros_like(crop.junk))


def _blobs(crop: Crop, rng: np.random.Generator, diameter_px: float) -> _FloatImage:
    """Return the signed distance to 1-8 clusters of 1-4 ellipses each."""
    rows, columns = crop.image.shape
    y, x = _grid(rows, columns)
    distance = np.full((rows, columns), np.inf, np.float32)
    # Half of them are about as large as a particle, because those are easily mistaken for one.
    share = rng.uniform(0.3, 0.7) if rng.random() < 0.5 else np.exp(rng.uniform(np.log(0.15), np.log(2.2)))
    radius = diameter_px * share
    for _ in range(rng.integers(1, 9)):
        centre = rng.uniform((0, 0), (columns, rows))
        for _ in range(1 + rng.integers(0, 4) * (rng.random() < 0.4)):
            r = radius * np.exp(rng.uniform(-0.25, 0.25))
            stretch = np.exp(rng.uniform(0, 0.5)) if rng.random() < 0.5 else 1.0
            angle = rng.uniform(0, np.pi)
            dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
            u = dx * np.float32(np.cos(angle) / stretch) + dy * np.float32(np.sin(angle) / stretch)
            v = dy * np.float32(np.cos(angle) * stretch) - dx * np.float32(np.sin(angle) * stretch)
            distance = np.minimum(distance, np.sqrt(u * u + v * v) - np.float32(r))
            centre = centre + rng.normal(0, 1.5 * r, 2)
    return distance


def _grid(rows: int, columns: int) -> tuple[_FloatImage, _FloatImage]:
    """Return row and column coordinates that broadcast to (rows, columns)."""
    return np.arange(rows, dtype=np.float32)[:, None], np.arange(columns, dtype=np.float32)[None, :]


def _edge(crop: Crop, rng: np.random.Generator) -> _FloatImage:
    """Return the signed distance to the rim of a large circle: a carbon edge, straight or bent, either side inside."""
    rows, columns = crop.image.shape
    y, x = _grid(rows, columns)
    radius = max(rows, columns) * np.exp(rng.uniform(0, 2.5))
    angle = rng.uniform(0, 2 * np.pi)
    through = rng.uniform(0.1, 0.9, 2) * (columns, rows)
    middle = through + radius * np.array([np.cos(angle), np.sin(angle)])
    distance = np.hypot(x - np.float32(middle[0]), y - np.float32(middle[1])) - np.float32(radius)
    return np.asarray(distance * np.float32(rng.choice([-1.0, 1.0])), np.float32)


def _paint(image: Image, distance: _FloatImage, rng: np.random.Generator, diameter_px: float) -> tuple[Image, bool]:
    """Paint body, darker rim and bright fringe; return also whether a particle inside could no longer be seen.

    Real ice balls are faint (about one standard deviation) with a rim and a fringe a pixel wide, far sharper than
    their size would suggest; thick ones are black.
    """

    def drawn(low: float, high: float) -> np.float32:
        return np.float32(np.exp(rng.uniform(np.log(low), np.log(high))))

    rim_width = np.maximum(np.float32(diameter_px) * drawn(0.02, 0.1), np.float32(0.5))
    soft = rim_width * drawn(0.3, 1.0)
    inside = 1 / (1 + np.exp(np.clip(distance / soft, -30, 30)))
    texture = 1 + rng.uniform(0, 0.4) * _smooth_field(rng, image.shape, diameter_px * rng.uniform(0.05, 0.3))
    # Ice is usually dark; now and then the body is faint or bright and only its outline shows.
    body = drawn(0.5, 4.0) * rng.choice([1.0, 0.2, -0.5], p=[0.85, 0.08, 0.07])
    outline = drawn(0.5, 4.0)
    rim = np.exp(-0.5 * ((distance + rim_width) / rim_width) ** 2)
    fringe = np.exp(-0.5 * ((distance - 1.2 * rim_width) / rim_width) ** 2)
    # Outlines are often stronger on one side, as if lit from there.
    slope_y, slope_x = np.gradient(distance)
    angle = rng.uniform(0, 2 * np.pi)
    lit = 1 + rng.uniform(0, 0.9) * (slope_x * np.float32(np.cos(angle)) + slope_y * np.float32(np.sin(angle)))
    change = outline * lit * (rng.uniform(0, 1) * fringe - rng.uniform(0, 1) * rim) - body * inside * texture
    # A thick body also swallows what lies under it; most ice balls are thin enough to leave the noise as it is.
    swallowed = rng.uniform(0, 0.8) if rng.random() < 0.4 else 0.0
    painted = np.clip(image * (1 - inside * swallowed) + change, -5, 5).astype(np.float32)
    return painted, bool(body > 2.0 and swallowed > 0.3)


def _hide_labels(crop: Crop, painted: Image, distance: _FloatImage, opaque: bool, diameter_px: float) -> Crop:
    rows, columns = painted.shape
    column = np.clip(np.round(crop.labels[:, 0]).astype(int), 0, columns - 1)
    row = np.clip(np.round(crop.labels[:, 1]).astype(int), 0, rows - 1)
    depth = distance[row, column]
    hidden = depth < 0.25 * diameter_px
    weight = crop.weight.copy()
    # Whether a particle half under a rim or a thin body should be picked is open, so those places do not
    # count. Deep inside an opaque body there is none to see, and nothing may be picked.
    for (x, y, width, _), d in zip(crop.labels[hidden], depth[hidden], strict=True):
        if not opaque or d > -0.25 * diameter_px:
            cv2.circle(weight, (round(float(x)), round(float(y))), round(float(width) / 2), 0.0, -1)
    # The surroundings of the painted contaminant are unchanged; its soft rim is neither junk nor clean.
    junk = np.where(distance < 0, np.float32(1), crop.junk)
    junk[(distance >= 0) & (distance < 0.1 * diameter_px)] = -1
    return Crop(painted, crop.labels[~hidden], weight, junk)


def _smooth_field(rng: np.random.Generator, shape: tuple[int, ...], sigma_px: float) -> _FloatImage:
    """Return a Gaussian random field of unit variance; wide ones are drawn on a coarser grid, ten times faster."""
    step = max(1, int(sigma_px / 2))
    coarse = rng.standard_normal((shape[0] // step + 2, shape[1] // step + 2), dtype=np.float32)
    field = cv2.GaussianBlur(coarse, (0, 0), max(float(sigma_px) / step, 0.8))
    if step > 1:
        field = cv2.resize(field, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    else:
        field = field[: shape[0], : shape[1]]
    return np.asarray(field / max(float(field.std()), 1e-6), np.float32)
