"""Import labels, and export labels and picks, in every format that vitripick knows."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vitripick.atomic import temporary_name
from vitripick.errors import FormatError, MicrographError, UsageError, VitripickError
from vitripick.evaluation import FrameHint, Seen, check_frame
from vitripick.formats import (
    FORMATS,
    read_all_picks,
    read_micrograph,
    recentre_in_micrographs,
    write_joined_picks,
    write_picks,
)
from vitripick.formats.names.pairing import match_names
from vitripick.formats.passed_by import passed_by_collected
from vitripick.formats.picks.table import written_formats
from vitripick.geometry import Boxes
from vitripick.images import spot_maps
from vitripick.run_layout import AUTOPICK
from vitripick.web.picksets import PickSets
from vitripick.web.project import Entry, Project
from vitripick.web.requests import ExportRequest
from vitripick.web.sheet import place
from vitripick.web.sheets import Sheets

log = logging.getLogger("vitripick")

PREVIEWED = 12
# An answer lists at most this number of names, because a person reads them.
NAMED = 20
# An import compares labels with this number of micrographs, because a person waits for it.
_LOOKED_AT = 2


class Exchange:
    """Imports into a project and exports from it."""

    def __init__(self, project: Project, sheets: Sheets, pick_sets: PickSets) -> None:
        self._project, self._sheets, self._pick_sets = project, sheets, pick_sets

    def formats(self) -> list[dict[str, str]]:
        """Return name and description of each format that can be written."""
        return formats_json()

    def import_labels(self, source: Path, *, again: bool = False) -> dict[str, Any]:
        """Add the labels of a file or folder to the project, as one edit for each micrograph.

        The first imported labels that have a size set the project's box size, unless it is set. A micrograph that
        cannot be read is left out.

        Parameters
        ----------
        source
            A file or folder in any format.
        again
            As in `Sheets.add`.

        Returns
        -------
        dict
            Counts of micrographs and labels, of labels outside their micrograph, names that were left out, and
            `matched`, the first micrographs with the number of labels that each got. `hint` is a sentence if the labels
            fit far better in another frame, else None; `passed_by` has path and reason of each file and row that was
            not used.

        Raises
        ------
        FormatError
            If the source names no micrograph of this project.
        """
        project = self._project
        with passed_by_collected() as passed_by:
            parts = read_all_picks(source, keep_coordinates=True)
        by_name = {entry.file.name: entry for entry in project.entries.values()}
        found = match_names(list(by_name), [boxes.micrograph for boxes in parts])
        if not found and len(parts) == 1 and len(by_name) == 1:
            found = {next(iter(by_name)): 0}
        if not found:
            names = ", ".join(str(boxes.micrograph) for boxes in parts[:3])
            raise FormatError(f"{source.name}: none of its micrographs is in this project (it names {names}).")
        name_of = {i: name for name, i in found.items()}
        files = {name: by_name[name].file for name in found}
        moved = recentre_in_micrographs(
            {name: parts[i] for name, i in found.items()}, files, source.name, pixel_size=project.settings.pixel_size
        )
        parts = [moved.get(name_of.get(i, ""), boxes) for i, boxes in enumerate(parts)]
        with project.lock:
            sizes = [parts[i].box_size_px for i in found.values() if parts[i].box_size_px > 0]
            if project.settings.box_size_px is None and sizes:
                project.put(project.settings.model_copy(update={"box_size_px": float(round(sizes[0], 1))}))
                self._sheets.resize()
            n_labels = n_outside = 0
            hint = self._frame_hint([(by_name[name], parts[i]) for name, i in found.items()])
            unreadable = []
            matched: list[tuple[str, int]] = []
            for name, i in found.items():
                entry = by_name[name]
                try:
                    inside = parts[i].inside(project.header(entry).shape)
                except MicrographError as error:
                    log.warning("%s; its labels are not imported", error)
                    unreadable.append(name)
                    continue
                n_outside += len(parts[i]) - len(inside)
                before = len(self._sheets.get(entry).labels)
                self._sheets.add(entry, [place(x, y) for x, y in inside.centres], again=again)
                n_labels += entry.n_labels - before
                matched.append((name, entry.n_labels - before))
        unmatched = [str(b.micrograph) for i, b in enumerate(parts) if i not in found.values()]
        return {
            "n_micrographs": len(found) - len(unreadable),
            "n_labels": n_labels,
            "matched": matched[:NAMED],
            "n_outside": n_outside,
            "hint": None if hint is None else str(hint),
            "unmatched": unmatched[:NAMED],
            "unreadable": unreadable[:NAMED],
            "passed_by": [one.to_dict() for one in passed_by[:NAMED]],
        }

    def _frame_hint(self, imported: Sequence[tuple[Entry, Boxes]]) -> FrameHint | None:
        """Return how else labels should be read, from the first micrographs that have some."""
        seen: list[Seen] = []
        half_box_px = None
        for entry, boxes in imported:
            if not len(boxes) or len(seen) == _LOOKED_AT:
                continue
            size = boxes.box_size_px if boxes.box_size_px > 0 else self._project.settings.box_size_px
            half_box_px = half_box_px or (None if size is None else size / 2)
            try:
                image = read_micrograph(entry.file.path).image
            except MicrographError:  # the import names it
                continue
            seen.append(Seen(boxes, (image.shape[0], image.shape[1]), spot_maps(image, diameter_px=size)))
        return check_frame(seen, half_box_px=half_box_px)

    def import_bytes(self, name: str, data: bytes) -> dict[str, Any]:
        """Import a file that the browser sent; only the last part of its name counts."""
        base = base_name(name)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / base
            path.write_bytes(data)
            try:
                answer = self.import_labels(path)
            except VitripickError as error:
                # The name of the temporary folder means nothing to the user.
                raise type(error)(str(error).replace(f"{folder}/", "")) from error
        for one in answer["passed_by"]:
            one |= {key: text.replace(f"{folder}/", "") for key, text in one.items()}
        return answer

    def preview(self, request: ExportRequest) -> dict[str, Any]:
        """Return what `export` would write: the folder, counts, and the first few names."""
        entries = [entry for entry, _ in self._chosen(request, only_names=True)]
        names = [str(path) for format_name in request.formats for path in self._paths(format_name, entries)]
        shown = [*self._lists(request, entries), *names]
        return {
            "folder": str(self._next_folder()),
            "n_micrographs": len(entries),
            "n_files": len(shown),
            "names": shown[:PREVIEWED],
        }

    def export(self, request: ExportRequest) -> dict[str, Any]:
        """Write labels, picks, or both (labels where there are any, else picks) into a new folder of `exports/`.

        Raises
        ------
        UsageError
            If the page is read-only, a format cannot be written, or there is nothing to export.
        """
        self._project.refuse_if_read_only()
        chosen = [(entry, found) for entry, found in self._chosen(request) if found is not None]
        if not chosen:
            raise UsageError("there is nothing to export yet.")
        folder = self._all_or_none(lambda half, final: self._write(request, chosen, half, final))
        return {
            "folder": str(folder),
            "n_micrographs": len(chosen),
            "n_boxes": sum(len(found) for _, found in chosen),
        }

    def _all_or_none(self, write: Callable[[Path, Path], None]) -> Path:
        """Return the folder of a new export; `write` fills the one that it gets first, which gets the second's name."""
        folder = self._next_folder()
        folder.parent.mkdir(parents=True, exist_ok=True)
        # All formats or none: a folder of half the formats would look like an export.
        with tempfile.TemporaryDirectory(prefix=temporary_name("export"), dir=folder.parent) as name:
            half = Path(name) / folder.name
            half.mkdir()
            try:
                write(half, folder)
            except VitripickError as error:
                # The temporary name means nothing to the user.
                raise type(error)(str(error).replace(str(half), str(folder))) from error
            half.rename(folder)
        return folder

    def _write(self, request: ExportRequest, chosen: Sequence[tuple[Entry, Any]], folder: Path, final: Path) -> None:
        """Write all formats into `folder`, which will be `final`."""
        entries = [entry for entry, _ in chosen]
        for format_name in request.formats:
            paths = [folder / path for path in self._paths(format_name, entries)]
            kind = FORMATS[format_name]
            if kind.joined_name is not None:
                parts = [boxes for _, boxes in chosen]
                if kind.takes_optics:  # RELION finds micrographs by its own names
                    parts = [boxes.renamed(entry.file.relion_name) for entry, boxes in chosen]
                optics = [entry.file.optics for entry in entries]
                write_joined_picks(parts, paths[0], format=format_name, optics=optics)
                continue
            for (_, boxes), path in zip(chosen, paths, strict=True):
                write_picks(boxes, path, format=format_name)
            if kind.write_list is not None:
                places = [str(final / path.relative_to(folder)) for path in paths]
                rows = [(entry.file.relion_name, path) for entry, path in zip(entries, places, strict=True)]
                kind.write_list(rows, folder / AUTOPICK)

    def _chosen(self, request: ExportRequest, *, only_names: bool = False) -> Iterator[tuple[Entry, Any]]:
        """Yield every micrograph to export with its labels or picks; with None if `only_names`, and then read none."""
        pick_set = self._project.settings.pick_set
        if request.what != "labels" and pick_set is None:
            raise UsageError("there are no picks to export; choose a set of picks first.")
        for format_name in request.formats:
            self._check_format(format_name)
        picked = set() if pick_set is None else self._pick_sets.micrographs(pick_set)
        for entry in self._project.entries.values():
            if entry.flag == "excluded" or entry.error:
                continue
            try:
                self._project.header(entry)
            except MicrographError:  # the list shows the error, and the other micrographs are exported
                continue
            labelled = bool(entry.n_labels) or entry.is_fully_labelled
            if request.what != "picks" and labelled:
                yield entry, None if only_names else self._labels(entry)
            elif request.what != "labels" and pick_set is not None and entry.id in picked:
                yield entry, None if only_names else self._picks(pick_set, entry)

    # What differs between particles and filaments.

    def _check_format(self, name: str) -> None:
        if name not in written_formats():
            raise UsageError(f"{name!r} is not a format that vitripick can write.")

    def _paths(self, format_name: str, entries: Sequence[Entry]) -> list[Path]:
        """Return the files of one format below the export's folder: the joined one, or one for each micrograph."""
        kind = FORMATS[format_name]
        if kind.joined_name is not None:
            return [Path(kind.joined_name)] if entries else []
        return [Path(kind.place.folder) / f"{entry.stem}{kind.place.ending}" for entry in entries]

    def _lists(self, request: ExportRequest, entries: Sequence[Entry]) -> list[str]:
        """Return the files that list those of each micrograph."""
        return [AUTOPICK for name in request.formats if FORMATS[name].write_list is not None]

    def _labels(self, entry: Entry) -> Any:
        return self._sheets.boxes(entry)

    def _picks(self, pick_set: str, entry: Entry) -> Any:
        boxes = self._pick_sets.kept(pick_set, entry)
        if boxes is None:
            return None
        return boxes.with_size(self._project.box_size_px(entry)).of(micrograph=entry.file.name)

    def _next_folder(self) -> Path:
        exports = self._project.out / "exports"
        numbers = [int(p.name) for p in exports.iterdir() if p.name.isdecimal()] if exports.is_dir() else []
        return exports / f"{max([0, *numbers]) + 1:03d}"


def base_name(name: str) -> str:
    """Return the last part of the name of a file that a browser sent, or raise `UsageError` if it is none."""
    base = name.replace("\\", "/").rpartition("/")[2].lstrip(".")
    if not base or "\0" in base or len(base.encode()) > 200:
        raise UsageError("the name of this file cannot be used; rename it.")
    return base


def formats_json() -> list[dict[str, str]]:
    """Return name and description of each format that can be written."""
    return [{"name": name, "description": entry.description} for name, entry in written_formats().items()]
