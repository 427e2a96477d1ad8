"""Keep the project folder: the list of micrographs, the user's flag for each, and the settings, in readable files.

    OUT/
      project.json         settings, and the flag of each micrograph that was opened
      labels/STEM.csv      the labels; a file without rows means that there is no particle, or no filament
      areas/STEM.json      areas that training ignores, and places of rejected picks
      history/STEM.jsonl   every edit, for undo
      runs/NNN/            trainings and pickings started from the page
      exports/NNN/         exported labels and picks
      classes/SET/         sets of picks sorted into two-dimensional classes

STEM is the micrograph's name without its suffix, as everywhere in vitripick.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import math
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vitripick.atomic import write_text_atomically
from vitripick.errors import FormatError, InputError, MicrographError, UsageError, VitripickError, parameter
from vitripick.formats import MicrographFile, MicrographHeader, find_micrographs, output_stems, read_header
from vitripick.json_toml import read_json_object
from vitripick.run_layout import LABEL_HISTORY
from vitripick.settings.wording import problems
from vitripick.text import listed as listed_names
from vitripick.text import printable_name
from vitripick.web.project_settings import ProjectSettings
from vitripick.web.requests import MAX_VIEW, Flag, SettingsRequest

log = logging.getLogger("vitripick")

_FIRST_BOX_SHARE = 0.06  # of the first micrograph's shorter side: the box size until the user sets one


def read_only_answer() -> str:
    """Return the answer to every attempt to change something in a read-only page."""
    return f"this page is read-only, because it was started with {parameter('read_only', True)}."


@dataclass
class Entry:
    """Describes one micrograph of the list.

    Attributes
    ----------
    id
        Its name in requests of the page (`micrograph_id`), which is never a path.
    stem
        Its name in file names of the project.
    flag, seen
        The user's flag, and whether the user has opened it.
    n_labels
        Number of its labels.
    error
        The reason why it cannot be read; empty until that is known.
    header
        Shape and pixel size, once they are read.
    """

    id: str
    file: MicrographFile
    stem: str
    flag: Flag | None = None
    seen: bool = False
    n_labels: int = 0
    error: str = ""
    header: MicrographHeader | None = None
    changed: int = 0  # the project's count of changes when this one changed last

    @property
    def is_fully_labelled(self) -> bool:
        """Return whether the user has said that every particle has a label (an empty micrograph has none)."""
        return self.flag in ("complete", "empty")


@dataclass
class Project:
    """Holds an open project folder, without pixels and edits.

    A thread that changes anything holds `lock`.
    """

    out: Path
    entries: dict[str, Entry]
    settings: ProjectSettings
    read_only: bool = False
    # Label files that are still to be written with the new box size; a killed server goes on with them.
    sizes_pending: bool = False
    # Every change counts one, so that a window knows what it has missed. Each start counts from a number of its own, so
    # that a window of an earlier start is recognised; JavaScript is exact to 2**53.
    first_change: int = field(default_factory=lambda: secrets.randbelow(10**9) * 10**6)
    changes: int = 0
    settings_changed: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)
    # Flags of micrographs that are in `project.json` but not among the inputs of this start. They are kept.
    _others: dict[str, Any] = field(default_factory=dict)
    _guessed_box_px: float | None = None

    def __post_init__(self) -> None:
        self.changes = self.first_change

    def labels_path(self, entry: Entry) -> Path:
        """Return the file of one micrograph's labels."""
        return self.out / "labels" / f"{entry.stem}.csv"

    def areas_path(self, entry: Entry) -> Path:
        """Return the file of one micrograph's ignored areas and rejected picks."""
        return self.out / "areas" / f"{entry.stem}.json"

    def history_path(self, entry: Entry) -> Path:
        """Return the file of one micrograph's edits."""
        return self.out / LABEL_HISTORY / f"{entry.stem}.jsonl"

    def header(self, entry: Entry) -> MicrographHeader:
        """Return shape and pixel size, or raise `MicrographError` and keep the error for the list."""
        if entry.header is None:
            try:
                entry.header = read_header(entry.file.path)
            except MicrographError as error:
                entry.error = str(error)
                raise
        return entry.header

    def pixel_size(self, entry: Entry) -> float | None:
        """Return Å per pixel: the project's setting, else the header's, else None."""
        return self.settings.pixel_size or self.header(entry).pixel_size

    def box_size_px(self, entry: Entry) -> float:
        """Return the box size of the labels; until the user sets one, it is a share of the first micrograph opened.

        It is the same for all, because a box that changes from micrograph to micrograph looks like a fault.
        """
        if self.settings.box_size_px is not None:
            return self.settings.box_size_px
        if self._guessed_box_px is None:
            try:
                self._guessed_box_px = float(max(8, round(_FIRST_BOX_SHARE * min(self.header(entry).shape))))
            except MicrographError:
                return 100.0
        return self._guessed_box_px

    def mark(self, entry: Entry, *, flag: Flag | None = None, seen: bool = True) -> None:
        """Set the flag of a micrograph and whether it was opened, and save both."""
        if entry.flag != flag or entry.seen != seen:
            before = entry.flag, entry.seen
            entry.flag, entry.seen = flag, seen
            try:
                self.save()
                self.note(entry)
            except OSError:
                entry.flag, entry.seen = before  # what is shown is what a restart would read
                raise

    def refuse_if_read_only(self) -> None:
        """Raise `UsageError` if the page is read-only."""
        if self.read_only:
            raise UsageError(read_only_answer())

    def see(self, entry: Entry) -> None:
        """Note that the user has opened a micrograph."""
        if not entry.seen and not self.read_only:
            self.mark(entry, flag=entry.flag)

    def change(self, request: SettingsRequest) -> None:
        """Set the settings that the request names, and save.

        Raises
        ------
        UsageError
            If the request would remove the box size, or the page is read-only.
        """
        given = {name: getattr(request, name) for name in request.model_fields_set}
        if given.get("box_size_px", 1.0) is None:
            raise UsageError("the box size cannot be removed; give another one.")
        for name in ("threshold", "minimum_distance_px", "smallest_px", "largest_px", "class_choices", "view"):
            if name in given and given[name] is None:
                del given[name]
        if "view" in given:
            given["view"] = {**self.settings.view, **given["view"]}
        if "class_choices" in given:
            given["class_choices"] = {**self.settings.class_choices, **given["class_choices"]}
        if len(given.get("view", ())) > MAX_VIEW:
            raise UsageError(f"a project keeps {MAX_VIEW} settings of the view at most.")
        self.put(self.settings.model_copy(update=given))

    def put(self, settings: ProjectSettings) -> None:
        """Replace the settings and save; if that fails, they stay as they were."""
        before, pending = self.settings, self.sizes_pending
        self.sizes_pending = pending or settings.box_size_px != before.box_size_px
        self.settings = settings
        try:
            self.save()
        except OSError:
            self.settings, self.sizes_pending = before, pending
            raise
        self.changes += 1
        self.settings_changed = self.changes

    def note(self, entry: Entry) -> None:
        """Count a change of this micrograph."""
        self.changes += 1
        entry.changed = self.changes

    def save(self) -> None:
        """Write `project.json`, whole or not at all, without the micrographs that were never opened.

        Raises
        ------
        UsageError
            If the page is read-only.
        """
        self.refuse_if_read_only()
        known = {
            entry.file.name: {"flag": entry.flag, "seen": entry.seen}
            for entry in self.entries.values()
            if entry.seen or entry.flag
        }
        content = {"vitripick_project": 1, "settings": self.settings.model_dump(), "micrographs": known}
        content["micrographs"] = {**self._others, **known}
        if self.sizes_pending:
            content["sizes_pending"] = True
        write_text_atomically(self.out / "project.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def open_project(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    box_size_px: float | None = None,
    pixel_size: float | None = None,
    include: Sequence[str] = (),
    read_only: bool = False,
    filaments: bool = False,
    width_px: float | None = None,
) -> Project:
    """Open a project folder, or make a new one.

    Parameters
    ----------
    inputs
        As in `find_micrographs`.
    out
        The project folder.
    box_size_px, pixel_size
        Replace the project's own settings.
    include
        As in `find_micrographs`.
    read_only
        Change nothing on the disk.
    filaments
        The labels of a new project are filaments. One that exists knows what its labels are.
    width_px
        Width of the filaments, which replaces the project's own.

    Raises
    ------
    InputError
        If the inputs name no micrograph, or `project.json` cannot be used.
    UsageError
        If a number is not positive, or the folder cannot be written to.
    """
    out = Path(out)
    files = _nameable(find_micrographs(inputs, leave_out=[out], include=include))
    stems = output_stems(files)
    entries: dict[str, Entry] = {}
    for file in files:
        entry = Entry(id=micrograph_id(file.name), file=file, stem=stems[file.name])
        if entry.id in entries:  # 48 bits: once in a million projects of 20,000
            raise UsageError(
                f"{file.name} and {entries[entry.id].file.name} have the same id; open them in separate projects."
            )
        entries[entry.id] = entry
    project = Project(out, entries, ProjectSettings(), read_only)
    _read(project)
    of_filaments = filaments or project.settings.filaments
    if box_size_px is not None and of_filaments:
        raise UsageError(f"{out}: filaments have no box; give {parameter('width_px')}.")
    if width_px is not None and not of_filaments:
        raise UsageError(f"{out}: {parameter('width_px')} needs {parameter('filaments', True)}.")
    given = {"box_size_px": width_px if of_filaments else box_size_px, "pixel_size": pixel_size}
    update: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    for name, value in update.items():
        if not (math.isfinite(value) and value > 0):
            raise UsageError(f"{parameter(name)} must be a positive number, not {value}.")
    if update.get("box_size_px", project.settings.box_size_px) != project.settings.box_size_px:
        project.sizes_pending = True
    if filaments and not project.settings.filaments:
        if _holds_labels(project):
            raise UsageError(
                f"{out}: the labels of this project are particles; give another {parameter('out')} for filaments."
            )
        update["filaments"] = True
    project.settings = project.settings.model_copy(update=update)
    if not read_only:
        try:
            project.save()
        except PermissionError as error:
            raise UsageError(
                f"{out}: not allowed to write here; give another {parameter('out')}, or {parameter('read_only', True)}."
            ) from error
    _count_labels(project)
    return project


def _nameable(files: list[MicrographFile]) -> list[MicrographFile]:
    """Leave out files whose names our files in UTF-8 cannot hold, with a warning."""
    bad = [printable_name(file.name) for file in files if printable_name(file.name) != file.name]
    if not bad:
        return files
    if len(bad) == len(files):
        raise InputError(f"{listed_names(bad)}: the bytes of these names are not UTF-8; rename the files.")
    log.warning(
        "left out, because the bytes of their names are not UTF-8: %d of %d micrographs (%s); rename them",
        len(bad),
        len(files),
        listed_names(bad),
    )
    return [file for file in files if printable_name(file.name) == file.name]


def micrograph_id(name: str) -> str:
    """Return the id of a micrograph in the page, which is the same at every start and holds no path."""
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def _read(project: Project) -> None:
    path = project.out / "project.json"
    try:
        content = read_json_object(path)
        if content.get("vitripick_project") != 1:
            raise ValueError("it was not written by this version of vitripick")
        settings = {**content["settings"]}
        project.settings = ProjectSettings.model_validate(settings)
        project.sizes_pending = bool(content.get("sizes_pending"))
        said: dict[str, Any] = content["micrographs"]
        by_name = {entry.file.name: entry for entry in project.entries.values()}
        for name, what in said.items():
            entry = by_name.get(name)
            if entry is None:
                project._others[name] = what
                continue
            flag = what.get("flag")
            if flag not in (None, "complete", "empty", "excluded"):
                raise ValueError(f"the flag {flag!r} of {name}")
            entry.flag, entry.seen = flag, bool(what.get("seen"))
    except FileNotFoundError:
        if project.read_only and not project.out.is_dir():
            raise UsageError(f"{project.out}: there is no project here.") from None
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        reason = problems(error) if isinstance(error, ValidationError) else str(error)
        raise FormatError(
            f"{path}: this project file cannot be used ({reason}). Correct it, or move it away to go on with settings "
            "and flags as in a new project; the labels stay."
        ) from error


def _holds_labels(project: Project) -> bool:
    """Return whether anything was ever labelled here."""
    return any(path.is_dir() and any(path.iterdir()) for path in (project.out / LABEL_HISTORY, project.out / "labels"))


def _count_labels(project: Project) -> None:
    for entry in project.entries.values():
        path = project.labels_path(entry)
        try:
            with path.open("rb") as file:
                rows = (line for line in file if line.strip())
                if project.settings.filaments:  # a row is a vertex, and says first whose
                    entry.n_labels = len({row.partition(b",")[0].strip() for row in itertools.islice(rows, 1, None)})
                else:
                    entry.n_labels = max(0, sum(1 for _ in rows) - 1)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise VitripickError(f"{path}: cannot be read: {error.strerror}.") from error
