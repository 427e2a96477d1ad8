"""List the options that describe the microscope; RELION needs them in files of particles."""

from __future__ import annotations

from vitripick.settings import Option, Settings, option

MICROSCOPE = "Microscope, for RELION"
# No electron microscope is stronger; a voltage in V for one in kV lies far above.
_HIGHEST_KV = 3000
_LARGEST_MM = 100


class OpticsSettings(Settings):
    """Describes the microscope, for micrographs without a STAR that does. No pick depends on it."""

    voltage_kv: float | None = option(
        None,
        "Voltage of the microscope in kV, if the micrographs' STAR does not say it or is wrong.",
        about=Option(MICROSCOPE, name="voltage", decides_picks=False, in_runs_only=True),
        gt=0,
        le=_HIGHEST_KV,
    )
    spherical_aberration_mm: float | None = option(
        None,
        "Spherical aberration (Cs) of the microscope in mm, if the micrographs' STAR does not say it or is wrong.",
        about=Option(MICROSCOPE, name="spherical_aberration", decides_picks=False, in_runs_only=True),
        ge=0,
        le=_LARGEST_MM,
    )
    amplitude_contrast: float | None = option(
        None,
        "Share of amplitude contrast, 0-1, if the micrographs' STAR does not say it or is wrong.",
        about=Option(MICROSCOPE, decides_picks=False, in_runs_only=True),
        ge=0,
        le=1,
    )
