"""Ice and carbon."""

import numpy as np
import pytest

from vitripick.simulation.ice import (
    carbon_spectrum,
    ice_potential,
    ice_spectrum,
    mean_free_path_angstrom,
    random_field,
    thickness_field,
)
from vitripick.simulation.optics import frequencies


def test_a_random_field_has_the_power_that_was_asked_for():
    shape, pixel_size = (256, 256), 2.0
    ky, kx = frequencies(shape, pixel_size)
    power = 50 / (1 + ((ky * ky + kx * kx) / 0.05**2))
    field = random_field(shape, power, pixel_size, np.random.default_rng(1))
    # The variance is the integral of the power over all frequencies that the grid has.
    full = np.concatenate([power, power[:, 1:-1]], axis=1)
    assert field.var() == pytest.approx(full.sum() / (shape[0] * shape[1] * pixel_size**2), rel=0.05)


def test_the_grain_of_ice_grows_with_its_thickness():
    rng = np.random.default_rng(2)
    thin, thick = (np.full((256, 256), t, np.float32) for t in (200, 800))
    one = ice_potential(thin, 2.0, rng, structure_factor=0.05).var()
    four = ice_potential(thick, 2.0, rng, structure_factor=0.05).var()
    assert four == pytest.approx(4 * one, rel=0.05)


def test_ice_has_its_ring_and_carbon_is_grainier():
    k = np.linspace(0.001, 0.4, 400, dtype=np.float32)[None]
    power = ice_spectrum(np.zeros((1, 1), np.float32), k)[0]
    ring = power[k[0] > 0.15]
    assert k[0][k[0] > 0.15][ring.argmax()] == pytest.approx(1 / 3.7, abs=0.03)
    assert carbon_spectrum(np.zeros((1, 1), np.float32), k)[0, 10] > 10 * power[10]


def test_ice_is_a_wedge_and_nowhere_gone():
    field = thickness_field((100, 150), np.random.default_rng(3), mean_angstrom=400, wedge=0.6, waviness=0.5)
    assert field.min() >= 80
    assert field.mean() == pytest.approx(400, rel=0.3)
    assert np.ptp(field) > 100


def test_slower_electrons_are_lost_sooner():
    assert mean_free_path_angstrom(300) == pytest.approx(3500)
    assert mean_free_path_angstrom(200) == pytest.approx(3500 * 0.4835 / 0.6031, rel=1e-3)
