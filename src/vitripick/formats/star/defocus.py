"""Hold what RELION's `micrographs_ctf.star` says about the focus of one micrograph."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

_U, _V, _ANGLE, _SHIFT = "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnPhaseShift"


@dataclass(frozen=True)
class Defocus:
    """Holds the defocus of a micrograph.

    Attributes
    ----------
    u_angstrom, v_angstrom
        Along the two main directions; above 0 is underfocus.
    angle_degrees
        From x towards y, to the direction of `u_angstrom`.
    phase_shift_degrees
        Of a phase plate.
    """

    u_angstrom: float
    v_angstrom: float
    angle_degrees: float = 0.0
    phase_shift_degrees: float = 0.0


def defocus_of_row(fields: Mapping[str, str]) -> Defocus | None:
    """Return the defocus in a row of a list of micrographs; None where it has none, or none that was found.

    Programs write 0 or nan where they found no defocus. Without V, the defocus is the same in all directions.
    """
    u = _number(fields, _U)
    v = u if _V not in fields else _number(fields, _V)
    if u is None or v is None or (u == 0 and v == 0):
        return None
    return Defocus(u, v, _number(fields, _ANGLE) or 0.0, _number(fields, _SHIFT) or 0.0)


def _number(fields: Mapping[str, str], label: str) -> float | None:
    try:
        value = float(fields.get(label, ""))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
