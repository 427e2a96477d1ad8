"""Constants against published values."""

import pytest

from vitripick.simulation.scattering import (
    ICE_AMPLITUDE_DENSITY,
    VOLT_ANGSTROM_SQUARED_PER_ANGSTROM,
    displaced_share,
    electron_wavelength_angstrom,
    interaction_constant,
    protein_net_density,
)


@pytest.mark.parametrize(("voltage_kv", "wavelength"), [(100, 0.03701), (200, 0.02508), (300, 0.01969)])
def test_the_wavelength_is_relativistic(voltage_kv, wavelength):
    assert electron_wavelength_angstrom(voltage_kv) == pytest.approx(wavelength, abs=1e-5)


@pytest.mark.parametrize(("voltage_kv", "sigma"), [(200, 7.29e-4), (300, 6.53e-4)])
def test_the_interaction_constant_is_the_textbooks(voltage_kv, sigma):
    assert interaction_constant(voltage_kv) == pytest.approx(sigma, rel=2e-3)


def test_ice_has_the_potential_that_its_density_and_amplitude_give():
    volts = ICE_AMPLITUDE_DENSITY * VOLT_ANGSTROM_SQUARED_PER_ANGSTROM
    assert volts == pytest.approx(4.48, abs=0.05)


def test_protein_loses_more_than_half_of_its_contrast_to_the_ice_and_nucleic_acid_less():
    assert displaced_share(nucleic=False) == pytest.approx(0.56, abs=0.02)
    assert displaced_share(nucleic=True) == pytest.approx(0.48, abs=0.02)
    assert protein_net_density() == pytest.approx(0.072, abs=0.002)
