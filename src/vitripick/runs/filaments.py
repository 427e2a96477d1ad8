"""Trace the filaments of many micrographs into a folder, which goes on where it stopped."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from vitripick.atomic import write_bytes_atomically, write_text_atomically
from vitripick.encoding import check_output_name
from vitripick.errors import InputError, UsageError, VitripickError, parameter
from vitripick.formats import (
    MicrographFile,
    find_micrographs,
    output_stems,
    read_micrograph,
    write_coordinate_files_star,
)
from vitripick.formats.filaments import read_filaments, write_filaments
from vitripick.formats.filaments.files import filament_format
from vitripick.geometry import Filaments, Micrograph
from vitripick.json_toml import read_json_object
from vitripick.models.filament_bundle import FilamentModel
from vitripick.picking.filaments import resolve_width_px, trace_filaments
from vitripick.pictures.filaments import filaments_png
from vitripick.run_layout import FILAMENT_RECORDS
from vitripick.runs.folder import is_run_folder
from vitripick.settings.filaments import FilamentSettings
from vitripick.settings.pick import PickSettings
from vitripick.text import count, listed
from vitripick.tracing import Tracing

# What a run keeps of each micrograph: the polylines, and what they were made with.
_STORE, _RECORDS = "filaments", FILAMENT_RECORDS
# Widths of a filament between segments, and the shortest filament, where nothing is said.
_SPACING_WIDTHS, _SHORTEST_WIDTHS = 0.5, 5.0


@dataclass
class FilamentSummary:
    """Holds what a run found.

    Attributes
    ----------
    out
        The folder.
    micrographs
        One dictionary for each micrograph: name, number of filaments, their length in pixels, segments. Those that
        earlier calls traced into this folder with the same settings are among them.
    failures
        Name and error of each micrograph that could not be read or used.
    notes
        What a user should know: faults of files that were tolerated, and what earlier calls left here.
    """

    out: Path
    micrographs: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return {
            "out": str(self.out),
            "micrographs": self.micrographs,
            "failures": self.failures,
            "notes": self.notes,
        }

    def line(self) -> str:
        """Return one sentence for people."""
        n = sum(one["filaments"] for one in self.micrographs)
        segments = sum(one["segments"] for one in self.micrographs)
        on = count("micrograph", len(self.micrographs))
        return f"{count('filament', n)}, {count('segment', segments)} on {on}: {self.out}"


@dataclass(frozen=True, eq=False)
class _Stored:
    """Holds the filaments of one micrograph as the folder keeps them, and the width that they were traced at."""

    filaments: Filaments
    width_px: float
    warnings: tuple[str, ...] = ()


def trace_many(
    inputs: Sequence[str | Path],
    out: str | Path,
    model: FilamentModel,
    lines: FilamentSettings,
    settings: PickSettings | None = None,
    *,
    on_done: Callable[[int, int, str], None] | None = None,
) -> FilamentSummary:
    """Trace the filaments of every micrograph that `inputs` name into the folder `out`.

    A micrograph is not traced again if its polylines come from the same file, model and settings; its files are
    written again. What earlier calls traced into the folder with the same model and settings stays in the joined files.

    Parameters
    ----------
    inputs
        Files, globs, folders or RELION micrographs STARs.
    out
        The folder.
    model
        From `load_filament_model`.
    lines
        How to trace.
    settings
        Of the options of picking: threshold, pixel size, invert, formats, overlays, which micrographs.
    on_done
        Called with (done, total, name) after each micrograph.

    Raises
    ------
    InputError, UsageError
        If `inputs` name nothing, or the settings cannot work for any micrograph.
    """
    check_output_name(out)
    settings = settings or PickSettings()
    for name in settings.formats:
        filament_format(name)
    if lines.width_px is not None and lines.width_angstrom is not None:
        raise UsageError("give the width in Å or in pixels, not both.")
    if is_run_folder(out):
        raise InputError(f"{out}: this folder holds picks of particles; give another {parameter('out')} for filaments.")
    run = _Run(Path(out), model, lines, settings)
    files = find_micrographs(inputs, leave_out=[run.out], include=settings.include)
    stems = output_stems(files)
    errors: list[VitripickError] = []
    for done, file in enumerate(files, start=1):
        try:
            run.take(stems[file.name], run.of_file(file, stems[file.name]))
        except VitripickError as error:
            errors.append(error)
            run.summary.failures.append({"micrograph": file.name, "error": str(error)})
        if on_done is not None:
            on_done(done, len(files), file.name)
    if not run.found:
        _raise_all(errors)
    run.add_earlier(set(stems.values()))
    run.write_whole()
    return run.summary


def _raise_all(errors: list[VitripickError]) -> NoReturn:
    """Raise the errors of all micrographs as one; where all are wrong uses, as a wrong use."""
    if all(isinstance(error, UsageError) for error in errors):
        raise errors[0]
    reasons = [str(error).rstrip(".") for error in errors[:3]]
    more = f"; and {len(errors) - 3} more" if len(errors) > 3 else ""
    raise InputError(f"no micrograph could be traced: {'; '.join(reasons)}{more}.")


class _Run:
    """Describes one call: what it found so far, and where it goes."""

    def __init__(self, out: Path, model: FilamentModel, lines: FilamentSettings, settings: PickSettings) -> None:
        self.out, self._model, self._lines, self._settings = out, model, lines, settings
        self.summary = FilamentSummary(out)
        self.found: list[Filaments] = []
        self._rows: list[tuple[str, str]] = []
        made_with = {
            "model": model.sha256,
            "settings": lines.model_dump(exclude={"spacing_angstrom"}),
            "picking": [settings.threshold, settings.pixel_size, settings.invert],
        }
        self._made_with = hashlib.sha256(json.dumps(made_with).encode()).hexdigest()

    def of_file(self, file: MicrographFile, stem: str) -> _Stored:
        """Return the filaments of a micrograph, traced now, or before from this very file with these settings."""
        stat = file.path.stat()
        key = [str(file.path), stat.st_size, stat.st_mtime_ns]
        before = _record(self.out / _RECORDS / f"{stem}.json")
        if before.get("file") == key and before.get("made_with") == self._made_with:
            stored = self._read(stem, before)
            if self._settings.overlays and not self._picture(stem).is_file():
                self._draw(stem, read_micrograph(file.path), stored.filaments)
            return stored
        micrograph = read_micrograph(file.path, name=file.name, pixel_size=self._settings.pixel_size or file.pixel_size)
        stored = self._trace(micrograph)
        write_filaments(stored.filaments, self.out / _STORE / f"{stem}.csv", format="csv")
        facts = {
            "micrograph": file.name,
            "file": key,
            "made_with": self._made_with,
            "shape": list(micrograph.shape),
            "pixel_size": micrograph.pixel_size,
            "width_px": stored.width_px,
            "warnings": list(stored.warnings),
        }
        write_text_atomically(self.out / _RECORDS / f"{stem}.json", json.dumps(facts, ensure_ascii=False) + "\n")
        if self._settings.overlays:
            self._draw(stem, micrograph, stored.filaments)
        elif self._picture(stem).is_file():
            self._picture(stem).unlink()
            self.summary.notes.append(f"{file.name}: its overlay showed other filaments and was removed")
        return stored

    def _trace(self, micrograph: Micrograph) -> _Stored:
        settings, lines, name = self._settings, self._lines, micrograph.name
        needs_angstrom = [word for word in settings.formats if filament_format(word).needs_pixel_size]
        if lines.minimum_length_angstrom is not None:
            needs_angstrom.append("a length in Å")
        if lines.spacing_angstrom is not None:
            needs_angstrom.append("a spacing in Å")
        if needs_angstrom and micrograph.pixel_size is None:
            raise UsageError(
                f"{name}: {listed(needs_angstrom)} needs the pixel size, which this file does not state; give "
                f"{parameter('pixel_size')}, or another {parameter('format')}."
            )
        width = resolve_width_px(micrograph, self._model, lines.width_px, lines.width_angstrom)
        shortest = _SHORTEST_WIDTHS
        if lines.minimum_length_angstrom is not None and micrograph.pixel_size is not None:
            shortest = lines.minimum_length_angstrom / micrograph.pixel_size / width
        traced = trace_filaments(
            micrograph,
            self._model,
            width_px=width,
            tracing=Tracing(
                threshold=self._model.card.threshold if settings.threshold is None else settings.threshold,
                minimum_length=shortest,
                largest_bend_degrees=lines.largest_bend_degrees,
                crossings=lines.crossings == "pass",
            ),
            invert=bool(settings.invert),
        )
        return _Stored(traced.filaments.with_width(width), width, traced.warnings)

    def _read(self, stem: str, record: dict[str, Any]) -> _Stored:
        (one,) = read_filaments(self.out / _STORE / f"{stem}.csv", pixel_size=record["pixel_size"])
        known = (record["micrograph"], tuple(record["shape"]), record["pixel_size"])
        return _Stored(Filaments(one.filaments, *known), record["width_px"], tuple(record["warnings"]))

    def take(self, stem: str, stored: _Stored) -> None:
        """Write the files of a micrograph, and count it."""
        one, name = stored.filaments, str(stored.filaments.micrograph)
        spacing = _SPACING_WIDTHS * stored.width_px
        if self._lines.spacing_angstrom is not None:
            if one.pixel_size is None:
                raise UsageError(
                    f"{name}: a spacing in Å needs the pixel size, which this file does not state; give "
                    f"{parameter('pixel_size')}."
                )
            spacing = self._lines.spacing_angstrom / one.pixel_size
        for format_name in self._settings.formats:
            entry = filament_format(format_name)
            if entry.joined:
                continue
            ending = "_autopick" if format_name in ("star", "start-end-star") else ""
            path = self.out / format_name / f"{stem}{ending}{entry.suffix}"
            write_filaments(one, path, format=format_name, spacing_px=spacing)
            if format_name == "star":
                self._rows.append((name, path.as_posix()))
        self.found.append(one)
        segments = len(one.segments(spacing=spacing))
        row = {"micrograph": name, "filaments": len(one), "length_px": round(one.length, 1), "segments": segments}
        self.summary.micrographs.append(row)
        self.summary.notes += [f"{name}: {warning}" for warning in stored.warnings]

    def add_earlier(self, taken: set[str]) -> None:
        """Add the micrographs that earlier calls traced into this folder; those of other settings are only reported."""
        other = 0
        for path in sorted((self.out / _RECORDS).glob("*.json")):
            record = _record(path)
            if path.stem in taken or not record:
                continue
            if record["made_with"] == self._made_with:
                self.take(path.stem, self._read(path.stem, record))
            else:
                other += 1
        if other:
            left_out = f"{count('micrograph', other)} of earlier calls, traced with other settings"
            self.summary.notes.append(f"the joined files leave out {left_out}")

    def _picture(self, stem: str) -> Path:
        return self.out / "overlays" / f"{stem}.png"

    def _draw(self, stem: str, micrograph: Micrograph, filaments: Filaments) -> None:
        write_bytes_atomically(self._picture(stem), filaments_png(micrograph.image, filaments))

    def write_whole(self) -> None:
        """Write what describes the whole folder: the joined formats, RELION's list, the table, the summary."""
        if self._rows:
            write_coordinate_files_star(self._rows, self.out / "autopick.star")
        for name in self._settings.formats:
            entry = filament_format(name)
            if entry.joined:
                step = _step(self._lines, self.found)
                write_filaments(self.found, self.out / f"filaments{entry.suffix}", format=name, **step)
        table = io.StringIO()
        writer = csv.DictWriter(table, ["micrograph", "filaments", "length_px", "segments"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.summary.micrographs)
        write_text_atomically(self.out / "filaments.csv", table.getvalue())
        text = json.dumps(self.summary.to_dict(), indent=1, ensure_ascii=False) + "\n"
        write_text_atomically(self.out / "filaments.json", text)


_KEYS = {"micrograph", "file", "made_with", "shape", "pixel_size", "width_px", "warnings"}


def _record(path: Path) -> dict[str, Any]:
    """Return what was kept of a micrograph; nothing if it is missing, damaged, or its polylines are gone."""
    try:
        found = read_json_object(path)
    except (OSError, ValueError):
        return {}
    store = path.parent.parent / _STORE / f"{path.stem}.csv"
    return found if set(found) >= _KEYS and store.is_file() else {}


def _step(lines: FilamentSettings, found: list[Filaments]) -> dict[str, float]:
    if lines.spacing_angstrom is not None:
        return {"spacing_angstrom": lines.spacing_angstrom}
    widths = [filament.width for one in found for filament in one]
    return {"spacing_px": _SPACING_WIDTHS * float(np.median(widths))} if widths else {"spacing_px": 1.0}
