"""Two-dimensional classes of the picks that the page shows: sort, look, cull, and teach with what was thrown away.

The picks of a run are sorted in the run; other picks get a run folder of their own, in the project:

    OUT/classes/SET/          the job that sorted a set of picks
    OUT/classes/SET/run/      such a folder, for picks that no run of vitripick made
    OUT/classes/SET/classes/  classes of a run that lies outside of the project
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from vitripick.atomic import write_text_atomically
from vitripick.errors import InputError, UsageError, VitripickError
from vitripick.formats import write_picks
from vitripick.formats.names.pairing import match_names
from vitripick.geometry import Boxes
from vitripick.pictures.class_sheet import average_pixels
from vitripick.run_layout import STORE_FORMAT, RunLayout
from vitripick.runs.class_files import Members, RunClasses
from vitripick.runs.classes import classes_of_run
from vitripick.runs.folder import is_run_folder, read_run_folder
from vitripick.runs.record import Record, digest, write_record
from vitripick.web.job import Job, JobFolder
from vitripick.web.limits import REJECTED_BOXES
from vitripick.web.picksets import PickSets
from vitripick.web.previews import encode_jpeg
from vitripick.web.project import Entry, Project
from vitripick.web.requests import ClassesRequest
from vitripick.web.sheet import Edit, place
from vitripick.web.sheets import Sheets

Numbers = npt.NDArray[np.int64]

SIDE_PX, COLUMNS = 128, 8
# The list of the particles has four digits after the point.
_SAME_PX = 0.01


@dataclass(frozen=True, eq=False)
class _Known:
    """Holds the classes of a set, with what their files looked like when they were read.

    Attributes
    ----------
    stamp
        Times of the files.
    found
        None where there are none, or none of these picks.
    members
        The picks of each micrograph by its stem.
    names
        The stem of each micrograph's picks by the name that it has in their run.
    """

    stamp: tuple[Any, ...]
    found: RunClasses | None
    members: dict[str, Members]
    names: dict[str, str]

    @property
    def key(self) -> str:
        """Return what tells these classes from others of the same set; empty without any."""
        return "" if self.found is None else digest(self.found.made_from)


class ClassSets:
    """Holds the classes of all sets of picks; they are read when they are needed."""

    def __init__(self, project: Project, sheets: Sheets, pick_sets: PickSets) -> None:
        self._project, self._sheets, self._pick_sets = project, sheets, pick_sets
        self._known: dict[str, _Known] = {}
        self._lock = threading.RLock()
        pick_sets.cull = self.kept

    def described(self, pick_set: str) -> dict[str, Any]:
        """Return the classes of a set as the page shows them; `key` is empty where there are none."""
        known = self._of(pick_set)
        found = known.found
        rows = []
        for one in () if found is None else found.classes:
            rows.append({**vars(one), "share": round(one.share, 4)})
        return {
            "key": known.key,
            "classes": rows,
            "contrast": "" if found is None else found.about_contrast,
            "n_particles": 0 if found is None else found.n_particles,
            "threshold": None if found is None else found.made_from.get("threshold"),
            "failures": [] if found is None else list(found.failures),
            "side_px": SIDE_PX,
            "columns": COLUMNS,
        }

    def picture(self, pick_set: str) -> bytes:
        """Return a JPEG of all averages, eight in a row, each in a square of `SIDE_PX`.

        Raises
        ------
        UsageError
            If there are no classes.
        """
        found = self._found(pick_set)
        n = len(found.averages)
        page = np.full((-(-n // COLUMNS) * SIDE_PX, min(n, COLUMNS) * SIDE_PX), 128, np.uint8)
        for i, average in enumerate(found.averages):
            top, left = i // COLUMNS * SIDE_PX, i % COLUMNS * SIDE_PX
            page[top : top + SIDE_PX, left : left + SIDE_PX] = average_pixels(average, SIDE_PX)
        return encode_jpeg(page)

    def numbers(self, pick_set: str, entry: Entry, picks: Boxes) -> tuple[str, Numbers | None]:
        """Return the key of the classes, and the class of each pick, (n,), 0 where it is in none; None without any."""
        known = self._of(pick_set)
        if known.found is None:
            return "", None
        result = np.zeros(len(picks), np.int64)
        part = self._members(known, entry)
        if part is not None and len(part.picks) and len(picks):
            distance, nearest = cKDTree(part.picks.centres).query(picks.centres)
            same = distance <= _SAME_PX
            result[same] = part.class_number[nearest[same]]
        return known.key, result

    def kept(self, pick_set: str, entry: Entry, picks: Boxes) -> Boxes:
        """Return the picks of the classes that the user finds good; all of them where the user does not cull."""
        choice = self._project.settings.class_choices.get(pick_set)
        if choice is None or not choice.cull:
            return picks
        key, numbers = self.numbers(pick_set, entry, picks)
        if numbers is None or key != choice.key:
            return picks
        return picks.select(np.isin(numbers, choice.good))

    def job(self, pick_set: str, request: ClassesRequest) -> tuple[JobFolder, Job]:
        """Return the job that sorts a set of picks, and its folder.

        Raises
        ------
        UsageError
            If there is no such set, or the page is read-only.
        """
        self._project.refuse_if_read_only()
        one = self._pick_sets.named(pick_set)
        folder = JobFolder(self._project.out.absolute() / "classes" / pick_set)
        folder.path.mkdir(parents=True, exist_ok=True)
        run, out = self._places(pick_set)
        threshold = self._project.settings.threshold
        if not is_run_folder(one.folder):
            self._write_run(pick_set, run, threshold)
        box = self._project.box_size_px(next(iter(self._project.entries.values())))
        job = Job(
            kind="classes",
            title=one.title,
            picks=str(run.absolute()),
            classes=str(out.absolute()),
            n_classes=request.n,
            threshold=threshold,
            diameter_px=box,
        )
        return folder, job

    def teach(self, pick_set: str) -> dict[str, Any]:
        """Make labels of the picks in good classes, and known non-particles of those in all others.

        Picks that have a label within half a box stay what they are, and so do those that no class holds. Each
        micrograph gets one edit.

        Returns
        -------
        dict
            `n_labels` and `n_rejected`, and the ids of the `micrographs` that were changed.

        Raises
        ------
        UsageError
            If there are no classes, the user has chosen none, or the page is read-only.
        """
        self._project.refuse_if_read_only()
        known = self._of(pick_set)
        choice = self._project.settings.class_choices.get(pick_set)
        if known.found is None or choice is None or choice.key != known.key:
            raise UsageError("choose first which of these classes are good.")
        n_labels = n_rejected = 0
        changed = []
        for entry in self._project.entries.values():
            if entry.flag in ("excluded", "empty") or self._members(known, entry) is None:
                continue
            with self._project.lock:
                edit = self._lesson(pick_set, entry, choice.good)
                if edit.add or edit.reject:
                    self._sheets.take(entry, edit)
                    n_labels, n_rejected = n_labels + len(edit.add), n_rejected + len(edit.reject)
                    changed.append(entry.id)
        return {"n_labels": n_labels, "n_rejected": n_rejected, "micrographs": changed}

    def _lesson(self, pick_set: str, entry: Entry, good: tuple[int, ...]) -> Edit:
        try:
            picks = self._pick_sets.kept(pick_set, entry, cull=False)
            shape = self._project.header(entry).shape
        except VitripickError as error:  # the list shows the error
            entry.error = str(error)
            return Edit()
        if picks is None:
            return Edit()
        picks = picks.inside(shape)
        _, numbers = self.numbers(pick_set, entry, picks)
        sheet, box = self._sheets.get(entry), self._project.box_size_px(entry)
        if numbers is None:
            return Edit()
        picks, numbers = picks.select(numbers > 0), numbers[numbers > 0]
        if sheet.labels and len(picks):
            distance, _ = cKDTree(list(sheet.labels.values())).query(picks.centres)
            picks, numbers = picks.select(distance > box / 2), numbers[distance > box / 2]
        is_good = np.isin(numbers, good)
        labels = [place(x, y) for x, y in picks.select(is_good).centres]
        # A pick beside a good one is most likely the same particle, and no teacher of what is none.
        others = picks.select(~is_good)
        if labels and len(others):
            others = others.select(cKDTree(labels).query(others.centres)[0] > REJECTED_BOXES * box)
        first = sheet.next_number()
        rejected = dict(enumerate((place(x, y) for x, y in others.centres), start=first + len(labels)))
        return Edit(add=dict(enumerate(labels, start=first)), reject=rejected)

    def _found(self, pick_set: str) -> RunClasses:
        found = self._of(pick_set).found
        if found is None:
            raise UsageError("these picks are not sorted into classes yet.")
        return found

    def _places(self, pick_set: str) -> tuple[Path, Path]:
        """Return the run folder of a set, and the folder of its classes."""
        own, out = self._pick_sets.named(pick_set).folder, self._project.out / "classes" / pick_set
        if not is_run_folder(own):
            return out / "run", RunLayout(out / "run").classes
        inside = own.absolute().is_relative_to(self._project.out.absolute())
        return own, RunLayout(own).classes if inside else out / "classes"

    def _of(self, pick_set: str) -> _Known:
        run, out = self._places(pick_set)
        folders = list(dict.fromkeys([out, RunLayout(run).classes]))
        files = [RunLayout(run).run, *(folder / "classes.json" for folder in folders)]
        stamp = (str(run), *(path.stat().st_mtime_ns if path.is_file() else None for path in files))
        with self._lock:
            known = self._known.get(pick_set)
            if known is None or known.stamp != stamp:
                known = self._read(run, folders, stamp)
                self._known[pick_set] = known
            return known

    def _read(self, run: Path, folders: list[Path], stamp: tuple[Any, ...]) -> _Known:
        if not any(stamp[2:]):
            return _Known(stamp, None, {}, {})
        try:
            whole = read_run_folder(run)
        except InputError:
            return _Known(stamp, None, {}, {})
        found = next((found for folder in folders if (found := classes_of_run(whole, folder)) is not None), None)
        if found is None:
            return _Known(stamp, None, {}, {})
        members = {part.record.stem: part for part in found.members}
        return _Known(stamp, found, members, {part.record.name: part.record.stem for part in found.members})

    def _members(self, known: _Known, entry: Entry) -> Members | None:
        if entry.stem in known.members:
            return known.members[entry.stem]
        # The run may have had other inputs, and then its names start from another folder.
        match = match_names([entry.file.name], list(known.names))
        return known.members[list(known.names.values())[next(iter(match.values()))]] if match else None

    def _write_run(self, pick_set: str, folder: Path, threshold: float) -> None:
        """Write picks that no run made as a run folder, so that they can be sorted like others."""
        layout, listed = RunLayout(folder), []
        for entry in self._project.entries.values():
            try:
                picks = self._pick_sets.picks(pick_set, entry)
            except VitripickError as error:  # the list shows the error, and the other micrographs are sorted
                entry.error = str(error)
                continue
            if picks is None:
                continue
            sure = Boxes.at(
                picks.x, picks.y, size_px=picks.box_size_px, confidence=np.nan_to_num(picks.confidence, nan=1.0)
            )
            write_picks(sure, layout.store(entry.stem), format=STORE_FORMAT)
            record = Record(
                name=entry.file.name,
                path=str(entry.file.path.absolute()),
                stem=entry.stem,
                shape=self._project.header(entry).shape,
                pixel_size=self._project.pixel_size(entry),
                n_stored=len(picks),
                n_picks=len(picks.above(threshold)),
                from_star=entry.file.from_star,
                optics=entry.file.optics,
                defocus=entry.file.defocus,
                made_from={"picks": digest(np.column_stack([sure.centres, sure.confidence]).round(4).tolist())},
            )
            write_record(record, layout)
            listed.append({"name": entry.file.name, "stem": entry.stem})
        described = {"threshold": threshold, "settings": {}, "micrographs": listed}
        write_text_atomically(layout.run, json.dumps(described, indent=1, ensure_ascii=False) + "\n")
