"""Gather what a report shows of a run: its pictures, its numbers and, with labels, its evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from vitripick.errors import MicrographError
from vitripick.evaluation import evaluate
from vitripick.formats import read_micrograph
from vitripick.geometry import Boxes, Image
from vitripick.json_toml import is_number
from vitripick.picking.junk import read_junk
from vitripick.pictures import ReportMicrograph, ReportRun, montage_png, overlay_png
from vitripick.runs.class_files import tiles_of
from vitripick.runs.classes import classes_of_run
from vitripick.runs.folder import RunFolder, read_run_folder
from vitripick.runs.gather import gather_sets
from vitripick.runs.profile import advice
from vitripick.runs.record import Record
from vitripick.runs.survey import Survey
from vitripick.runs.suspects import summary_lines, within_run
from vitripick.settings.pick import PickSettings
from vitripick.settings.spelling import as_flag
from vitripick.text import listed

# An overlay takes up to 500 kB, so a report with these is small enough to send by mail.
MAX_OVERLAYS = 16
_OVERLAY_SIDE_PX = 1400


def gather_run(
    folder: str | Path,
    labels: str | Path | None = None,
    *,
    diameter_px: float | None = None,
    label_box_size_px: float | None = None,
    leak: str | None = None,
    max_overlays: int = MAX_OVERLAYS,
) -> ReportRun:
    """Return all that a report shows of a run, with overlays that are drawn from the micrographs.

    Parameters
    ----------
    folder
        The output folder of `pick`.
    labels
        Labels to judge the picks by, a file or folder in any format we read.
    diameter_px, label_box_size_px, leak
        Options of the evaluation; see `evaluate` and `gather_sets`.
    max_overlays
        Most overlays to draw; if there are more micrographs, they are taken evenly over the run.
    """
    run = read_run_folder(folder)
    picks = run.read_picks()
    notes: list[str] = []
    evaluation, own_labels = None, dict[str, Boxes]()
    if labels is not None:
        sets = gather_sets(folder, labels, label_box_size_px=label_box_size_px)
        own_labels = sets.labels
        d = sets.diameter_px if diameter_px is None else diameter_px
        evaluation = evaluate(sets.picks, own_labels, diameter_px=d, threshold=run.threshold, leak=leak)
        if sets.unmatched_labels:
            notes.append(
                f"Labels of micrographs that are not in this run, not judged: {listed(sets.unmatched_labels)}."
            )
        if sets.failed_labels:
            notes.append(f"Labels of micrographs that failed in this run, not judged: {listed(sets.failed_labels)}.")
        if sets.unmatched_picks:
            notes.append(f"Micrographs without labels, not judged: {listed(sets.unmatched_picks)}.")

    # A reader wants to see labelled micrographs; without labels, micrographs are taken at equal steps.
    candidates = [name for name in picks if name in own_labels] or list(picks)
    indices = np.linspace(0, len(candidates) - 1, min(max_overlays, len(candidates))).astype(int)
    overlays: dict[str, bytes] = {}
    montage, n_in_montage = None, -1
    for name in [candidates[i] for i in np.unique(indices)]:
        record = run.records[name]
        try:
            image = _image(record)
        except MicrographError as error:
            notes.append(f"No overlay of {name}: {error}")
            continue
        overlays[name] = overlay_png(
            image,
            picks[name],
            labels=own_labels.get(name),
            threshold=run.threshold,
            max_side=_OVERLAY_SIDE_PX,
            title=name,
            junk=read_junk(run.layout.junk(record.stem)),
        )
        if record.n_picks > n_in_montage:
            montage, n_in_montage = (montage_png(image, picks[name], threshold=run.threshold), record.n_picks)
    return ReportRun(
        name=run.folder.resolve().name,
        micrographs=[
            ReportMicrograph(
                name=name,
                n_picks=record.n_picks,
                n_stored=record.n_stored,
                seconds=record.seconds,
                overlay_png=overlays.get(name),
                warnings=record.warnings,
                mean_confidence=None if record.quality is None else record.quality.mean_confidence,
                junk_share=None if record.quality is None else record.quality.junk_share,
                suspected=() if record.quality is None else record.quality.suspected,
            )
            for name, record in zip(run.records, within_run(list(run.records.values())), strict=True)
        ],
        picks=picks,
        evaluation=evaluation,
        threshold=run.threshold,
        settings=_settings(run.run),
        timings=_timings(run),
        advice=tuple(advice(list(run.records.values()))),
        failures=run.failures,
        classes=() if (classes := classes_of_run(run)) is None else tiles_of(classes),
        montage_png=montage if n_in_montage > 0 else None,
        found=tuple(_how_found(run)),
        notes=tuple(notes),
        quality=tuple(summary_lines(list(run.records.values()))),
    )


def _image(record: Record) -> Image:
    return read_micrograph(Path(record.path), name=record.name).image


def _settings(run: dict[str, Any]) -> dict[str, Any]:
    """Return what `run.json` says about the model, and the settings that were set, as one flat table."""
    keys = ("model", "model_sha256", "vitripick", "engines")
    shown: dict[str, Any] = {key: run[key] for key in keys if key in run}
    shown |= {as_flag(name): value for name, value in _set_by_user(run).items()}
    return {key: ", ".join(map(str, value)) if isinstance(value, list) else value for key, value in shown.items()}


def _set_by_user(run: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that are not as they are by default, without what the survey filled in."""
    survey = _survey(run)
    filled = {} if survey is None else survey.apply(PickSettings()).model_dump()
    default = PickSettings().model_dump(mode="json")
    given = {
        name: value
        for name, value in run.get("settings", {}).items()
        if name in default and value != default[name] and value != filled.get(name)
    }
    if run.get("threshold_from") == "given":
        given["threshold"] = run.get("threshold")
    return given


def _how_found(run: RunFolder) -> list[str]:
    """Return lines that say which diameter and threshold the run used, and where they come from."""
    survey, settings = _survey(run.run), run.run.get("settings", {})
    lines: list[str] = []
    used = next((name for name in ("diameter_angstrom", "diameter_px") if is_number(settings.get(name))), None)
    is_given = survey is None or (survey.diameter is None and not (survey.seen and survey.seen.contradicts))
    if used is not None and is_given:
        lines.append(f"diameter {settings[used]:.4g} {'Å' if used == 'diameter_angstrom' else 'px'}, as given")
    elif used is None and run.diameter_px is not None and (survey is None or survey.diameter is None):
        lines.append(f"diameter {run.diameter_px:.4g} px, the model's own")
    if survey is not None:
        lines += survey.summary_lines()
    if run.threshold is not None and (survey is None or survey.threshold is None):
        whose = "as given" if run.run.get("threshold_from") == "given" else "the model's own"
        lines.append(f"threshold {run.threshold:g}, {whose}")
    return lines


def _survey(run: dict[str, Any]) -> Survey | None:
    """Return what the survey of a run found; None if there was none, or another version wrote it."""
    found = run.get("survey")
    try:
        known = {"vitripick": "", "model": "", "model_sha256": ""}
        return None if not isinstance(found, dict) else Survey.model_validate({**known, **found})
    except ValidationError:
        return None


def _timings(run: RunFolder) -> dict[str, float]:
    """Return the seconds of each step, summed over all micrographs, and of the whole run."""
    timings: dict[str, float] = {}
    for record in run.records.values():
        for step, seconds in record.timings.items():
            timings[step] = timings.get(step, 0.0) + seconds
    if "seconds" in run.run:
        timings["the last run, all in all"] = float(run.run["seconds"])
    return timings
