"""Bring edits of the labels from the page to the disk."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

import numpy as np

from vitripick.atomic import write_text_atomically
from vitripick.errors import UsageError, VitripickError
from vitripick.formats import write_picks
from vitripick.formats.filaments import write_filaments
from vitripick.geometry import Boxes, Filament, Filaments
from vitripick.web.project import Entry, Project
from vitripick.web.requests import MAX_AREA_POINTS, MAX_LABELS, MAX_LINE_POINTS, MAX_LINES, EditRequest, Flag
from vitripick.web.sheet import (
    Edit,
    Line,
    Point,
    Polygon,
    Sheet,
    StaleError,
    append_line,
    as_line,
    as_polygon,
    place,
    read_log,
    start_log,
    timed,
)
from vitripick.web.sheet_files import (
    areas_json,
    difference,
    difference_of_areas,
    difference_of_lines,
    read_areas_file,
    read_labels,
    read_lines,
    trial_of,
    written_at,
)

log = logging.getLogger("vitripick")

_KEPT_IN_MEMORY = 64
_RETRY_SECONDS = 5.0


class Sheets:
    """Holds the sheets of a project; a method that changes one returns when the change is on the disk."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._open: OrderedDict[str, Sheet] = OrderedDict()
        self._old_sizes: dict[str, None] = {}  # ids of micrographs whose label files have an old box size
        self._writer: threading.Thread | None = None
        self._behind: set[str] = set()  # ids of micrographs whose files are older than their logs

    def get(self, entry: Entry) -> Sheet:
        """Return the sheet of a micrograph; labels that another program changed become an edit that undo takes back."""
        with self._project.lock:
            sheet = self._open.get(entry.id)
            if sheet is None:
                sheet = self._load(entry)
                self._open[entry.id] = sheet
                while len(self._open) > _KEPT_IN_MEMORY:
                    self._open.popitem(last=False)
            self._open.move_to_end(entry.id)
            return sheet

    def edit(self, entry: Entry, request: EditRequest) -> Sheet:
        """Apply an edit that was made in the page; one that is in the log already changes nothing.

        Raises
        ------
        StaleError
            If the page had old labels.
        UsageError
            If a label lies outside the micrograph, there are too many, or the page is read-only.
        """
        with self._project.lock:
            if request.id is not None and request.id in self.get(entry).ids:
                return self.get(entry)  # it was written, and its answer was lost
            sheet = self._fresh(entry, request.revision)
            self._refuse_other_kind(request)
            for number in [*request.remove, *(row[0] for row in request.move)]:
                if number not in sheet.labels:
                    raise StaleError(f"label {number} is not there any more; reload the page.")
            for number in [*request.remove_lines, *(row[0] for row in request.bend)]:
                if number not in sheet.lines:
                    raise StaleError(f"filament {number} is not there any more; reload the page.")
            height, width = self._project.header(entry).shape
            points = [(x, y) for _, x, y in [*request.add, *request.move]]
            points += [point for _, line in [*request.add_lines, *request.bend] for point in line]
            if any(not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5) for x, y in points):
                raise UsageError("a label must lie inside the micrograph.")
            # Areas reach over the edge, and a model may see a particle there, but not farther than a micrograph away.
            around = [(x, y) for _, x, y in request.reject] + [p for _, area in request.add_areas for p in area]
            if any(not (-width <= x <= 2 * width and -height <= y <= 2 * height) for x, y in around):
                raise UsageError("an area or a rejected pick must lie at the micrograph.")
            edit = Edit(
                add={n: place(x, y) for n, x, y in request.add},
                remove={n: sheet.labels[n] for n in request.remove},
                move={n: (sheet.labels[n], place(x, y)) for n, x, y in request.move},
                add_areas={n: as_polygon(points) for n, points in request.add_areas},
                remove_areas={n: sheet.areas[n] for n in request.remove_areas if n in sheet.areas},
                reject={n: place(x, y) for n, x, y in request.reject},
                unreject={n: sheet.rejected[n] for n in request.unreject if n in sheet.rejected},
                add_lines={n: _line(points) for n, points in request.add_lines},
                remove_lines={n: sheet.lines[n] for n in request.remove_lines},
                bend={n: (sheet.lines[n], _line(points)) for n, points in request.bend},
            )
            return self._take(entry, sheet, edit, request.id)

    def step(self, entry: Entry, revision: int, way: Literal["undo", "redo"]) -> Sheet:
        """Undo or redo one edit; without one, change nothing."""
        with self._project.lock:
            sheet = self._fresh(entry, revision)
            if sheet.done if way == "undo" else sheet.undone:
                trial_of(sheet).take({way: True})  # a step that does not fit raises here, before anything is written
                append_line(self._project.history_path(entry), timed(**{way: True}))
                sheet.take({way: True})
                self._written(entry, sheet)
            return sheet

    def add(self, entry: Entry, points: Sequence[Point], *, again: bool = False) -> Sheet:
        """Add imported labels as one edit, except those that exist already.

        `again`: the labels may have been imported before, so those that the user moved or removed since stay so.
        """
        with self._project.lock:
            sheet = self.get(entry)
            there = sheet.ever_labelled() if again else set(sheet.labels.values())
            new = list(dict.fromkeys(point for point in points if point not in there))
            if not new:
                return sheet
            first = 1 + max([0, *sheet.label_numbers()])
            return self._take(entry, sheet, Edit(add=dict(enumerate(new, start=first))))

    def add_lines(self, entry: Entry, lines: Sequence[Line], *, again: bool = False) -> Sheet:
        """Add imported filaments as `add` adds places."""
        with self._project.lock:
            sheet = self.get(entry)
            there = sheet.ever_labelled() if again else set(sheet.lines.values())
            new = [line for line in dict.fromkeys(lines) if line not in there and line[::-1] not in there]
            if not new:
                return sheet
            return self._take(entry, sheet, Edit(add_lines=dict(enumerate(new, start=sheet.next_number()))))

    def take(self, entry: Entry, edit: Edit) -> Sheet:
        """Apply an edit that the server made itself, as `edit` does with one of the page.

        Raises
        ------
        UsageError
            If the micrograph would have too many labels, or the page is read-only.
        """
        with self._project.lock:
            self._project.refuse_if_read_only()
            return self._take(entry, self.get(entry), edit)

    def flag(self, entry: Entry, flag: Flag | None) -> None:
        """Set the flag of a micrograph, or remove it with None; one with labels cannot be "empty" (`UsageError`)."""
        with self._project.lock:
            sheet = self.get(entry)
            if flag == "empty" and sheet.n_labels:
                raise UsageError(f"this micrograph has {sheet.n_labels} labels, so it is not empty; delete them first.")
            if not sheet.n_labels and flag not in ("complete", "empty"):
                # A file without rows says that there is no particle. It is removed before the mark, so that a killed
                # server never leaves it without a mark. A file that is missing is written at the next start.
                self._project.refuse_if_read_only()
                self._project.labels_path(entry).unlink(missing_ok=True)
            try:
                self._project.mark(entry, flag=flag)
            finally:
                self._written(entry, sheet)

    def resize(self) -> None:
        """Write every label file again if the box size of the project has changed; edits need not wait for that."""
        with self._project.lock:
            if self._project.read_only or not self._project.sizes_pending:
                return
            self._old_sizes.update((entry.id, None) for entry in self._project.entries.values() if entry.n_labels)
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_sizes, daemon=True)
                self._writer.start()

    def catch_up(self) -> None:
        """Write the files that are older than their history, as a killed server or a full disk leaves them."""
        project = self._project
        for entry in () if project.read_only else project.entries.values():
            labels = written_at(project.labels_path(entry))
            if written_at(project.history_path(entry)) <= labels and (labels or not entry.is_fully_labelled):
                continue
            try:
                self.get(entry)
            except (VitripickError, OSError) as error:  # the user hears of it on opening this micrograph
                log.warning("%s: %s", entry.file.name, error)

    def revision(self, entry: Entry) -> int | None:
        """Return the revision of a sheet that is in memory."""
        sheet = self._open.get(entry.id)
        return None if sheet is None else sheet.revision

    def finish(self) -> None:
        """Wait until every label file has the box size of the project."""
        while (writer := self._writer) is not None:
            writer.join()

    def _write_sizes(self) -> None:
        while True:
            wait_seconds = 0.001  # lets an edit have the lock
            with self._project.lock:
                try:
                    if not self._old_sizes:
                        self._project.sizes_pending = False
                        self._project.save()
                        self._writer = None
                        return
                    self._write_size(self._project.entries[next(iter(self._old_sizes))])
                except OSError as error:
                    log.warning("the new box size is not in all label files yet: %s", error.strerror)
                    wait_seconds = _RETRY_SECONDS
            time.sleep(wait_seconds)

    def _write_size(self, entry: Entry) -> None:
        # The sheets in memory are those that the user works on, so others are read without a place there.
        try:
            self._write_labels(entry, self._open.get(entry.id) or self._load(entry))
        except VitripickError as error:  # the other files are still written
            log.warning("%s; its labels keep their box size", error)
        self._old_sizes.pop(entry.id, None)

    def boxes(self, entry: Entry) -> Boxes:
        """Return the labels of a micrograph as boxes of the project's size."""
        return self._boxes(entry, self.get(entry))

    def _boxes(self, entry: Entry, sheet: Sheet) -> Boxes:
        header = self._project.header(entry)
        points = np.array(list(sheet.labels.values()), dtype=np.float64).reshape(-1, 2)
        return Boxes.at(
            points[:, 0],
            points[:, 1],
            size_px=self._project.box_size_px(entry),
            micrograph=entry.file.name,
            shape=header.shape,
            pixel_size=self._project.pixel_size(entry),
        )

    def filaments(self, entry: Entry) -> Filaments:
        """Return the labelled filaments of a micrograph, of the project's width."""
        return self._filaments(entry, self.get(entry))

    def _filaments(self, entry: Entry, sheet: Sheet) -> Filaments:
        project, width = self._project, self._project.box_size_px(entry)
        return Filaments(
            [Filament.through(line, width=width) for line in sheet.lines.values()],
            entry.file.name,
            project.header(entry).shape,
            project.pixel_size(entry),
        )

    def _refuse_other_kind(self, request: EditRequest) -> None:
        """Raise `UsageError` if an edit draws filaments in a project of particles, or the other way round."""
        if self._project.settings.filaments and (request.add or request.move):
            raise UsageError("the labels of this project are filaments.")
        if not self._project.settings.filaments and (request.add_lines or request.bend):
            raise UsageError("the labels of this project are particles.")

    def _fresh(self, entry: Entry, revision: int) -> Sheet:
        self._project.refuse_if_read_only()
        sheet = self.get(entry)
        if sheet.revision != revision:
            raise StaleError("these labels were changed in another window; the page now shows the present ones.")
        return sheet

    def _take(self, entry: Entry, sheet: Sheet, edit: Edit, edit_id: str | None = None) -> Sheet:
        if len(sheet.labels) + len(edit.add) > MAX_LABELS:
            raise UsageError(f"a micrograph can have {MAX_LABELS} labels at most.")
        if len(sheet.lines) + len(edit.add_lines) > MAX_LINES:
            raise UsageError(f"a micrograph can have {MAX_LINES} filaments at most.")
        drawn = [*edit.add_lines.values(), *(after for _, after in edit.bend.values())]
        if drawn and sum(map(len, [*sheet.lines.values(), *drawn])) > MAX_LINE_POINTS:
            raise UsageError(f"the filaments of a micrograph can have {MAX_LINE_POINTS} points at most.")
        if len(sheet.rejected) + len(edit.reject) > MAX_LABELS:
            raise UsageError(f"a micrograph can have {MAX_LABELS} rejected picks at most.")
        if edit.add_areas and sum(map(len, [*sheet.areas.values(), *edit.add_areas.values()])) > MAX_AREA_POINTS:
            raise UsageError(f"the areas of a micrograph can have {MAX_AREA_POINTS} points at most.")
        trial_of(sheet).apply(edit)  # an edit that does not fit raises here, before anything is written
        log = self._project.history_path(entry)
        if sheet.revision == 0:
            start_log(log, entry.file.name, sheet)
        line = {"edit": edit.to_json()} if edit_id is None else {"id": edit_id, "edit": edit.to_json()}
        append_line(log, timed(**line))
        sheet.take(line)
        self._written(entry, sheet)
        return sheet

    def _written(self, entry: Entry, sheet: Sheet) -> None:
        """Write the files that follow from the log, which has the change already.

        If that fails, because the disk is full for example, the change is still kept: a restart reads the log.
        The files are written again before the next change.
        """
        self._project.note(entry)
        for other_id in [*self._behind, entry.id]:
            other = self._project.entries[other_id]
            self._write(other, sheet if other is entry else self.get(other))

    def _write(self, entry: Entry, sheet: Sheet) -> None:
        """Write the files that follow from the log and the mark; what finds no room is written later."""
        self._behind.add(entry.id)
        try:
            self._write_areas(entry, sheet)
            self._write_labels(entry, sheet)  # the last one: `catch_up` looks at its time
            if entry.flag == "empty" and sheet.n_labels:
                self._project.mark(entry, flag=None)
        except OSError as error:
            log.warning(
                "%s: the edits are kept in the history, but not in the label file yet (%s)",
                entry.file.name,
                error.strerror,
            )
        else:
            self._behind.discard(entry.id)

    def _write_labels(self, entry: Entry, sheet: Sheet) -> None:
        path = self._project.labels_path(entry)
        entry.n_labels = sheet.n_labels
        if not (sheet.n_labels or entry.is_fully_labelled):
            # Training takes a file without rows as "no particle here", and the user has not said that.
            path.unlink(missing_ok=True)
        elif self._project.settings.filaments:
            write_filaments(self._filaments(entry, sheet), path)
        else:
            write_picks(self._boxes(entry, sheet), path)

    def _write_areas(self, entry: Entry, sheet: Sheet) -> None:
        path = self._project.areas_path(entry)
        if sheet.areas or sheet.rejected:
            write_text_atomically(path, json.dumps({"micrograph": entry.file.name, **areas_json(sheet)}) + "\n")
        else:
            path.unlink(missing_ok=True)

    def _load(self, entry: Entry) -> Sheet:
        project = self._project
        places, lines = [], []
        if project.settings.filaments:
            lines = read_lines(project.labels_path(entry))
        else:
            places = read_labels(project.labels_path(entry))
        on_disk: list[Point | Line] = [*places, *lines]
        ignored, rejected = read_areas_file(project.areas_path(entry))
        found = read_log(project.history_path(entry), on_disk, (ignored, rejected))
        if found is None:
            sheet = Sheet(labels=dict(enumerate(places, start=1)), lines=dict(enumerate(lines, start=1)))
            sheet.areas = dict(enumerate(ignored, start=1))
            sheet.rejected = dict(enumerate(rejected, start=1))
        else:
            sheet, passed, areas_passed = found
            if not project.read_only:
                # A file with a state that the log went through was left behind by a killed server or a full disk, so
                # the log is right. Any other state is what another program made of it.
                if not sheet.has_labels(sorted(on_disk)) and not passed:
                    edit = difference_of_lines(sheet, lines) if lines or sheet.lines else difference(sheet, places)
                    sheet = self._take(entry, sheet, edit)
                change = difference_of_areas(sheet, ignored, rejected)
                if any(vars(change).values()) and not areas_passed:
                    sheet = self._take(entry, sheet, change)
        entry.n_labels = sheet.n_labels
        if not project.read_only and not self._are_written(entry, sheet, on_disk, (ignored, rejected)):
            self._write(entry, sheet)
        return sheet

    def _are_written(
        self, entry: Entry, sheet: Sheet, on_disk: list[Point | Line], areas: tuple[list[Polygon], list[Point]]
    ) -> bool:
        """Return whether the files, as they were read, and the mark are those of the sheet."""
        if any(vars(difference_of_areas(sheet, *areas)).values()) or not sheet.has_labels(sorted(on_disk)):
            return False
        if sheet.n_labels:
            return entry.flag != "empty"
        return not entry.is_fully_labelled or self._project.labels_path(entry).is_file()


def _line(points: Sequence[Sequence[float]]) -> Line:
    try:
        return as_line(points)
    except ValueError as error:
        raise UsageError(f"{error}.") from error
