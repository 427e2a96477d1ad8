"""The options of tracing filaments: `FilamentSettings` is the list."""

from __future__ import annotations

from typing import Literal, TypeAlias

from vitripick.settings import Option, Settings, option

FILAMENTS = "Filaments"
Crossings: TypeAlias = Literal["pass", "cut"]


class FilamentSettings(Settings):
    """Say how to trace filaments. Each field's description says what it does."""

    filaments: bool = option(
        False, "Trace filaments instead of picking particles; needs their width.", about=Option(FILAMENTS)
    )
    width_angstrom: float | None = option(
        None, "The filament's width in Å.", about=Option(FILAMENTS), gt=0, allow_inf_nan=False
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
        "Leave out shorter filaments.",
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
    crossings: Crossings = option(
        "pass", "Let filaments pass through crossings, or cut them out.", about=Option(FILAMENTS)
    )
