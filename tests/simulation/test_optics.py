"""The lens."""

import numpy as np
import pytest
import torch_ctf

from vitripick.simulation.ice import carbon_spectrum, random_field
from vitripick.simulation.optics import Optics, contrast_transfer, envelope, frequencies, wave_intensity, weak_contrast
from vitripick.simulation.projection import project
from vitripick.simulation.scattering import electron_wavelength_angstrom, interaction_constant


@pytest.mark.parametrize(
    "optics",
    [
        Optics(defocus_angstrom=15000),
        Optics(defocus_angstrom=22000, astigmatism_angstrom=1500, astigmatism_degrees=35, voltage_kv=200),
        Optics(defocus_angstrom=6000, phase_shift_degrees=70, spherical_aberration_mm=0.01, amplitude_contrast=0.07),
    ],
    ids=["plain", "astigmatic", "phase plate"],
)
def test_the_ctf_is_that_of_torch_ctf(optics):
    theirs = torch_ctf.calculate_ctf_2d(
        defocus=optics.defocus_angstrom / 1e4,
        astigmatism=optics.astigmatism_angstrom / 1e4,
        astigmatism_angle=optics.astigmatism_degrees,
        voltage=optics.voltage_kv,
        spherical_aberration=optics.spherical_aberration_mm,
        amplitude_contrast=optics.amplitude_contrast,
        phase_shift=optics.phase_shift_degrees,
        pixel_size=2.0,
        image_shape=(96, 128),
        rfft=True,
        fftshift=False,
    )
    ours = contrast_transfer((96, 128), 2.0, optics)
    # Theirs has the other sign; that protein is dark under ours is tested below.
    np.testing.assert_allclose(ours, -np.asarray(theirs), atol=2e-3)


def radial_mean(power, shape, pixel_size, width):
    ky, kx = frequencies(shape, pixel_size)
    ring = (np.hypot(ky, kx) / width).astype(int).ravel()
    return np.bincount(ring, power.ravel()) / np.bincount(ring)


@pytest.mark.parametrize("defocus_angstrom", [12000.0, 25000.0])
def test_a_carbon_film_shows_thon_rings_with_zeros_where_they_are_predicted(defocus_angstrom):
    shape, pixel_size, width = (512, 512), 1.5, 1 / 1000
    optics = Optics(defocus_angstrom=defocus_angstrom, b_factor=0, amplitude_contrast=0.1)
    rng = np.random.default_rng(1)
    grain = random_field(shape, carbon_spectrum(*frequencies(shape, pixel_size)) * 200, pixel_size, rng)
    image = weak_contrast(grain * np.float32(interaction_constant(300)), pixel_size, optics)
    power = radial_mean(np.abs(np.fft.rfft2(image)) ** 2, shape, pixel_size, width)
    wavelength = electron_wavelength_angstrom(300)
    for n in (1, 2, 3):
        # chi + asin(w) = n pi, without spherical aberration to a per cent at these frequencies.
        k = np.sqrt((n * np.pi - np.arcsin(0.1)) / (np.pi * wavelength * defocus_angstrom))
        around = np.arange(int((k - 0.008) / width), int((k + 0.008) / width))
        zero = around[power[around].argmin()] + 0.5
        assert zero * width == pytest.approx(k, abs=0.0025)
        assert power[around].min() < 0.05 * power[around].max()


def test_underfocus_makes_protein_dark_and_overfocus_bright(apoferritin):
    phase = project(apoferritin, np.eye(3), pixel_size=3.0, size_px=128) * np.float32(interaction_constant(300))
    inside = phase > 0.3 * phase.max()
    dark = weak_contrast(phase, 3.0, Optics(defocus_angstrom=20000))
    bright = weak_contrast(phase, 3.0, Optics(defocus_angstrom=-20000))
    assert dark[inside].mean() < -0.02
    assert bright[inside].mean() > 0.015


def test_a_phase_plate_gives_contrast_in_focus(apoferritin):
    phase = project(apoferritin, np.eye(3), pixel_size=3.0, size_px=128) * np.float32(interaction_constant(300))
    inside = phase > 0.3 * phase.max()
    plain = weak_contrast(phase, 3.0, Optics(defocus_angstrom=2000))
    plate = weak_contrast(phase, 3.0, Optics(defocus_angstrom=2000, phase_shift_degrees=90))
    assert plate[inside].mean() < 3 * plain[inside].mean() < 0


def test_twice_the_mass_has_twice_the_contrast_in_the_weak_limit(apoferritin):
    phase = project(apoferritin, np.eye(3), pixel_size=3.0, size_px=128) * np.float32(0.1 * interaction_constant(300))
    one, two = (weak_contrast(phase * n, 3.0, Optics()) for n in (1, 2))
    np.testing.assert_allclose(two, 2 * one, atol=1e-6)


def test_the_wave_of_a_weak_object_is_the_weak_limit():
    blob = np.exp(-0.5 * ((np.mgrid[:128, :128] - 64) ** 2).sum(axis=0) / 8**2).astype(np.float32)
    optics = Optics(defocus_angstrom=15000, b_factor=50)
    errors = []
    for strength in (0.02, 0.01):
        phase = strength * blob
        wave = wave_intensity(phase, np.zeros_like(phase), 2.0, optics) - 1
        errors.append(np.abs(wave - weak_contrast(phase, 2.0, optics)).max() / np.abs(wave).max())
    # What is left falls with the strength: it is of second order.
    assert errors[0] < 0.1
    assert errors[1] < 0.7 * errors[0]


def test_a_wide_absorber_lets_its_share_through():
    loss = np.zeros((128, 128), np.float32)
    loss[:, 32:96] = 1.0
    image = wave_intensity(np.zeros_like(loss), loss, 2.0, Optics(amplitude_contrast=0.0, b_factor=0))
    assert image[:, 56:72].mean() == pytest.approx(np.exp(-1), rel=0.05)


def test_the_envelope_falls_by_the_b_factor():
    ky, kx = frequencies((64, 64), 2.0)
    assert envelope(ky, kx, 200)[0, 32] == pytest.approx(np.exp(-50 * 0.25**2), rel=1e-5)
