"""Keep one record for each micrograph: from what its picks were made, or why it failed.

Records hold nothing that differs from run to run. So a run that was killed and continued ends with the same bytes as
one that was not killed. Times go to `log/`, in one file for each process.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitripick.atomic import write_text_atomically
from vitripick.errors import UsageError, parameter
from vitripick.formats import MicrographFile, OpticsGroup, read_picks
from vitripick.formats.folders import real_folder
from vitripick.formats.star.defocus import Defocus
from vitripick.formats.star.optics import with_given_optics
from vitripick.geometry import Boxes
from vitripick.images.border import NO_BORDER, Border
from vitripick.json_toml import is_number, read_json_object
from vitripick.picking.narrow import Narrowing
from vitripick.picking.quality import Quality
from vitripick.run_layout import STORE, STORE_FORMAT, RunLayout
from vitripick.settings.optics import OpticsSettings
from vitripick.text import printable_name


@dataclass(frozen=True)
class Record:
    """Describes one micrograph that is done, as `micrographs/STEM.json` holds it.

    Attributes
    ----------
    name, path, stem
        The micrograph's identity, its path when it was picked, and the name of its outputs without ending.
    from_out
        The same path relative to the run folder, which holds in any working directory; empty in older records.
    from_star
        Whether the name is a RELION STAR's string, which RELION compares character for character.
    shape, pixel_size
        (rows, columns), and Å per pixel if known.
    n_stored, n_picks
        Picks down to the floor confidence, and those at or above the threshold.
    warnings
        Faults of its file that were tolerated.
    made_from
        `size_bytes`, `mtime_ns`, `model` and `settings` (hashes). If all match, it is not picked again.
    exported
        The files that exist (a format, `overlay`, `thumbnail`, `junk`, `junk_mask`), each with its threshold.
    engine
        The engine that ran the network.
    optics
        RELION's optics group: what its STAR says, with the pixel size that was used for picking, and the options of the
        microscope. None if none is known, and in older records.
    defocus
        What the STAR that was picked says about its focus; None if it says nothing, and in older records.
    quality
        What picks and junk map say about the micrograph; None in older records, which have no quality.
    narrowing
        Which of the stored picks `exported` holds; None in older records, where it holds all above the threshold.
    border
        Full-size pixels along the sides that hold no image.
    seconds, timings
        Times, which come from the log if it was read; they are not in the record's own file.
    cached
        Share of the file that was in the system's file cache, 0-1, if known; in the log only.
    """

    name: str
    path: str
    stem: str
    shape: tuple[int, int]
    pixel_size: float | None
    n_stored: int
    n_picks: int
    from_out: str = ""
    from_star: bool = False
    warnings: tuple[str, ...] = ()
    made_from: dict[str, Any] = field(default_factory=dict)
    exported: dict[str, float] = field(default_factory=dict)
    engine: str = ""
    optics: OpticsGroup | None = None
    defocus: Defocus | None = None
    quality: Quality | None = None
    narrowing: Narrowing | None = None
    border: Border = NO_BORDER
    seconds: float = 0.0
    timings: dict[str, float] = field(default_factory=dict)
    cached: float | None = None

    @property
    def relion_name(self) -> str:
        """Return the name that RELION uses: the STAR's string, else the path as it was typed."""
        return self.name if self.from_star else self.path

    @property
    def optics_group(self) -> OpticsGroup:
        """Return the optics group; one that holds the pixel size alone if no more is known."""
        return OpticsGroup(pixel_size=self.pixel_size) if self.optics is None else self.optics

    @property
    def diameter_px(self) -> float | None:
        """Return the diameter of the particle in full-size pixels; None if it is unknown, as without picks."""
        return None if self.quality is None else self.quality.diameter_px


@dataclass(frozen=True)
class Outcome:
    """Says what became of one micrograph: a record, or a failure; `skipped` if it was done before."""

    file: MicrographFile
    stem: str
    record: Record | None = None
    failure: dict[str, Any] | None = None
    skipped: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome ready for JSON; users of the command line rely on these keys."""
        fields: dict[str, Any] = {
            "micrograph": printable_name(self.file.name),
            "path": printable_name(str(self.file.path)),
            "stem": printable_name(self.stem),
        }
        if self.record is None:
            error = "" if self.failure is None else self.failure["error"]
            return {**fields, "status": "failed", "error": error}
        return {
            **fields,
            "status": "skipped" if self.skipped else "done",
            "n_picks": self.record.n_picks,
            "n_stored": self.record.n_stored,
            "pixel_size": self.record.pixel_size,
            "shape": list(self.record.shape),
            "seconds": self.record.seconds,
            "warnings": list(self.record.warnings),
            "quality": None if self.record.quality is None else self.record.quality.to_dict(),
        }


_FIELDS = {entry.name for entry in dataclasses.fields(Record)}
_NOT_STORED = ("seconds", "timings", "cached")


def read_record(path: Path) -> Record | None:
    """Return a micrograph's record; None if there is none, or the file holds none that this version wrote."""
    try:
        fields = read_json_object(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    # Another version may write other fields: those unknown here are left out, and `made_from` decides.
    known = {name: value for name, value in fields.items() if name in _FIELDS - {"cached"}}
    known = {**_OPTIONAL, **known}
    if not all(name in known and holds(known[name]) for name, holds in _CHECKS.items()):
        return None
    optics = None if known["optics"] is None else OpticsGroup(**_optics_fields(known["optics"]))
    made = {
        "shape": tuple(known["shape"]),
        "warnings": tuple(known["warnings"]),
        "quality": Quality.from_dict(fields.get("quality")),
        "narrowing": Narrowing.from_dict(fields.get("narrowing")),
        "optics": optics,
        "defocus": None if known["defocus"] is None else Defocus(**known["defocus"]),
        "border": Border(*known["border"]),
    }
    return Record(**{**known, **made})


def _is_name(value: Any) -> bool:
    return is_path(value) and value != ""


def is_stem(value: Any) -> bool:
    """Return whether a value from JSON can be the stem of files, whose names have at most 255 bytes on any disk."""
    return _is_name(value) and all(len(part.encode()) <= _LONGEST_STEM for part in value.split("/"))


def is_path(value: Any) -> bool:
    """Return whether a value from JSON is a text that can be a path; a path cannot hold the character of number 0."""
    return isinstance(value, str) and "\0" not in value


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST


def _is_shape(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_is_count(side) and side > 0 for side in value)


def _optics_fields(value: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an optics group that this version knows."""
    return {field.name: value[field.name] for field in dataclasses.fields(OpticsGroup) if field.name in value}


def _is_optics(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    fields = {**dataclasses.asdict(OpticsGroup()), **_optics_fields(value)}
    numbers = {name: number for name, number in fields.items() if name not in ("group", "name")}
    sizes = [size for name, size in numbers.items() if "pixel_size" in name and size is not None]
    return (
        _is_count(fields["group"])
        and isinstance(fields["name"], str)
        and all(number is None or is_number(number) for number in numbers.values())
        and all(size > 0 for size in sizes)
    )


def _is_defocus(value: Any) -> bool:
    names = {entry.name for entry in dataclasses.fields(Defocus)}
    return isinstance(value, dict) and set(value) == names and all(map(is_number, value.values()))


# Neither a side of a micrograph nor a number of picks comes near this.
_MOST = 10**9
_LONGEST_STEM = 239
_OPTIONAL: dict[str, Any] = {
    **{"from_out": "", "from_star": False, "made_from": {}, "exported": {}},
    **{"engine": "", "optics": None, "defocus": None, "border": [0, 0, 0, 0], "seconds": 0.0, "timings": {}},
}
_CHECKS: dict[str, Callable[[Any], bool]] = {
    "name": _is_name,
    "path": is_path,
    "stem": is_stem,
    "shape": _is_shape,
    "pixel_size": lambda value: value is None or (is_number(value) and value > 0),
    "n_stored": _is_count,
    "n_picks": _is_count,
    "from_out": is_path,
    "from_star": lambda value: isinstance(value, bool),
    "warnings": lambda value: isinstance(value, list) and all(isinstance(text, str) for text in value),
    "made_from": lambda value: isinstance(value, dict),
    "exported": lambda value: isinstance(value, dict) and all(map(is_number, value.values())),
    "engine": lambda value: isinstance(value, str),
    "optics": lambda value: value is None or _is_optics(value),
    "defocus": lambda value: value is None or _is_defocus(value),
    "border": lambda value: isinstance(value, list) and len(value) == 4 and all(map(_is_count, value)),
    # Times come from the log; records of a first version hold them, too.
    "seconds": is_number,
    "timings": lambda value: isinstance(value, dict) and all(map(is_number, value.values())),
}


def own_record(file: MicrographFile, layout: RunLayout, stem: str) -> Record | None:
    """Return the record of this micrograph, as `read_record` does.

    Raises
    ------
    UsageError
        If the record belongs to another file that still exists, because its picks would be overwritten.
    """
    record, out = read_record(layout.record(stem)), layout.out
    if record is None:
        return None
    # If the micrographs' folder was moved, nothing is at the old path; then the record counts as this one's.
    place = path_of(record, out)
    if os.path.abspath(place) == os.path.abspath(file.path) or not (os.path.exists(place) and file.path.exists()):
        return record
    if os.path.samefile(place, file.path):
        return record
    raise UsageError(
        f"{file.path}: {out} holds the picks of another micrograph under this name, {place}, and they would be "
        f"overwritten. Give both folders in one call, or another {parameter('out')}."
    )


def path_of(record: Record, out: Path) -> str:
    """Return where the micrograph of a record in this run folder lies, in any working directory."""
    return os.path.normpath(os.path.join(real_folder(str(out)), record.from_out)) if record.from_out else record.path


def refuse_other_files(files: Sequence[MicrographFile], stems: dict[str, str], layout: RunLayout) -> None:
    """Raise the `UsageError` of `own_record` before anything is picked, if any of `files` has one."""
    if layout.records.is_dir():
        for file in files:
            own_record(file, layout, stems[file.name])


def path_from(out: Path, path: Path) -> str:
    """Return a micrograph's path relative to the run folder; empty if there is no relative path."""
    try:
        return Path(os.path.relpath(os.path.abspath(path), os.path.realpath(out))).as_posix()
    except ValueError:  # another drive, on Windows
        return ""


def write_record(record: Record, layout: RunLayout) -> None:
    """Write a record into its place in the run folder."""
    fields = {name: value for name, value in vars(record).items() if name not in _NOT_STORED}
    fields["quality"] = None if record.quality is None else record.quality.to_dict()
    fields["optics"] = None if record.optics is None else dataclasses.asdict(record.optics)
    fields["defocus"] = None if record.defocus is None else dataclasses.asdict(record.defocus)
    fields["narrowing"] = None if record.narrowing is None else record.narrowing.to_dict()
    write_text_atomically(layout.record(record.stem), json.dumps(fields, indent=1, ensure_ascii=False) + "\n")


def optics_of(file: MicrographFile, settings: OpticsSettings, pixel_size: float | None) -> OpticsGroup | None:
    """Return the optics group of a micrograph, with the pixel size that it is picked with; None if none is known."""
    group = with_given_optics(file.optics, settings)
    return group if group is None or pixel_size is None else dataclasses.replace(group, pixel_size=pixel_size)


def as_named(
    record: Record, layout: RunLayout, *, optics: OpticsGroup | None, from_star: bool, defocus: Defocus | None = None
) -> Record:
    """Return a record with what a list of micrographs says now, and write it if that is new; no pick depends on it.

    A list without a defocus says nothing against one that was known.
    """
    now = dataclasses.replace(record, optics=optics, defocus=defocus or record.defocus, from_star=from_star)
    if now != record:
        write_record(now, layout)
    return now


def read_stored(layout: RunLayout, record: Record) -> Boxes:
    """Return all stored picks of one micrograph, with its name, shape and pixel size."""
    picks = read_picks(layout.store(record.stem), format=STORE_FORMAT)
    return picks.of(micrograph=record.name, shape=record.shape, pixel_size=record.pixel_size)


def read_exported(layout: RunLayout, record: Record) -> Boxes:
    """Return the picks of one micrograph that its exports hold, before the threshold: of any confidence."""
    picks = read_stored(layout, record)
    return picks if record.narrowing is None else record.narrowing.applied(picks, record.diameter_px, record.border)


def read_store(layout: RunLayout, path: Path) -> Boxes:
    """Return the picks of one file of the store, as `read_exported` does; all of them if no record belongs to it."""
    stem = path.relative_to(layout.out / STORE.folder).as_posix().removesuffix(STORE.ending)
    record = read_record(layout.record(stem))
    return read_picks(path, format=STORE_FORMAT) if record is None else read_exported(layout, record)


def read_failure(path: Path) -> dict[str, Any] | None:
    """Return a failure, `{"micrograph", "path", "error", "made_from"}`; None if the micrograph did not fail."""
    try:
        failure = read_json_object(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return {"path": "", "error": "", **failure} if is_failure(failure) else None


def is_failure(value: Any) -> bool:
    """Return whether a value from JSON describes a failure: which micrograph, and perhaps its path and the reason."""
    if not isinstance(value, dict) or not isinstance(value.get("micrograph"), str):
        return False
    return all(isinstance(value.get(key, ""), str) for key in ("path", "error"))


def write_failure(failure: dict[str, Any], layout: RunLayout, stem: str) -> None:
    """Write down that a micrograph failed, why, and with which file."""
    write_text_atomically(layout.failure(stem), json.dumps(failure, indent=1, ensure_ascii=False) + "\n")


def write_failures(failures: list[dict[str, Any]], layout: RunLayout) -> None:
    """Write the list of failures, one line for each micrograph; remove the file if none failed."""
    path = layout.failures
    if not failures:
        path.unlink(missing_ok=True)
        return
    shown = ({key: f[key] for key in ("micrograph", "path", "error")} for f in failures)
    write_text_atomically(path, "".join(json.dumps(failure, ensure_ascii=False) + "\n" for failure in shown))


def digest(value: Any) -> str:
    """Return a short hash of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
