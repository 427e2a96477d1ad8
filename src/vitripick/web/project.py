"""The project folder: which micrographs, what a person said of each, and the settings. Readable files only.

    OUT/
      project.json         settings, and what is known of each micrograph that was looked at
      labels/STEM.csv      the labels; a file without rows: looked at, no particle there
      areas/STEM.json      polygons in which nothing is taught
      history/STEM.jsonl   every edit, for undo
      runs/NNN/            trainings and pickings started from the page
      exports/             what was exported

STEM is the micrograph's name without its suffix, as everywhere in vitripick.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from vitripick.atomic import write_text_atomically
from vitripick.errors import FormatError, MicrographError, UsageError, VitripickError
from vitripick.formats import MicrographFile, MicrographHeader, find_micrographs, output_stems, read_header
from vitripick.settings import Settings
from vitripick.web.requests import Flag, SettingsRequest, ViewValue

_FIRST_BOX_SHARE = 0.06  # of the shorter side: something to start from, until the user says


class ProjectSettings(Settings):
    """What holds for all micrographs; the page changes it.

    Attributes
    ----------
    box_size_px
        Of every label, in full-size pixels.
    pixel_size
        Å per pixel, where the headers are silent or wrong.
    threshold, minimum_distance_px, smallest_px, largest_px
        Which of the stored picks are shown, counted and exported; 0: no limit.
    pick_set
        Which picks are shown: `given` on the command line, or the number of a run.
    view
        How micrographs are shown: contrast, filters and the like, as the page has them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    box_size_px: float | None = Field(None, gt=0)
    pixel_size: float | None = Field(None, gt=0)
    threshold: float = Field(0.3, ge=0, le=1)
    minimum_distance_px: float = Field(0.0, ge=0)
    smallest_px: float = Field(0.0, ge=0)
    largest_px: float = Field(0.0, ge=0)
    pick_set: str | None = None
    view: dict[str, ViewValue] = Field(default_factory=dict)


@dataclass
class Entry:
    """One micrograph of the list.

    Attributes
    ----------
    id
        What the page calls it: never a path.
    flag, seen
        What a person said of it, and whether it was opened.
    n_labels
        Labels it has.
    error
        Why it cannot be read, once that is known.
    """

    id: str
    file: MicrographFile
    stem: str
    flag: Flag | None = None
    seen: bool = False
    n_labels: int = 0
    error: str = ""
    header: MicrographHeader | None = None


@dataclass
class Project:
    """Everything but the pixels and the edits; see the module.

    `lock` is held by whoever changes anything.
    """

    out: Path
    entries: dict[str, Entry]
    settings: ProjectSettings
    read_only: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)
    # What was said of micrographs of an earlier start that are not in this one: it is kept.
    _others: dict[str, Any] = field(default_factory=dict)

    @property
    def files(self) -> list[MicrographFile]:
        """In the list's order."""
        return [entry.file for entry in self.entries.values()]

    def labels_path(self, entry: Entry) -> Path:
        """Of one micrograph."""
        return self.out / "labels" / f"{entry.stem}.csv"

    def areas_path(self, entry: Entry) -> Path:
        """Of one micrograph."""
        return self.out / "areas" / f"{entry.stem}.json"

    def history_path(self, entry: Entry) -> Path:
        """Of one micrograph."""
        return self.out / "history" / f"{entry.stem}.jsonl"

    def header(self, entry: Entry) -> MicrographHeader:
        """Shape and pixel size; a `MicrographError` is remembered in the list."""
        if entry.header is None:
            try:
                entry.header = read_header(entry.file.path)
            except MicrographError as error:
                entry.error = str(error)
                raise
        return entry.header

    def pixel_size(self, entry: Entry) -> float | None:
        """Å per pixel: what the user said, else the header."""
        return self.settings.pixel_size or self.header(entry).pixel_size

    def box_size_px(self, entry: Entry | None = None) -> float:
        """Of the labels; before anybody said, a share of the micrograph."""
        if self.settings.box_size_px is not None:
            return self.settings.box_size_px
        if entry is None:
            return 100.0
        try:
            return float(max(8, round(_FIRST_BOX_SHARE * min(self.header(entry).shape))))
        except MicrographError:
            return 100.0

    def mark(self, entry: Entry, *, flag: Flag | None = None, seen: bool = True) -> None:
        """Say something of a micrograph and save it."""
        if entry.flag != flag or entry.seen != seen:
            entry.flag, entry.seen = flag, seen
            self.save()

    def see(self, entry: Entry) -> None:
        """It was opened."""
        if not entry.seen and not self.read_only:
            self.mark(entry, flag=entry.flag)

    def change(self, request: SettingsRequest) -> None:
        """Take over the settings that the request names, and save."""
        given = {name: getattr(request, name) for name in request.model_fields_set}
        if given.get("box_size_px", 1.0) is None:
            raise UsageError("a box size cannot be taken away; give another one.")
        for name in ("threshold", "minimum_distance_px", "smallest_px", "largest_px", "view"):
            if name in given and given[name] is None:
                del given[name]
        if "view" in given:
            given["view"] = {**self.settings.view, **given["view"]}
        self.settings = self.settings.model_copy(update=given)
        self.save()

    def save(self) -> None:
        """Write `project.json`, whole or not at all; micrographs nobody looked at are not in it."""
        if self.read_only:
            raise UsageError("this page only shows: it was started with --read-only.")
        known = {
            entry.file.name: {"flag": entry.flag, "seen": entry.seen}
            for entry in self.entries.values()
            if entry.seen or entry.flag
        }
        content = {"vitripick_project": 1, "settings": self.settings.model_dump(), "micrographs": known}
        content["micrographs"] = {**self._others, **known}
        write_text_atomically(self.out / "project.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def open_project(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    box_size_px: float | None = None,
    pixel_size: float | None = None,
    read_only: bool = False,
) -> Project:
    """Open a project folder, or begin one.

    Parameters
    ----------
    inputs
        As in `find_micrographs`.
    out
        The project folder.
    box_size_px, pixel_size
        Go before what the project has.
    read_only
        Nothing may be changed.

    Raises
    ------
    InputError
        If the inputs name no micrograph, or `project.json` is not ours.
    """
    out = Path(out)
    files = find_micrographs(inputs, leave_out=[out])
    stems = output_stems(files)
    entries: dict[str, Entry] = {}
    for file in files:
        entry = Entry(id=micrograph_id(file.name), file=file, stem=stems[file.name])
        if entry.id in entries:  # 48 bits of two names alike: once in a hundred thousand projects of 20,000
            raise UsageError(f"{file.name} and {entries[entry.id].file.name} get one id; open them separately.")
        entries[entry.id] = entry
    project = Project(out, entries, ProjectSettings(), read_only)
    _read(project)
    given = {"box_size_px": box_size_px, "pixel_size": pixel_size}
    update = {name: value for name, value in given.items() if value is not None}
    for name, value in update.items():
        if not (math.isfinite(value) and value > 0):
            raise UsageError(f"--{name.replace('_', '-')} must be a positive number, not {value}.")
    project.settings = project.settings.model_copy(update=update)
    if not read_only:
        try:
            project.save()
        except PermissionError as error:
            raise UsageError(f"{out}: not allowed to write here; give another --out, or --read-only.") from error
    _count_labels(project)
    return project


def micrograph_id(name: str) -> str:
    """What the page calls a micrograph: the same at every start, and no path."""
    return hashlib.sha256(name.encode()).hexdigest()[:12]


class ProjectLock:
    """One server a project folder: two would overwrite each other's edits.

    The file names host and process; the operating system drops the lock with the process, however it ends.
    """

    def __init__(self, out: Path) -> None:
        self._path = out / ".lock"
        self._file: Any = None

    def take(self) -> None:
        """Raise `UsageError` if another server has the folder."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("a+", encoding="utf-8")
        try:
            import fcntl
        except ImportError:  # Windows
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            holder = self._file.read().strip() or "another process"
            raise UsageError(
                f"{self._path.parent}: {holder} has this project open; stop that one, or look at it with --read-only."
            ) from None
        self._file.truncate(0)
        self._file.write(f"vitripick label on {socket.gethostname()}, process {os.getpid()}\n")
        self._file.flush()


def _read(project: Project) -> None:
    path = project.out / "project.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("vitripick_project") != 1:
            raise ValueError("it was not written by this version of vitripick")
        settings = {**content["settings"]}
        project.settings = ProjectSettings.model_validate(settings)
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
            raise UsageError(f"{project.out}: there is no project here to show.") from None
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise FormatError(f"{path}: this project file cannot be used: {error}") from error


def _count_labels(project: Project) -> None:
    for entry in project.entries.values():
        path = project.labels_path(entry)
        try:
            with path.open("rb") as file:
                entry.n_labels = max(0, sum(1 for line in file if line.strip()) - 1)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise VitripickError(f"{path}: cannot be read: {error.strerror}.") from error


def listed(entry: Entry) -> list[Any]:
    """One row of the page's list."""
    return [entry.id, entry.file.name, entry.n_labels, entry.flag, int(entry.seen), entry.error]


def project_json(project: Project) -> dict[str, Any]:
    """What the page starts from."""
    return {
        "out": project.out.name,
        "read_only": project.read_only,
        "settings": project.settings.model_dump(),
        "micrographs": [listed(entry) for entry in project.entries.values()],
    }
