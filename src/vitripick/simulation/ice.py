"""Make ice and carbon: their thickness, the electrons that they absorb, and the grain that they add to the phase."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import fft

from vitripick.geometry import Image
from vitripick.simulation.optics import FloatGrid, frequencies
from vitripick.simulation.scattering import (
    AMPLITUDE,
    ICE_MOLECULES_PER_CUBIC_ANGSTROM,
    VOLT_ANGSTROM_SQUARED_PER_ANGSTROM,
    WATER_AMPLITUDE,
)

# Mean free path of electrons for all inelastic scattering in ice, Å; measured values run from 2,800 to 4,000 at
# 300 kV (Vulovic et al. 2013, Rice et al. 2018), and it falls with the speed squared.
ICE_MEAN_FREE_PATH_300 = 3500.0
# Amorphous carbon at 2.0 g/cm3: atoms per Å^3.
CARBON_ATOMS_PER_CUBIC_ANGSTROM = 2.0 * 0.602214 / 12.011


def mean_free_path_angstrom(voltage_kv: float) -> float:
    """Return the inelastic mean free path in ice, Å: it grows with the square of the electron's speed."""

    def beta_squared(kv: float) -> float:
        gamma = 1 + kv / 510.99895
        return 1 - 1 / gamma**2

    return ICE_MEAN_FREE_PATH_300 * beta_squared(voltage_kv) / beta_squared(300.0)


def thickness_field(
    shape: tuple[int, int],
    rng: np.random.Generator,
    *,
    mean_angstrom: float,
    wedge: float = 0.0,
    waviness: float = 0.0,
) -> Image:
    """Return the thickness of the ice: a wedge with a slow random field on it.

    Parameters
    ----------
    shape
        (rows, columns).
    rng
        Source of all randomness.
    mean_angstrom
        Mean thickness.
    wedge
        Relative difference between the thinnest and the thickest edge.
    waviness
        Relative sd of the slow field, whose waves are a quarter of the micrograph and longer.

    Returns
    -------
    (rows, columns), float32
        Å, nowhere below a fifth of the mean.
    """
    y, x = np.linspace(-0.5, 0.5, shape[0], dtype=np.float32), np.linspace(-0.5, 0.5, shape[1], dtype=np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.float32(wedge * np.cos(angle)) * x[None, :] + np.float32(wedge * np.sin(angle)) * y[:, None]
    # Six knots across: cubic interpolation between them has no waves shorter than a quarter of the field.
    knots = rng.standard_normal((6, 6)).astype(np.float32)
    waves = cv2.resize(knots, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    field = np.float32(mean_angstrom) * (1 + slope + np.float32(waviness) * waves)
    return np.asarray(np.maximum(field, np.float32(mean_angstrom / 5)), np.float32)


def ice_spectrum(ky: FloatGrid, kx: FloatGrid, *, structure_factor: float = 0.05) -> FloatGrid:
    """Return the power spectrum of the projected potential of 1 Å of amorphous ice, (V Å)^2 Å^2 per Å.

    It is molecules per area times (47.878 f(k))^2 times the structure factor S(k). S(k) is a small constant at low
    frequency, as in any nearly incompressible liquid, and has a ring at 1/3.7 Å (Parkhurst et al. 2024 fit the same
    ring).

    Parameters
    ----------
    ky, kx
        Cycles per Å; they broadcast to the result's shape.
    structure_factor
        S(0): 0.06 for water at room temperature by its compressibility; ice that carries buffer and denatured
        protein has more.
    """
    squared = ky * ky + kx * kx
    k = np.sqrt(squared)
    ring = 1.5 * np.exp(-(((k - np.float32(1 / 3.7)) / np.float32(0.035)) ** 2))
    rise = np.clip(squared / np.float32((1 / 3.7) ** 2), 0, 1) ** 2
    # Water's f(k) falls like a Gaussian of about B = 20 Å^2 in the range that micrographs show.
    form = WATER_AMPLITUDE * np.exp(-20.0 / 4 * squared)
    per_molecule = (VOLT_ANGSTROM_SQUARED_PER_ANGSTROM * form) ** 2
    power: FloatGrid = (
        ICE_MOLECULES_PER_CUBIC_ANGSTROM * per_molecule * (structure_factor + ring + 0.3 * rise)
    ).astype(np.float32)
    return power


def carbon_spectrum(ky: FloatGrid, kx: FloatGrid) -> FloatGrid:
    """Return the power spectrum of the projected potential of 1 Å of amorphous carbon, (V Å)^2 Å^2 per Å.

    It is nearly white over the range of a micrograph (S about 0.4), so its grain shows Thon rings well.
    """
    squared = ky * ky + kx * kx
    form = AMPLITUDE["C"] * np.exp(-18.0 / 4 * squared)
    power: FloatGrid = (
        CARBON_ATOMS_PER_CUBIC_ANGSTROM * 0.4 * (VOLT_ANGSTROM_SQUARED_PER_ANGSTROM * form) ** 2
    ).astype(np.float32)
    return power


def random_field(shape: tuple[int, int], power: FloatGrid, pixel_size: float, rng: np.random.Generator) -> Image:
    """Return a Gaussian random field with a given power spectrum.

    Parameters
    ----------
    shape
        (rows, columns).
    power : (rows, columns // 2 + 1)
        Variance per (cycle per Å)^2: the field's units squared times Å^2.
    pixel_size
        Å per pixel.
    rng
        Source of all randomness.

    Returns
    -------
    (rows, columns), float32
    """
    white = rng.standard_normal(shape, dtype=np.float32)
    spectrum = fft.rfft2(white, workers=1)
    spectrum *= np.sqrt(power) / np.float32(pixel_size)
    return np.asarray(fft.irfft2(spectrum, s=shape, workers=1, overwrite_x=True), np.float32)


def ice_potential(thickness: Image, pixel_size: float, rng: np.random.Generator, *, structure_factor: float) -> Image:
    """Return the grain of the ice: projected potential around its mean, V Å; its variance grows with the thickness."""
    shape = (thickness.shape[0], thickness.shape[1])
    unit = random_field(
        shape, ice_spectrum(*frequencies(shape, pixel_size), structure_factor=structure_factor), pixel_size, rng
    )
    return unit * np.sqrt(thickness)
