"""A folder of traced filaments: traces micrographs into it, and writes the files that are made from that."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vitripick.atomic import write_bytes_atomically, write_text_atomically
from vitripick.encoding import check_output_name
from vitripick.errors import InputError, ResourceError, UsageError, VitripickError, parameter
from vitripick.formats import MicrographFile, read_micrograph, write_coordinate_files_star
from vitripick.formats.filaments import write_filaments
from vitripick.formats.filaments.files import filament_format
from vitripick.geometry import Filaments, Micrograph
from vitripick.models.model import LoadedModel
from vitripick.picking.filaments import resolve_width_px, trace_filaments
from vitripick.pictures.filaments import filaments_png, straightened_png
from vitripick.run_layout import AUTOPICK, QUALITY, STAR, RunLayout
from vitripick.runs.filament_record import Stored, read_record, read_stored, record_path, records_of, write_stored
from vitripick.runs.filament_survey import WIDTH, estimated_width
from vitripick.runs.filament_suspects import write_filament_quality
from vitripick.runs.folder import is_run_folder
from vitripick.runs.record import write_failure
from vitripick.settings.filaments import FilamentSettings
from vitripick.settings.pick import PickSettings
from vitripick.text import listed
from vitripick.tracing import Tracing
from vitripick.version import VERSION

# The default spacing of segments and the default shortest filament, in widths.
_SPACING_WIDTHS, _SHORTEST_WIDTHS = 0.5, 5.0
# RELION finds files of these formats by their ending.
_OF_RELION = ("star", "start-end-star")


@dataclass(frozen=True)
class FailedTrace:
    """Says why a micrograph was not traced."""

    file: MicrographFile
    error: VitripickError


class FilamentFolder:
    """Traces micrographs into one folder, from several threads if need be, and writes what describes all of them.

    Parameters
    ----------
    out
        The folder.
    model
        From `load_filament_model`, or of `open_filament_model` on an engine.
    lines
        How to trace.
    settings
        Of the options of picking: threshold, pixel size, invert, formats, overlays, which micrographs.
    star_folder
        Where RELION's files go instead, in a RELION job.

    Raises
    ------
    InputError, UsageError
        If the folder holds picks of particles, or the settings cannot work for any micrograph.
    """

    def __init__(
        self,
        out: str | Path,
        model: LoadedModel,
        lines: FilamentSettings,
        settings: PickSettings | None = None,
        *,
        star_folder: Path | None = None,
    ) -> None:
        check_output_name(out)
        settings = settings or PickSettings()
        for name in settings.formats:
            filament_format(name)
        if lines.width_px is not None and lines.width_angstrom is not None:
            raise UsageError("give the width in Å or in pixels, not both.")
        if is_run_folder(out):
            raise InputError(
                f"{out}: this folder holds picks of particles; give another {parameter('out')} for filaments."
            )
        self.out, self._star_folder = Path(out), star_folder
        self._model, self._lines, self.settings = model, lines, settings
        self._made_with = self._digest()

    def _digest(self) -> str:
        """Return a hash of everything that decides which filaments are found."""
        made_with = {
            "model": self._model.sha256,
            "settings": self._lines.model_dump(exclude={"spacing_angstrom"}),
            "picking": [self.settings.threshold, self.settings.pixel_size, self.settings.invert],
        }
        return hashlib.sha256(json.dumps(made_with).encode()).hexdigest()

    def facts(self) -> dict[str, Any]:
        """Return model and settings for a report, ready for JSON."""
        settings = self.settings
        given = self._lines.model_dump(mode="json", exclude={"filaments"}, exclude_none=True)
        chosen = {"pixel_size": settings.pixel_size, "invert": settings.invert}
        threshold = self._model.card.threshold if settings.threshold is None else settings.threshold
        return {
            "model": self._model.card.name,
            "model_sha256": self._model.sha256,
            "vitripick": VERSION,
            "threshold": threshold,
            "settings": given | {name: value for name, value in chosen.items() if value is not None},
        }

    def settle_width(self, files: Sequence[MicrographFile]) -> str | None:
        """Estimate the width on a few of these micrographs, if neither the settings nor the model say it.

        The folder keeps it for later calls. The result is a sentence for the user; None if the width was known.

        Raises
        ------
        UsageError
            If no filaments stand out.
        """
        lines, card = self._lines, self._model.card
        known = (lines.width_px, lines.width_angstrom, card.diameter_px, card.diameter_angstrom)
        if any(width is not None for width in known):
            return None
        found = estimated_width(self.out / WIDTH, files, self._model, self.settings)
        self._lines = lines.model_copy(update={found.field: found.value})
        self._made_with = self._digest()
        return str(found)

    def forget_failure(self, stem: str) -> None:
        """Remove what says that a micrograph failed, if it is there."""
        RunLayout(self.out).failure(stem).unlink(missing_ok=True)

    def attempt(self, file: MicrographFile, stem: str) -> Stored | FailedTrace:
        """Trace a micrograph, unless it was traced before, and write its files.

        A failure is kept in the folder and returned, not raised.

        Raises
        ------
        ResourceError
            If memory or disk runs out, because every other micrograph would fail too.
        """
        try:
            stored = self._of_file(file, stem)
            self._export(stem, stored)
        except ResourceError:
            raise
        except VitripickError as error:
            return self.give_up(file, stem, error)
        self.forget_failure(stem)
        return stored

    def give_up(self, file: MicrographFile, stem: str, error: VitripickError) -> FailedTrace:
        """Keep in the folder why a micrograph failed, and return it."""
        failure = {"micrograph": file.name, "path": str(file.path), "error": str(error)}
        write_failure(failure, RunLayout(self.out), stem)
        return FailedTrace(file, error)

    def known(self, file: MicrographFile, stem: str) -> bool:
        """Return whether exactly this file was traced with these settings."""
        before = read_record(record_path(self.out, stem))
        return before.get("file") == _key(file) and before.get("made_with") == self._made_with

    def owner(self, stem: str) -> str | None:
        """Return the name of the micrograph whose outputs have this stem; None if there is none."""
        name = read_record(record_path(self.out, stem)).get("micrograph")
        return None if name is None else str(name)

    def _of_file(self, file: MicrographFile, stem: str) -> Stored:
        """Return the filaments of a micrograph, traced now, or before from the same file with these settings."""
        key, before = _key(file), read_record(record_path(self.out, stem))
        if before.get("file") == key and before.get("made_with") == self._made_with:
            stored = read_stored(self.out, stem, before)
            if self.settings.overlays and not self._picture(stem).is_file():
                self._draw(stem, read_micrograph(file.path), stored.filaments)
            return stored
        started = time.monotonic()
        micrograph = read_micrograph(file.path, name=file.name, pixel_size=self.settings.pixel_size or file.pixel_size)
        stored = replace(self._trace(micrograph), path=str(file.path), seconds=time.monotonic() - started)
        write_stored(self.out, stem, stored, file=key, made_with=self._made_with)
        if self.settings.overlays:
            self._draw(stem, micrograph, stored.filaments)
        elif self._picture(stem).is_file():
            self._picture(stem).unlink()
            self._strips(stem).unlink(missing_ok=True)
            return replace(stored, notes=(f"{file.name}: its overlay showed other filaments and was removed",))
        return stored

    def _trace(self, micrograph: Micrograph) -> Stored:
        settings, lines, name = self.settings, self._lines, micrograph.name
        needs_angstrom = [word for word in settings.formats if filament_format(word).needs_pixel_size]
        if lines.minimum_length_angstrom is not None:
            needs_angstrom.append("a length in Å")
        if lines.spacing_angstrom is not None:
            needs_angstrom.append("a spacing in Å")
        if lines.border_angstrom:
            needs_angstrom.append("a border in Å")
        if needs_angstrom and micrograph.pixel_size is None:
            raise UsageError(
                f"{name}: {listed(needs_angstrom)} needs the pixel size, which this file does not state; give "
                f"{parameter('pixel_size')}, or another {parameter('formats')}."
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
        found = traced.filaments
        if lines.border_angstrom and micrograph.pixel_size is not None:
            found = _away_from_border(found, lines.border_angstrom / micrograph.pixel_size, shortest * width)
        return Stored(
            found.with_width(width),
            width,
            micrograph.name,
            traced.warnings,
            seen_widths_px=tuple(one.width for one in found),
            edge_length_px=round(traced.edge_length, 1),
        )

    def spacing_px(self, stored: Stored) -> float:
        """Return the distance of segments in pixels.

        Raises
        ------
        UsageError
            If it is asked for in Å, and the pixel size is not known.
        """
        one = stored.filaments
        if self._lines.spacing_angstrom is None:
            return _SPACING_WIDTHS * stored.width_px
        if one.pixel_size is None:
            raise UsageError(
                f"{one.micrograph}: a spacing in Å needs the pixel size, which this file does not state; give "
                f"{parameter('pixel_size')}."
            )
        return self._lines.spacing_angstrom / one.pixel_size

    def _path(self, stem: str, format_name: str) -> Path:
        ending = STAR.ending if format_name in _OF_RELION else filament_format(format_name).suffix
        if format_name == "star" and self._star_folder is not None:
            return self._star_folder / f"{stem}{ending}"
        return self.out / format_name / f"{stem}{ending}"

    def _export(self, stem: str, stored: Stored) -> None:
        spacing = self.spacing_px(stored)
        for name in self.settings.formats:
            if not filament_format(name).joined:
                write_filaments(stored.filaments, self._path(stem, name), format=name, spacing_px=spacing)

    def row(self, stored: Stored) -> dict[str, Any]:
        """Return the line of a micrograph in the table of all: its filaments, their length, segments, confidence."""
        one = stored.filaments
        lengths = np.array([filament.length for filament in one])
        confidences = np.array([filament.confidence for filament in one])
        known = len(one) > 0 and np.isfinite(confidences).all()
        return {
            "micrograph": str(one.micrograph),
            "filaments": len(one),
            "length_px": round(one.length, 1),
            "segments": len(one.segments(spacing=self.spacing_px(stored))),
            "longest_px": round(float(lengths.max()), 1) if len(one) else 0.0,
            "confidence": round(float(np.average(confidences, weights=lengths)), 3) if known else None,
        }

    def earlier(self, taken: set[str]) -> tuple[dict[str, Stored], int]:
        """Return by stem what earlier calls traced with the same settings, and the number of those of other settings.

        Parameters
        ----------
        taken
            Stems to leave out.
        """
        kept: dict[str, Stored] = {}
        other = 0
        for stem, record in records_of(self.out):
            if stem in taken:
                continue
            if record["made_with"] == self._made_with:
                kept[stem] = read_stored(self.out, stem, record)
                self._export(stem, kept[stem])
            else:
                other += 1
        return kept, other

    def _picture(self, stem: str) -> Path:
        return self.out / "overlays" / f"{stem}.png"

    def _draw(self, stem: str, micrograph: Micrograph, filaments: Filaments) -> None:
        write_bytes_atomically(self._picture(stem), filaments_png(micrograph.image, filaments))
        write_bytes_atomically(self._strips(stem), straightened_png(micrograph.image, filaments))

    def _strips(self, stem: str) -> Path:
        return self.out / "overlays/straightened" / f"{stem}.png"

    def write_whole(self, found: dict[str, Stored]) -> None:
        """Write what describes the whole folder: the joined formats, RELION's list, the table.

        Parameters
        ----------
        found
            All micrographs by the stem of their outputs.
        """
        if "star" in self.settings.formats and found:
            rows = [(str(one.filaments.micrograph), self._path(stem, "star").as_posix()) for stem, one in found.items()]
            write_coordinate_files_star(rows, (self._star_folder or self.out) / AUTOPICK)
        everything = [one.filaments for one in found.values()]
        for name in self.settings.formats:
            entry = filament_format(name)
            if entry.joined and everything:
                step = _step(self._lines, everything)
                write_filaments(everything, self.out / f"filaments{entry.suffix}", format=name, **step)
        table = io.StringIO()
        writer = csv.DictWriter(table, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.row(one) for one in found.values())
        write_text_atomically(self.out / TABLE, table.getvalue())
        write_filament_quality(self.out / QUALITY, list(found.values()))


# The table with a line for each micrograph, and its columns.
TABLE = "filaments.csv"
_COLUMNS = ["micrograph", "filaments", "length_px", "segments", "longest_px", "confidence"]


def _away_from_border(found: Filaments, border_px: float, shortest_px: float) -> Filaments:
    """Return what lies at least this far from the border of the micrograph, and is not too short then."""
    assert found.shape is not None
    rows, columns = found.shape
    low, high = (border_px, border_px), (columns - 1 - border_px, rows - 1 - border_px)
    parts = [part for one in found for part in one.within(low, high) if part.length >= shortest_px]
    return replace(found, filaments=parts)


def _key(file: MicrographFile) -> list[Any]:
    """Return path, size and time of change, which differ for another file of the same name."""
    stat = file.path.stat()
    return [str(file.path), stat.st_size, stat.st_mtime_ns]


def _step(lines: FilamentSettings, found: Sequence[Filaments]) -> dict[str, float]:
    if lines.spacing_angstrom is not None:
        return {"spacing_angstrom": lines.spacing_angstrom}
    widths = [filament.width for one in found for filament in one]
    return {"spacing_px": _SPACING_WIDTHS * float(np.median(widths))} if widths else {"spacing_px": 1.0}
