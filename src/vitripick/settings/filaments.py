"""List the options of tracing filaments, in `FilamentSettings`."""

from __future__ import annotations

from typing import Literal, TypeAlias

from vitripick.errors import UsageError, parameter
from vitripick.settings import Option, Settings, option, option_of
from vitripick.settings.pick import PickSettings
from vitripick.text import listed

FILAMENTS = "Filaments"
Crossings: TypeAlias = Literal["pass", "cut"]


class FilamentSettings(Settings):
    """Say how to trace filaments. Each field's description says what it does."""

    filaments: bool = option(False, "Trace filaments instead of picking particles.", about=Option(FILAMENTS))
    width_angstrom: float | None = option(
        None, "The filament's width in Å.", about=Option(FILAMENTS, default_text="estimated"), gt=0, allow_inf_nan=False
    )
    width_px: float | None = option(
        None, "The filament's width in full-size pixels.", about=Option(FILAMENTS), gt=0, allow_inf_nan=False
    )
    spacing_angstrom: float | None = option(
        None,
        "Distance of segments along a filament in Å.",
        about=Option(FILAMENTS, default_text="half the width"),
        gt=0,
        allow_inf_nan=False,
    )
    minimum_length_angstrom: float | None = option(
        None,
        "Leave out filaments shorter than this, in Å.",
        about=Option(FILAMENTS, default_text="5 widths"),
        ge=0,
        allow_inf_nan=False,
    )
    largest_bend_degrees: float = option(
        25.0,
        "Cut a filament where it bends more than this in one width of length.",
        about=Option(FILAMENTS),
        gt=0,
        le=180,
        allow_inf_nan=False,
    )
    border_angstrom: float = option(
        0.0,
        "Cut filaments off this far from the border of the micrograph, in Å.",
        about=Option(FILAMENTS),
        ge=0,
        allow_inf_nan=False,
    )
    crossings: Crossings = option(
        "pass", "Let filaments pass through crossings, or cut them out.", about=Option(FILAMENTS)
    )


# These options of picking particles act on filaments, too.
_OF_BOTH = frozenset({"threshold", "pixel_size", "invert", "formats", "overlays", "include", "engine", "precision"})


def check_filament_options(lines: FilamentSettings, picking: PickSettings) -> None:
    """Raise `UsageError` if an option was given that has no effect: one of filaments without `filaments`, or one of
    particles with it."""
    if lines.filaments:
        idle = _given(picking, leave_out=_OF_BOTH)
        if idle:
            raise UsageError(f"{listed(idle)}: this acts on particles, not on filaments; leave it out.")
    elif lines != FilamentSettings():
        raise UsageError(f"{listed(_given(lines))} needs {parameter('filaments', True)}.")


def _given(settings: Settings, *, leave_out: frozenset[str] = frozenset()) -> list[str]:
    """Return the options of these settings that are not left at their defaults, as the user writes them."""
    fields = type(settings).model_fields
    changed = [name for name in fields if name not in leave_out and getattr(settings, name) != fields[name].default]
    return sorted(parameter(option_of(fields[name]).name or name) for name in changed)
