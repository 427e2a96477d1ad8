"""Turn intensity into the numbers of a micrograph: electrons, camera and file."""

from __future__ import annotations

import cv2
import numpy as np
from pydantic import Field
from scipy import fft

from vitripick.geometry import Image
from vitripick.settings import Settings
from vitripick.simulation.optics import FloatGrid, frequencies


class Camera(Settings):
    """Describes a camera.

    Attributes
    ----------
    pixel_size
        Å per pixel of the camera at the sample; micrographs binned afterwards see only the first part of its curve.
    mtf_nyquist
        Modulation transfer at the camera's own Nyquist frequency: counting cameras about 0.5, CCDs below 0.1.
    noise_nyquist
        Noise transfer (square root of the normalised noise power) there; 1 is white.
    gain_error
        Relative sd of the fixed pattern that gain correction leaves.
    scan_lines
        Relative sd of the differences between whole rows or columns.
    hot_pixels
        Share of pixels with values far too high.
    x_rays
        Single pixels hit by an X-ray or cosmic ray, per million.
    """

    pixel_size: float = Field(default=1.0, gt=0)
    mtf_nyquist: float = Field(default=0.5, gt=0, le=1)
    noise_nyquist: float = Field(default=0.9, gt=0, le=1)
    gain_error: float = Field(default=0.0, ge=0)
    scan_lines: float = Field(default=0.0, ge=0)
    hot_pixels: float = Field(default=0.0, ge=0, le=0.01)
    x_rays: float = Field(default=0.0, ge=0)


class History(Settings):
    """Describes how the file was processed before a picker sees it.

    Attributes
    ----------
    lowpass_px
        Sigma of a Gaussian blur in pixels; 0 for none.
    eight_bit
        Whether it was stretched to 256 grey values and clipped at both ends.
    jpeg_quality
        Quality of JPEG compression; 0 for none.
    inverted
        Particles bright.
    """

    lowpass_px: float = Field(default=0.0, ge=0)
    eight_bit: bool = False
    jpeg_quality: int = Field(default=0, ge=0, le=100)
    inverted: bool = False


def transfer_curve(relative: FloatGrid, at_nyquist: float) -> FloatGrid:
    """Return the transfer of a camera: the pixel's own sinc, times an exponential that brings it to `at_nyquist`.

    Parameters
    ----------
    relative
        Frequency over the camera's Nyquist frequency.
    at_nyquist
        Value at 1. A perfect camera has 2 / pi, all lost by the pixel's outline; larger values count as that.
    """
    sinc = np.sinc(relative / 2)
    rest = min(at_nyquist * np.pi / 2, 1.0)
    curve: FloatGrid = (sinc * np.exp(np.float32(np.log(rest)) * relative)).astype(np.float32)
    return curve


def expose(
    intensity: Image,
    rng: np.random.Generator,
    *,
    dose_per_pixel: float,
    pixel_size: float,
    detector: Camera | None = None,
) -> Image:
    """Return the electrons that a camera counts.

    The camera's transfer acts on the signal as MTF and on the noise as NTF: the expected intensity is filtered with
    MTF / NTF, electrons are drawn (Poisson), and the counts are filtered with NTF.

    Parameters
    ----------
    intensity : (rows, columns), float32
        Relative to the beam: 1 is an empty field.
    rng
        Source of all randomness.
    dose_per_pixel
        Electrons per pixel of the image in an empty field.
    pixel_size
        Å per pixel of the image.
    detector
        The camera; None for a perfect counter.

    Returns
    -------
    (rows, columns), float32
        Electrons, fractional where the camera spreads them.
    """
    expected = intensity
    noise_transfer = None
    if detector is not None:
        ky, kx = frequencies((intensity.shape[0], intensity.shape[1]), pixel_size)
        relative = np.sqrt(ky * ky + kx * kx) * np.float32(2 * detector.pixel_size)
        # Electrons are counted, not averaged over the pixel, so the curve of the noise has no pixel outline in it.
        noise_transfer = np.exp(np.float32(np.log(detector.noise_nyquist)) * relative)
        expected = _filter(expected, transfer_curve(relative, detector.mtf_nyquist) / noise_transfer)
    counts = _count(np.maximum(expected, 0) * np.float32(dose_per_pixel), rng)
    if detector is None or noise_transfer is None:
        return counts
    if detector.noise_nyquist < 1:
        counts = _filter(counts, noise_transfer)
    return _defects(counts, rng, detector)


def _count(expected: Image, rng: np.random.Generator) -> Image:
    """Return numbers of electrons, drawn around these expected ones."""
    if float(expected.min()) > 500:
        # This far from zero, a Poisson distribution is almost a Gaussian, and drawing it takes six times as long.
        noise = rng.standard_normal(expected.shape, dtype=np.float32)
        return np.asarray(expected + np.sqrt(expected) * noise, np.float32)
    return rng.poisson(expected).astype(np.float32)


def _filter(image: Image, transfer: FloatGrid) -> Image:
    """Return an image whose half transform is multiplied by this one."""
    spectrum = fft.rfft2(image, workers=1)
    spectrum *= transfer
    return np.asarray(fft.irfft2(spectrum, s=image.shape, workers=1, overwrite_x=True), np.float32)


def _defects(counts: Image, rng: np.random.Generator, detector: Camera) -> Image:
    """Return counts with gain errors, lines, hot pixels and X-rays."""
    rows, columns = counts.shape
    if detector.gain_error > 0:
        counts = counts * (1 + np.float32(detector.gain_error) * rng.standard_normal(counts.shape, dtype=np.float32))
    if detector.scan_lines > 0:
        counts = counts * (1 + np.float32(detector.scan_lines) * rng.standard_normal((rows, 1), dtype=np.float32))
        counts = counts * (1 + np.float32(detector.scan_lines) * rng.standard_normal((1, columns), dtype=np.float32))
    n_hot = rng.poisson(detector.hot_pixels * counts.size)
    n_rays = rng.poisson(detector.x_rays * counts.size / 1e6)
    if n_hot or n_rays:
        flat = counts.reshape(-1)
        mean, sd = float(flat.mean()), float(flat.std())
        flat[rng.integers(0, counts.size, n_hot)] = rng.choice([0.0, mean + 8 * sd], n_hot)
        flat[rng.integers(0, counts.size, n_rays)] = mean + sd * rng.uniform(10, 60, n_rays)
    return counts


def illumination(
    shape: tuple[int, int],
    rng: np.random.Generator,
    *,
    gradient: float = 0.0,
    vignetting: float = 0.0,
    beam_edge: bool = False,
) -> Image:
    """Return how bright the beam is over the field, about 1.

    Parameters
    ----------
    shape
        (rows, columns).
    rng
        Source of all randomness.
    gradient
        Relative difference from one edge to the opposite one, in a random direction.
    vignetting
        Relative loss in the corners.
    beam_edge
        Whether the rim of the beam cuts a corner off.

    Returns
    -------
    (rows, columns), float32
    """
    y = np.linspace(-0.5, 0.5, shape[0], dtype=np.float32)[:, None]
    x = np.linspace(-0.5, 0.5, shape[1], dtype=np.float32)[None, :]
    angle = rng.uniform(0, 2 * np.pi)
    field: Image = 1 + np.float32(gradient) * (np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y)
    field = np.asarray(field - 2 * vignetting * (x * x + y * y), np.float32)
    if beam_edge:
        corner = rng.choice([-0.5, 0.5], 2)
        radius = rng.uniform(0.9, 1.3)
        distance = radius - np.hypot(x + corner[0], y + corner[1])
        soft = np.float32(rng.uniform(0.005, 0.05))
        field = np.asarray(field * (0.05 + 0.95 / (1 + np.exp(-distance / soft))), np.float32)
    return np.asarray(np.broadcast_to(np.maximum(field, 0.02), shape), np.float32)


def pass_through(image: Image, history: History) -> Image:
    """Return a micrograph after blurring, inverting, stretching and compressing it."""
    if history.lowpass_px > 0:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), history.lowpass_px), np.float32)
    if history.inverted:
        image = 2 * np.float32(image.mean()) - image
    if history.eight_bit or history.jpeg_quality:
        low, high = np.percentile(image[:: max(1, image.shape[0] // 256)], (0.1, 99.9))
        grey = np.clip((image - low) * (255 / max(high - low, 1e-6)), 0, 255).round().astype(np.uint8)
        if history.jpeg_quality:
            _, packed = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, history.jpeg_quality])
            grey = cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE)
        image = grey.astype(np.float32)
    return image
