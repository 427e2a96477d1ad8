"""Flip the phases that the microscope's contrast transfer has inverted, so that averages add up matching details."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from vitripick.classes.polar import Images, Reals

# Planck's constant over the electron's mass and charge: the wavelength in Å of electrons of V volts.
_WAVELENGTH, _RELATIVISTIC = 12.2642596, 0.978475598e-6


@dataclass(frozen=True)
class Contrast:
    """Holds what decides the contrast transfer of a micrograph.

    Attributes
    ----------
    defocus_u_angstrom, defocus_v_angstrom, angle_degrees
        Defocus along both main directions, and from x towards y the direction of the first.
    voltage_kv, spherical_aberration_mm, amplitude_contrast, phase_shift_degrees
        Of the microscope.
    """

    defocus_u_angstrom: float
    defocus_v_angstrom: float
    angle_degrees: float
    voltage_kv: float
    spherical_aberration_mm: float
    amplitude_contrast: float
    phase_shift_degrees: float = 0.0


def transfer(size_px: int, pixel_size: float, contrast: Contrast) -> Reals:
    """Return the contrast transfer of bright particles, (size, size // 2 + 1): above 0 where phases are right.

    The phase is that of Rohou & Grigorieff 2015, J. Struct. Biol. 192, 216-221; its sign is that of images whose
    particles were dark, and were inverted.

    Parameters
    ----------
    size_px
        Side of the images.
    pixel_size
        Å per pixel of these images.
    contrast
        Of their micrograph.
    """
    ky = fft.fftfreq(size_px, pixel_size)[:, None]
    kx = fft.rfftfreq(size_px, pixel_size)[None, :]
    squared = kx**2 + ky**2
    volts = 1000 * contrast.voltage_kv
    wavelength = _WAVELENGTH / np.sqrt(volts + _RELATIVISTIC * volts**2)
    mean = (contrast.defocus_u_angstrom + contrast.defocus_v_angstrom) / 2
    half = (contrast.defocus_u_angstrom - contrast.defocus_v_angstrom) / 2
    turned = 2 * np.deg2rad(contrast.angle_degrees)
    # k^2 cos(2 (theta - angle)) without an arctangent.
    along = (kx**2 - ky**2) * np.cos(turned) + 2 * kx * ky * np.sin(turned)
    chi = np.pi * wavelength * (mean * squared + half * along)
    chi -= np.pi / 2 * contrast.spherical_aberration_mm * 1e7 * wavelength**3 * squared**2
    return np.asarray(np.sin(chi + np.deg2rad(contrast.phase_shift_degrees) + np.arcsin(contrast.amplitude_contrast)))


def phase_flipped(images: Images, pixel_size: float, contrast: Contrast) -> Images:
    """Return images, (n, size, size), whose phases are right at all frequencies; amplitudes stay."""
    size = images.shape[-1]
    sign = np.where(transfer(size, pixel_size, contrast) < 0, -1, 1).astype(np.float32)
    return np.asarray(fft.irfft2(fft.rfft2(images, workers=1) * sign, s=(size, size), workers=1), np.float32)
