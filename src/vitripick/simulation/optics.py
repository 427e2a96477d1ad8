"""Model the microscope: contrast transfer, its envelope, and the image of a wave.

`torch-ctf` has the same function, and the tests compare with it. Here it is in NumPy, because a CTF of 1024^2 takes 15
ms, and every worker process would wait two seconds for torch.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import fft

from vitripick.geometry import Image
from vitripick.settings import Settings
from vitripick.simulation.scattering import electron_wavelength_angstrom

Spectrum: TypeAlias = npt.NDArray[np.complex64]
FloatGrid: TypeAlias = npt.NDArray[np.float32]


class Optics(Settings):
    """Describes the optics of one micrograph.

    Attributes
    ----------
    voltage_kv
    spherical_aberration_mm
        2.7, or about 0.01 with a corrector.
    amplitude_contrast
        0-1: the share of contrast that does not need defocus.
    defocus_angstrom
        Mean of both axes; underfocus is positive.
    astigmatism_angstrom
        Half the difference of the two axes.
    astigmatism_degrees
        Direction of the larger defocus, from x towards y.
    phase_shift_degrees
        Phase shift of a phase plate; 0 without one.
    b_factor
        Å^2 of the Gaussian envelope exp(-B k^2 / 4) on amplitudes: motion, drift, incoherence.
    """

    voltage_kv: float = Field(default=300.0, gt=0)
    spherical_aberration_mm: float = Field(default=2.7, ge=0)
    amplitude_contrast: float = Field(default=0.1, ge=0, lt=1)
    defocus_angstrom: float = 20000.0
    astigmatism_angstrom: float = 0.0
    astigmatism_degrees: float = 0.0
    phase_shift_degrees: float = 0.0
    b_factor: float = Field(default=100.0, ge=0)


def frequencies(shape: tuple[int, int], pixel_size: float) -> tuple[FloatGrid, FloatGrid]:
    """Return the spatial frequencies of a real image's half transform, cycles per Å.

    Returns
    -------
    (rows, 1) and (1, columns // 2 + 1), float32
        Along y and x.
    """
    ky = fft.fftfreq(shape[0], pixel_size).astype(np.float32)[:, None]
    kx = fft.rfftfreq(shape[1], pixel_size).astype(np.float32)[None, :]
    return ky, kx


def aberration_phase(
    ky: FloatGrid, kx: FloatGrid, optics: Optics, *, defocus_offset_angstrom: float = 0.0
) -> FloatGrid:
    """Return chi(k) = pi lambda k^2 df(angle) - pi/2 Cs lambda^3 k^4 + phase shift, rad (Rohou & Grigorieff 2015).

    Parameters
    ----------
    ky, kx
        Cycles per Å; they broadcast to the transform's shape.
    optics
        How the micrograph is taken.
    defocus_offset_angstrom
        Added to the defocus, for a particle higher or lower in the ice.
    """
    wavelength = electron_wavelength_angstrom(optics.voltage_kv)
    squared_y, squared_x = ky * ky, kx * kx
    squared = squared_y + squared_x
    angle = np.deg2rad(optics.astigmatism_degrees)
    # k^2 cos(2 (theta - angle)) without an arctangent.
    along = (squared_x - squared_y) * np.float32(np.cos(2 * angle)) + 2 * ky * kx * np.float32(np.sin(2 * angle))
    defocus = np.float32(optics.defocus_angstrom + defocus_offset_angstrom)
    path = defocus * squared + np.float32(optics.astigmatism_angstrom) * along
    chi: FloatGrid = (np.float32(np.pi * wavelength) * path).astype(np.float32, copy=False)
    chi -= np.float32(np.pi / 2 * optics.spherical_aberration_mm * 1e7 * wavelength**3) * squared * squared
    chi += np.float32(np.deg2rad(optics.phase_shift_degrees))
    return chi


def envelope(ky: FloatGrid, kx: FloatGrid, b_factor: float) -> FloatGrid:
    """Return exp(-B k^2 / 4), the envelope of amplitudes."""
    result: FloatGrid = np.exp(np.float32(-b_factor / 4) * (ky * ky + kx * kx))
    return result


def contrast_transfer(
    shape: tuple[int, int], pixel_size: float, optics: Optics, *, defocus_offset_angstrom: float = 0.0
) -> FloatGrid:
    """Return the contrast transfer function, without envelope: -sin(chi + arcsin(w)), negative where protein is dark.

    Returns
    -------
    (rows, columns // 2 + 1), float32
        Multiplies the half transform of the phase shift; twice the result is the change of intensity.
    """
    ky, kx = frequencies(shape, pixel_size)
    chi = aberration_phase(ky, kx, optics, defocus_offset_angstrom=defocus_offset_angstrom)
    result: FloatGrid = -np.sin(chi + np.float32(np.arcsin(optics.amplitude_contrast)))
    return result


def weak_contrast(phase: Image, pixel_size: float, optics: Optics, *, defocus_offset_angstrom: float = 0.0) -> Image:
    """Return what a weak phase object adds to an intensity of 1.

    Parameters
    ----------
    phase : (rows, columns), float32
        Phase shift in rad. Opposite edges touch in the Fourier transform, so the caller pads it.
    pixel_size
        Å per pixel.
    optics
        How the micrograph is taken.
    defocus_offset_angstrom
        As in `aberration_phase`.

    Returns
    -------
    (rows, columns), float32
        2 CTF * phase, under the envelope.
    """
    ky, kx = frequencies((phase.shape[0], phase.shape[1]), pixel_size)
    chi = aberration_phase(ky, kx, optics, defocus_offset_angstrom=defocus_offset_angstrom)
    transfer = -2 * np.sin(chi + np.float32(np.arcsin(optics.amplitude_contrast))) * envelope(ky, kx, optics.b_factor)
    spectrum = fft.rfft2(phase, workers=1)
    spectrum *= transfer
    return np.asarray(fft.irfft2(spectrum, s=phase.shape, workers=1, overwrite_x=True), np.float32)


def wave_intensity(phase: Image, loss: Image, pixel_size: float, optics: Optics) -> Image:
    """Return the intensity behind an object of any strength: ice crystals, carbon, gold.

    The wave exp(i phase - loss / 2) goes through the lens, exp(i chi) under the envelope, and is squared. For a
    weak object it is 1 + `weak_contrast` (a test says so), for a strong one it has the fringes and the darkness.

    Parameters
    ----------
    phase : (rows, columns), float32
        rad.
    loss : (rows, columns), float32
        Electrons lost: the intensity behind a wide object is exp(-loss).
    pixel_size
        Å per pixel.
    optics
        How the micrograph is taken.

    Returns
    -------
    (rows, columns), float32
        1 without an object.
    """
    shape = phase.shape
    # Amplitude contrast turns a part of the phase into loss; together they are as strong as the phase alone.
    w = optics.amplitude_contrast
    wave = _wave(np.exp(-(loss / 2 + np.float32(w) * phase)), phase * np.float32(np.sqrt(1 - w * w)))
    ky = fft.fftfreq(shape[0], pixel_size).astype(np.float32)[:, None]
    kx = fft.fftfreq(shape[1], pixel_size).astype(np.float32)[None, :]
    chi = aberration_phase(ky, kx, optics)
    spectrum = fft.fft2(wave, workers=1)
    lens = _wave(envelope(ky, kx, optics.b_factor), chi)
    # The phase plate shifts what is scattered, not the beam itself.
    lens[0, 0] = 1.0
    spectrum *= lens
    image = fft.ifft2(spectrum, workers=1)
    return np.asarray(image.real**2 + image.imag**2, np.float32)


def _wave(amplitude: FloatGrid, phase: FloatGrid) -> Spectrum:
    """Return amplitude * exp(i phase), twice as fast as a complex exponential in single precision."""
    wave = np.empty(phase.shape, np.complex64)
    np.multiply(amplitude, np.cos(phase), out=wave.real)
    np.multiply(amplitude, np.sin(phase), out=wave.imag)
    return wave
