"""Refuse settings that would give wrong picks or none on every micrograph of a run, before anything is picked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vitripick.errors import InputError, VitripickError, parameter
from vitripick.formats import MicrographFile, read_header
from vitripick.runs.folder import is_filament_folder
from vitripick.runs.sample import spread_over
from vitripick.runs.survey import Survey
from vitripick.settings.pick import PickSettings


def refuse_folder_of_filaments(out: Path) -> None:
    """Raise `InputError` if a folder holds filaments, whose files picks of particles would overwrite."""
    if is_filament_folder(out):
        raise InputError(f"{out}: this folder holds traced filaments; give another {parameter('out')} for particles.")


def refuse_two_samples(survey: Survey) -> None:
    """Raise `InputError` if the diameter was estimated on micrographs that seem to show different particles."""
    found = survey.diameter
    if found is not None and found.looks_like_two_samples:
        raise InputError(
            "these micrographs do not agree on a diameter, so they may come from different samples: "
            f"{found.by_micrograph()}. Pick each sample into an {parameter('out')} of its own, or give the diameter of "
            f"all ({parameter('diameter_angstrom')} or {parameter('diameter_px')})."
        )


def refuse_unknown_pixel_sizes(files: Sequence[MicrographFile], settings: PickSettings) -> None:
    """Raise `InputError` if a diameter in Å is given, and none of some micrographs states a pixel size.

    Only micrographs spread over the run are looked at, because a file server may need a second for each.
    """
    if settings.diameter_angstrom is None or settings.pixel_size is not None:
        return
    silent: list[Path] = []
    for file in (part[0] for part in spread_over(files)):
        if file.pixel_size is not None:
            return
        try:
            if read_header(file.path).pixel_size is not None:
                return
        except VitripickError:
            continue
        silent.append(file.path)
    if silent:
        others = f", nor do {len(silent) - 1} others" if len(silent) > 1 else ""
        raise InputError(
            f"{silent[0]}: a diameter of {settings.diameter_angstrom:g} Å needs the pixel size, which this file does "
            f"not state{others}. Give "
            f"{parameter('pixel_size')}, or {parameter('diameter_px')} instead."
        )
