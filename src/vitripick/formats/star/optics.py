"""Hold the values that RELION's optics block (3.1 and later) gives for the micrographs of one group."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vitripick.errors import parameter
from vitripick.settings.optics import OpticsSettings

log = logging.getLogger("vitripick")

# Without one of these values, RELION refuses a file of particles; the texts name them in messages.
_NEEDED = {"pixel_size": "pixel size", "voltage_kv": "voltage", "spherical_aberration_mm": "spherical aberration"}
_FOR_CTF = {"amplitude_contrast": "amplitude contrast"}


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
    original_pixel_size
        Å per pixel of the movies, before motion correction binned them.
    """

    group: int = 1
    name: str = "opticsGroup1"
    voltage_kv: float | None = None
    spherical_aberration_mm: float | None = None
    amplitude_contrast: float | None = None
    pixel_size: float | None = None
    original_pixel_size: float | None = None


def with_given_optics(group: OpticsGroup | None, settings: OpticsSettings) -> OpticsGroup | None:
    """Return a group with the values that the user gave, which override the STAR's; None if none is known."""
    given = {name: getattr(settings, name) for name in OpticsSettings.model_fields}
    known = {name: value for name, value in given.items() if value is not None}
    return dataclasses.replace(group or OpticsGroup(), **known) if known else group


def warn_of_unknown_optics(groups: Iterable[OpticsGroup], path: str | Path, *, pixel_size_by: str) -> None:
    """Warn if RELION will refuse a file of particles, because a value of its optics block is not known.

    A value that one group lacks has no column, so it counts as unknown. RELION 3.1 to 5 (`ObservationModel`) stops
    without a pixel size, a voltage or a spherical aberration; without an amplitude contrast, what needs the CTF stops.

    Parameters
    ----------
    groups
        The groups of the file.
    path
        The file, for the message.
    pixel_size_by
        The option that gives the pixel size, or what to do, as the message should say it.
    """
    groups = set(groups)
    unknown = [field for field in (*_NEEDED, *_FOR_CTF) if any(getattr(group, field) is None for group in groups)]
    if unknown:
        refused = any(field in _NEEDED for field in unknown)
        log.warning(
            "%s: no %s is known, so %s; give %s",
            path,
            _in_a_row([{**_NEEDED, **_FOR_CTF}[field] for field in unknown], "or"),
            "RELION 3.1 and later refuse this file" if refused else "RELION cannot correct these particles for the CTF",
            _in_a_row([pixel_size_by if field == "pixel_size" else parameter(field) for field in unknown], "and"),
        )


def _in_a_row(words: Sequence[str], link: str) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {link} {words[-1]}"
