"""Define constants of electron scattering, each with its source, and short formulas on them.

Amplitudes f(0) are the sums of the five-Gaussian coefficients of Peng et al. 1996 (Acta Cryst. A52, 257), in Å.
"""

from __future__ import annotations

import math

# Projected potential of one scatterer of amplitude f, integrated over the plane: h^2 / (2 pi m e) * f.
VOLT_ANGSTROM_SQUARED_PER_ANGSTROM = 47.878

# f(0) of the elements that molecules and their ice are made of. Files with others are read through gemmi's table.
AMPLITUDE = {"H": 0.5288, "C": 2.5088, "N": 2.2134, "O": 1.9834, "P": 5.4876, "S": 5.1604}

# Hydrogens that structure files leave out, per heavy atom of protein; nucleic acid differs by a few per cent.
IMPLICIT_HYDROGENS = {"C": 1.25, "N": 1.0, "O": 0.25}

# Amorphous ice at 0.92 g/cm3: molecules and scattering amplitude per Å^3. Water is O + 2 H.
ICE_MOLECULES_PER_CUBIC_ANGSTROM = 0.92 * 0.602214 / 18.0153
WATER_AMPLITUDE = AMPLITUDE["O"] + 2 * AMPLITUDE["H"]
ICE_AMPLITUDE_DENSITY = ICE_MOLECULES_PER_CUBIC_ANGSTROM * WATER_AMPLITUDE  # 0.0935 Å per Å^3

# Å^3 that one dalton takes up: protein at 1.35 g/cm3, nucleic acid at about 1.83 g/cm3 with its ions.
PROTEIN_VOLUME_PER_DALTON = 1 / 0.81
NUCLEIC_VOLUME_PER_DALTON = 1 / 1.10
PROTEIN_AMPLITUDE_PER_DALTON = 0.204
NUCLEIC_AMPLITUDE_PER_DALTON = 0.177


def displaced_share(*, nucleic: bool) -> float:
    """Return the share of its own amplitude that a molecule loses to the ice it displaces.

    A particle is seen against ice, so the amplitude of the ice that it displaces is subtracted. The share is about 0.57
    for protein and 0.48 for nucleic acid: gross potential overstates contrast by a factor of two.
    """
    if nucleic:
        return ICE_AMPLITUDE_DENSITY * NUCLEIC_VOLUME_PER_DALTON / NUCLEIC_AMPLITUDE_PER_DALTON
    return ICE_AMPLITUDE_DENSITY * PROTEIN_VOLUME_PER_DALTON / PROTEIN_AMPLITUDE_PER_DALTON


def protein_net_density() -> float:
    """Return the net scattering amplitude of packed protein against ice, Å per Å^3 (about 0.07)."""
    gross = PROTEIN_AMPLITUDE_PER_DALTON / PROTEIN_VOLUME_PER_DALTON
    return gross * (1 - displaced_share(nucleic=False))


def electron_wavelength_angstrom(voltage_kv: float) -> float:
    """Return the relativistic wavelength, Å (0.01969 at 300 kV): h / sqrt(2 m e V (1 + e V / 2 m c^2))."""
    volts = voltage_kv * 1e3
    return 12.26426 / math.sqrt(volts * (1 + 0.978476e-6 * volts))


def interaction_constant(voltage_kv: float) -> float:
    """Return the phase shift per projected potential, rad / (V Å): 6.53e-4 at 300 kV.

    It is 2 pi m e lambda / h^2 with relativistic mass and wavelength.
    """
    kinetic = voltage_kv  # keV
    rest = 510.99895
    return (
        2
        * math.pi
        / (electron_wavelength_angstrom(voltage_kv) * voltage_kv * 1e3)
        * (rest + kinetic)
        / (2 * rest + kinetic)
    )
