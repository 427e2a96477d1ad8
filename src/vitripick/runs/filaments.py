"""Trace the filaments of many micrographs into a folder, which goes on where it stopped."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
from vitripick.geometry import Filaments
from vitripick.models.filament_bundle import FilamentModel
from vitripick.picking.filaments import trace_filaments
from vitripick.pictures.filaments import filaments_png
from vitripick.settings.filaments import FilamentSettings
from vitripick.settings.pick import PickSettings
from vitripick.tracing import Tracing

log = logging.getLogger("vitripick")

# What a run keeps of each micrograph: the polylines, and what they were made with.
_STORE, _RECORDS = "filaments", "filament_records"
# Widths of a filament between segments, and the shortest filament, where nothing is said.
_SPACING_WIDTHS, _SHORTEST_WIDTHS = 0.5, 5.0


@dataclass
class FilamentSummary:
    """What a run found.

    Attributes
    ----------
    out
        The folder.
    micrographs
        One dictionary for each micrograph: name, number of filaments, their length in pixels, segments.
    failures
        Name and error of each micrograph that could not be read or used.
    """

    out: Path
    micrographs: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return {"out": str(self.out), "micrographs": self.micrographs, "failures": self.failures}

    def line(self) -> str:
        """Return one sentence for people."""
        n = sum(one["filaments"] for one in self.micrographs)
        segments = sum(one["segments"] for one in self.micrographs)
        return f"{n} filaments, {segments} segments on {len(self.micrographs)} micrographs: {self.out}"


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
    written again.

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
    out, settings = Path(out), settings or PickSettings()
    for name in settings.formats:
        filament_format(name)
    if lines.width_px is not None and lines.width_angstrom is not None:
        raise UsageError("give the width in Å or in pixels, not both.")
    files = find_micrographs(inputs, leave_out=[out], include=settings.include)
    stems = output_stems(files)
    summary = FilamentSummary(out)
    found: list[Filaments] = []
    rows: list[tuple[str, str]] = []
    for done, file in enumerate(files, start=1):
        stem = stems[file.name]
        try:
            one, spacing = _one(file, stem, out, model, lines, settings)
        except UsageError:
            raise
        except VitripickError as error:
            summary.failures.append({"micrograph": file.name, "error": str(error)})
        else:
            found.append(one)
            for name in settings.formats:
                if not filament_format(name).joined:
                    path = _file(out, name, stem)
                    write_filaments(one, path, format=name, spacing_px=spacing)
                    if name == "star":
                        rows.append((file.name, path.as_posix()))
            summary.micrographs.append(
                {
                    "micrograph": file.name,
                    "filaments": len(one),
                    "length_px": round(one.length, 1),
                    "segments": len(one.segments(spacing=spacing)),
                }
            )
        if on_done is not None:
            on_done(done, len(files), file.name)
    if not found:
        if summary.failures:
            raise InputError(f"no micrograph could be traced; the first error: {summary.failures[0]['error']}")
        raise InputError("there are no micrographs to trace.")
    _write_whole(out, summary, found, rows, lines, settings)
    return summary


def _file(out: Path, name: str, stem: str) -> Path:
    ending = "_autopick" if name in ("star", "start-end-star") else ""
    return out / name / f"{stem}{ending}{filament_format(name).suffix}"


def _one(
    file: MicrographFile, stem: str, out: Path, model: FilamentModel, lines: FilamentSettings, settings: PickSettings
) -> tuple[Filaments, float]:
    """Return the filaments of one micrograph, traced now or before, and the spacing of its segments in pixels."""
    store, record = out / _STORE / f"{stem}.csv", out / _RECORDS / f"{stem}.json"
    stat = file.path.stat()
    key = json.dumps(
        {
            "file": [str(file.path), stat.st_size, stat.st_mtime_ns],
            "model": model.sha256,
            "settings": lines.model_dump(exclude={"spacing_angstrom"}),
            "picking": [settings.threshold, settings.pixel_size, settings.invert],
        }
    )
    digest = hashlib.sha256(key.encode()).hexdigest()
    before = _before(record)
    image = None
    if before.get("key") == digest and store.is_file():
        (one,) = read_filaments(store, pixel_size=before["pixel_size"])
        one = Filaments(one.filaments, file.name, tuple(before["shape"]), before["pixel_size"])  # type: ignore[arg-type]
    else:
        micrograph = read_micrograph(file.path, name=file.name, pixel_size=settings.pixel_size or file.pixel_size)
        image = micrograph.image
        width = _width(lines, model, micrograph.pixel_size)
        shortest = _SHORTEST_WIDTHS
        if lines.minimum_length_angstrom is not None:
            if micrograph.pixel_size is None:
                raise UsageError(
                    f"{file.name}: a length in Å needs the pixel size, which this file does not state; give "
                    f"{parameter('pixel_size')}."
                )
            shortest = lines.minimum_length_angstrom / micrograph.pixel_size / width
        traced = trace_filaments(
            micrograph,
            model,
            width_px=width,
            tracing=Tracing(
                threshold=model.card.threshold if settings.threshold is None else settings.threshold,
                minimum_length=shortest,
                largest_bend_degrees=lines.largest_bend_degrees,
                crossings=lines.crossings == "pass",
            ),
            invert=bool(settings.invert),
        )
        one = traced.filaments.with_width(width)
        write_filaments(one, store, format="csv")
        told = {"key": digest, "shape": list(micrograph.shape), "pixel_size": one.pixel_size}
        write_text_atomically(record, json.dumps(told) + "\n")
    if settings.overlays:
        picture = out / "overlays" / f"{stem}.png"
        if image is not None or not picture.is_file():
            image = read_micrograph(file.path).image if image is None else image
            write_bytes_atomically(picture, filaments_png(image, one))
    return one, _spacing(lines, one, _width(lines, model, one.pixel_size))


def _before(record: Path) -> dict[str, Any]:
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and {"key", "shape", "pixel_size"} <= set(found) else {}


def _width(lines: FilamentSettings, model: FilamentModel, pixel_size: float | None) -> float:
    px, angstrom = lines.width_px, lines.width_angstrom
    if px is None and angstrom is None:
        px, angstrom = model.card.diameter_px, model.card.diameter_angstrom
    if angstrom is not None and pixel_size is not None:
        return angstrom / pixel_size
    if px is not None:
        return px
    if angstrom is not None:
        raise UsageError(
            f"a width in Å needs the pixel size, which the micrographs do not state; give {parameter('pixel_size')}, "
            f"or {parameter('width_px')} instead."
        )
    raise UsageError(
        f"model {model.card.name!r} sees every filament at one width: give {parameter('width_angstrom')} or "
        f"{parameter('width_px')}."
    )


def _spacing(lines: FilamentSettings, one: Filaments, width: float) -> float:
    if lines.spacing_angstrom is None:
        return _SPACING_WIDTHS * width
    if one.pixel_size is None:
        raise UsageError(
            f"{one.micrograph}: a spacing in Å needs the pixel size, which this file does not state; give "
            f"{parameter('pixel_size')}."
        )
    return lines.spacing_angstrom / one.pixel_size


def _write_whole(
    out: Path,
    summary: FilamentSummary,
    found: list[Filaments],
    rows: list[tuple[str, str]],
    lines: FilamentSettings,
    settings: PickSettings,
) -> None:
    """Write what describes the whole run: the joined formats, RELION's list, the table, the summary."""
    if rows:
        write_coordinate_files_star(rows, out / "autopick.star")
    for name in settings.formats:
        if filament_format(name).joined:
            write_filaments(found, out / f"filaments{filament_format(name).suffix}", format=name, **_step(lines, found))
    table = io.StringIO()
    writer = csv.DictWriter(table, ["micrograph", "filaments", "length_px", "segments"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(summary.micrographs)
    write_text_atomically(out / "filaments.csv", table.getvalue())
    write_text_atomically(out / "filaments.json", json.dumps(summary.to_dict(), indent=1, ensure_ascii=False) + "\n")


def _step(lines: FilamentSettings, found: list[Filaments]) -> dict[str, float]:
    if lines.spacing_angstrom is not None:
        return {"spacing_angstrom": lines.spacing_angstrom}
    widths = [filament.width for one in found for filament in one]
    return {"spacing_px": _SPACING_WIDTHS * float(np.median(widths))} if widths else {"spacing_px": 1.0}
