"""Hold what RELION's optics block (3.1 and later) says about the micrographs of one group."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OpticsGroup:
    """Holds one optics group; values that are not known are None.

    Attributes
    ----------
    group
        RELION's number, from 1.
    name
        RELION's name for it.
    voltage_kv, spherical_aberration_mm, amplitude_contrast
        Values of the microscope.
    pixel_size
        Å per pixel of the micrographs.
    """

    group: int = 1
    name: str = "opticsGroup1"
    voltage_kv: float | None = None
    spherical_aberration_mm: float | None = None
    amplitude_contrast: float | None = None
    pixel_size: float | None = None
