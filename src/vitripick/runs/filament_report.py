"""Gather what a report shows of a folder of traced filaments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vitripick.errors import InputError, MicrographError
from vitripick.evaluation.filaments import FilamentEvaluation
from vitripick.formats import read_micrograph
from vitripick.geometry import Filaments
from vitripick.json_toml import is_number, read_json_object
from vitripick.pictures import ReportFilaments, ReportTraced
from vitripick.pictures.filaments import filaments_png, straightened_png
from vitripick.run_layout import RunLayout
from vitripick.runs.filament_pairs import pair_filaments
from vitripick.runs.filament_record import Stored, read_stored, records_of
from vitripick.runs.filament_suspects import qualities, suspicion_lines
from vitripick.runs.filaments import SUMMARY
from vitripick.runs.record import read_failure
from vitripick.settings.spelling import as_flag
from vitripick.text import listed


def gather_filaments(
    folder: str | Path,
    labels: str | Path | None = None,
    *,
    width_px: float | None = None,
    leak: str | None = None,
    max_overlays: int = 16,
) -> ReportFilaments:
    """Return all that a report shows of a folder of `pick --filaments`, with overlays drawn from the micrographs.

    Parameters
    ----------
    folder
        The output folder.
    labels
        Labels to judge by, a file or folder in any format of filaments.
    width_px
        Width of the labelled filaments where their file does not say it.
    leak
        Whether any of the labels was used in training, in the user's words.
    max_overlays
        Most overlays to draw; if there are more micrographs, they are taken evenly over the run.

    Raises
    ------
    InputError
        If the folder holds no traced micrograph, or no micrograph has labels.
    UsageError
        If the labels do not say the width.
    """
    folder = Path(folder)
    layout = RunLayout(folder)
    found = [read_stored(folder, stem, record) for stem, record in records_of(folder)]
    if not found:
        raise InputError(f"{folder}: this folder holds no micrograph with traced filaments.")
    notes: list[str] = []
    evaluation, each, own = None, dict[str, FilamentEvaluation](), dict[str, Filaments]()
    if labels is not None:
        pairs = pair_filaments(folder, Path(labels), width_px=width_px)
        evaluation, each = pairs.judged(width_px=width_px), pairs.judged_one_by_one(width_px=width_px)
        own = {pairs.names[stem]: true for stem, true in pairs.true.items()}
        if pairs.not_traced:
            notes.append(f"Labels of micrographs that are not in this run, not judged: {listed(pairs.not_traced)}.")
        if pairs.unlabelled:
            notes.append(f"Micrographs without labels, not judged: {listed(pairs.unlabelled)}.")
    candidates = [one for one in found if one.name in own] or found
    indices = np.linspace(0, len(candidates) - 1, min(max_overlays, len(candidates))).astype(int)
    overlays: dict[str, bytes] = {}
    strips, longest = None, 0.0
    for one in [candidates[i] for i in np.unique(indices)]:
        try:
            image = read_micrograph(Path(one.path), name=one.name).image
        except MicrographError as error:
            notes.append(f"No overlay of {one.name}: {error}")
            continue
        overlays[one.name] = filaments_png(image, one.filaments, labels=own.get(one.name))
        if one.filaments.length > longest:
            strips, longest = straightened_png(image, one.filaments), one.filaments.length
    summary = _summary(folder)
    segments = {row.get("micrograph"): row.get("segments") for row in summary.get("micrographs", [])}
    made_with = summary.get("made_with", {})
    threshold = made_with.get("threshold")
    return ReportFilaments(
        name=folder.resolve().name,
        micrographs=_rows(found, overlays, each, segments),
        evaluation=evaluation,
        leak=leak,
        threshold=float(threshold) if is_number(threshold) else None,
        settings=_settings(made_with),
        failures=[one for path in layout.all_failures().values() if (one := read_failure(path)) is not None],
        straightened_png=strips,
        notes=tuple(notes),
        quality=tuple(suspicion_lines(found)),
    )


def _rows(
    found: list[Stored],
    overlays: dict[str, bytes],
    judged: dict[str, FilamentEvaluation],
    segments: dict[Any, Any],
) -> list[ReportTraced]:
    """Return the line of each micrograph."""
    rows = []
    for one, quality in zip(found, qualities(found), strict=True):
        n = segments.get(one.name)
        rows.append(
            ReportTraced(
                name=one.name,
                lengths_px=[filament.length for filament in one.filaments],
                confidences=[filament.confidence for filament in one.filaments],
                bends_degrees=[float(np.rad2deg(filament.bend(one.width_px))) for filament in one.filaments],
                seen_widths_px=one.seen_widths_px,
                width_px=one.width_px,
                n_segments=n if isinstance(n, int) else None,
                pixel_size=one.filaments.pixel_size,
                mean_confidence=quality.mean_confidence,
                covered_share=quality.covered_share,
                seconds=one.seconds,
                overlay_png=overlays.get(one.name),
                warnings=one.warnings,
                suspected=quality.suspected,
                judged=judged.get(one.name),
            )
        )
    return rows


def _summary(folder: Path) -> dict[str, Any]:
    """Return what describes the whole folder; nothing if a share was traced only, or the file is damaged."""
    try:
        found = read_json_object(folder / SUMMARY)
    except (OSError, ValueError):
        return {}
    kinds = {"micrographs": list, "made_with": dict}
    return {name: found[name] for name, kind in kinds.items() if isinstance(found.get(name), kind)}


def _settings(made_with: dict[str, Any]) -> dict[str, Any]:
    """Return the model and the settings as one flat table."""
    shown = {name: made_with[name] for name in ("model", "model_sha256", "vitripick", "threshold") if name in made_with}
    given = made_with.get("settings")
    return shown | {as_flag(name): value for name, value in (given if isinstance(given, dict) else {}).items()}
