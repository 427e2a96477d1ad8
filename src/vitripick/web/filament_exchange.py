"""Import labelled filaments, and export filaments and traced ones, in every format that holds filaments."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vitripick.errors import FormatError, MicrographError
from vitripick.formats import write_coordinate_files_star
from vitripick.formats.filaments import FILAMENT_FORMATS, write_filaments
from vitripick.formats.filaments.files import filament_format
from vitripick.formats.names.pairing import match_names
from vitripick.geometry import Filament
from vitripick.run_layout import AUTOPICK, STAR
from vitripick.runs.filament_pairs import stored_filaments
from vitripick.web.exchange import NAMED, Exchange
from vitripick.web.filament_sets import FilamentSets
from vitripick.web.project import Entry, Project
from vitripick.web.requests import ExportRequest
from vitripick.web.sheet import Line, as_line
from vitripick.web.sheets import Sheets

log = logging.getLogger("vitripick")

# Widths of a filament between segments, where no spacing is given, as in a run.
_SPACING_WIDTHS = 0.5
# RELION finds these by the ending of their names.
_OF_RELION = ("star", "start-end-star")


class FilamentExchange(Exchange):
    """Imports into a project of filaments and exports from it."""

    def __init__(self, project: Project, sheets: Sheets, sets: FilamentSets) -> None:
        super().__init__(project, sheets, sets)
        self._sets = sets

    def formats(self) -> list[dict[str, str]]:
        """Return name and description of each format of filaments."""
        return [{"name": name, "description": entry.description} for name, entry in FILAMENT_FORMATS.items()]

    def import_labels(self, source: Path, *, again: bool = False) -> dict[str, Any]:
        """Add the filaments of a file or folder to the project, as `Exchange.import_labels` does for particles.

        The median of the imported widths becomes the project's width, unless it is set. A filament that reaches over
        the edge is cut there; one without two points inside is left out and counted.
        """
        project = self._project
        parts = stored_filaments(source)
        by_name = {entry.file.name: entry for entry in project.entries.values()}
        found = match_names(list(by_name), [one.micrograph for one in parts])
        if not found and len(parts) == 1 and len(by_name) == 1:
            found = {next(iter(by_name)): 0}
        if not found:
            names = ", ".join(str(one.micrograph) for one in parts[:3])
            raise FormatError(f"{source.name}: none of its micrographs is in this project (it names {names}).")
        with project.lock:
            widths = [line.width for i in found.values() for line in parts[i] if line.width > 0]
            if project.settings.box_size_px is None and widths:
                width = float(round(float(np.median(widths)), 1))
                project.put(project.settings.model_copy(update={"box_size_px": width}))
                self._sheets.resize()
            n_labels = n_outside = 0
            unreadable: list[str] = []
            matched: list[tuple[str, int]] = []
            for name, i in found.items():
                entry = by_name[name]
                try:
                    rows, columns = project.header(entry).shape
                except MicrographError as error:
                    log.warning("%s; its labels are not imported", error)
                    unreadable.append(name)
                    continue
                inside = [line for one in parts[i] if (line := _inside(one, rows, columns)) is not None]
                n_outside += len(parts[i]) - len(inside)
                before = self._sheets.get(entry).n_labels
                self._sheets.add_lines(entry, inside, again=again)
                n_labels += entry.n_labels - before
                matched.append((name, entry.n_labels - before))
        unmatched = [str(one.micrograph) for i, one in enumerate(parts) if i not in found.values()]
        return {
            "n_micrographs": len(found) - len(unreadable),
            "n_labels": n_labels,
            "matched": matched[:NAMED],
            "n_outside": n_outside,
            "hint": None,
            "unmatched": unmatched[:NAMED],
            "unreadable": unreadable[:NAMED],
            "passed_by": [],
        }

    def _write(self, request: ExportRequest, chosen: Sequence[tuple[Entry, Any]], folder: Path, final: Path) -> None:
        entries = [entry for entry, _ in chosen]
        for name in request.formats:
            kind, paths = filament_format(name), [folder / path for path in self._paths(name, entries)]
            if kind.joined:
                spacing_px = _SPACING_WIDTHS * self._project.box_size_px(entries[0])
                write_filaments([lines for _, lines in chosen], paths[0], format=name, **_step(request, spacing_px))
                continue
            for (entry, lines), path in zip(chosen, paths, strict=True):
                step = _step(request, _SPACING_WIDTHS * self._project.box_size_px(entry))
                # Our own CSV keeps the points that were clicked.
                write_filaments(lines, path, format=name, **({} if name == "csv" else step))
            if name == "star":
                places = [str(final / path.relative_to(folder)) for path in paths]
                rows = [(entry.file.relion_name, path) for entry, path in zip(entries, places, strict=True)]
                write_coordinate_files_star(rows, folder / AUTOPICK)

    def _check_format(self, name: str) -> None:
        filament_format(name)

    def _paths(self, format_name: str, entries: Sequence[Entry]) -> list[Path]:
        kind = filament_format(format_name)
        if kind.joined:
            return [Path(f"filaments{kind.suffix}")] if entries else []
        ending = STAR.ending if format_name in _OF_RELION else kind.suffix
        return [Path(format_name) / f"{entry.stem}{ending}" for entry in entries]

    def _lists(self, request: ExportRequest, entries: Sequence[Entry]) -> list[str]:
        return [AUTOPICK] if "star" in request.formats and entries else []

    def _labels(self, entry: Entry) -> Any:
        return self._sheets.filaments(entry)

    def _picks(self, pick_set: str, entry: Entry) -> Any:
        lines = self._sets.kept_lines(pick_set, entry)
        return None if lines is None else lines.with_width(self._project.box_size_px(entry))


def _step(request: ExportRequest, else_px: float) -> dict[str, float]:
    if request.spacing_angstrom is None:
        return {"spacing_px": else_px}
    return {"spacing_angstrom": request.spacing_angstrom}


def _inside(one: Filament, rows: int, columns: int) -> Line | None:
    """Return the points of a filament that lie in the micrograph, or None if fewer than two do."""
    x, y = one.points.T
    kept = one.points[(x >= -0.5) & (x <= columns - 0.5) & (y >= -0.5) & (y <= rows - 0.5)]
    try:
        return as_line(kept.tolist())
    except ValueError:
        return None
