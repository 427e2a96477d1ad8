"""Hold the labels of one micrograph, with every edit that led to them.

The log (`history/STEM.jsonl`) has one edit per line and only grows. It is written and flushed before the labels. So the
server may be killed at any moment: reading both files again gives the last state that was acknowledged, or the next
one, and undo still goes back to the first click.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from numbers import Real
from pathlib import Path
from typing import Any, TypeAlias

from vitripick.errors import FormatError, UsageError
from vitripick.json_toml import parse_json_object
from vitripick.web.own_files import open_own

Point: TypeAlias = tuple[float, float]
Polygon: TypeAlias = tuple[Point, ...]
# The centre line of a filament: two different points or more, from one end to the other.
Line: TypeAlias = tuple[Point, ...]

_VERSION = 1
# Hundredths of a pixel are finer than a click, and short to read.
_DECIMALS = 2


class StaleError(UsageError):
    """Says that an edit does not fit the labels, because another window has changed them."""


@dataclass(frozen=True)
class Edit:
    """Describes one step that can be undone.

    Attributes
    ----------
    add, remove
        Label number to centre, in full-size pixels.
    move
        Label number to (centre before, centre after).
    add_areas, remove_areas
        Area number to polygon; training and counts ignore what lies inside.
    reject, unreject
        Number to the place of a pick that the user rejected.
    add_lines, remove_lines
        Filament number to its centre line.
    bend
        Filament number to (centre line before, centre line after).
    """

    add: dict[int, Point] = field(default_factory=dict)
    remove: dict[int, Point] = field(default_factory=dict)
    move: dict[int, tuple[Point, Point]] = field(default_factory=dict)
    add_areas: dict[int, Polygon] = field(default_factory=dict)
    remove_areas: dict[int, Polygon] = field(default_factory=dict)
    reject: dict[int, Point] = field(default_factory=dict)
    unreject: dict[int, Point] = field(default_factory=dict)
    add_lines: dict[int, Line] = field(default_factory=dict)
    remove_lines: dict[int, Line] = field(default_factory=dict)
    bend: dict[int, tuple[Line, Line]] = field(default_factory=dict)

    def inverted(self) -> Edit:
        """Return the edit that undoes this one."""
        return Edit(
            add=self.remove,
            remove=self.add,
            move={number: (after, before) for number, (before, after) in self.move.items()},
            add_areas=self.remove_areas,
            remove_areas=self.add_areas,
            reject=self.unreject,
            unreject=self.reject,
            add_lines=self.remove_lines,
            remove_lines=self.add_lines,
            bend={number: (after, before) for number, (before, after) in self.bend.items()},
        )

    def to_json(self) -> dict[str, Any]:
        """Return the parts that are not empty; in each row the number comes first."""
        rows: dict[str, Any] = {
            "add": [[n, *p] for n, p in self.add.items()],
            "remove": [[n, *p] for n, p in self.remove.items()],
            "move": [[n, *a, *b] for n, (a, b) in self.move.items()],
            "add_areas": [[n, [list(p) for p in polygon]] for n, polygon in self.add_areas.items()],
            "remove_areas": [[n, [list(p) for p in polygon]] for n, polygon in self.remove_areas.items()],
            "reject": [[n, *p] for n, p in self.reject.items()],
            "unreject": [[n, *p] for n, p in self.unreject.items()],
            "add_lines": [[n, points_json(line)] for n, line in self.add_lines.items()],
            "remove_lines": [[n, points_json(line)] for n, line in self.remove_lines.items()],
            "bend": [[n, points_json(before), points_json(after)] for n, (before, after) in self.bend.items()],
        }
        return {key: value for key, value in rows.items() if value}

    @classmethod
    def from_json(cls, rows: dict[str, Any]) -> Edit:
        """Return the edit that `to_json` wrote."""
        return cls(
            add={number(n): _exactly(x, y) for n, x, y in rows.get("add", ())},
            remove={number(n): _exactly(x, y) for n, x, y in rows.get("remove", ())},
            move={number(n): (_exactly(x0, y0), _exactly(x1, y1)) for n, x0, y0, x1, y1 in rows.get("move", ())},
            add_areas={number(n): as_polygon(p) for n, p in rows.get("add_areas", ())},
            remove_areas={number(n): as_polygon(p) for n, p in rows.get("remove_areas", ())},
            reject={number(n): _exactly(x, y) for n, x, y in rows.get("reject", ())},
            unreject={number(n): _exactly(x, y) for n, x, y in rows.get("unreject", ())},
            add_lines={number(n): as_line(line) for n, line in rows.get("add_lines", ())},
            remove_lines={number(n): as_line(line) for n, line in rows.get("remove_lines", ())},
            bend={number(n): (as_line(a), as_line(b)) for n, a, b in rows.get("bend", ())},
        )


@dataclass
class Sheet:
    """Holds the labels, ignored areas and rejected picks of one micrograph, and the edits to undo and redo.

    In a project of filaments the labels are lines, else they are places.

    Attributes
    ----------
    labels, areas, rejected
        Number to centre, polygon, or place of a rejected pick. A log uses every number once only.
    lines
        Number to the centre line of a labelled filament.
    done, undone
        Edits to undo and to redo; the last one is the next.
    revision
        Number of lines in the log. A window with another revision has old labels.
    ids
        The ids of all edits in the log.
    """

    labels: dict[int, Point] = field(default_factory=dict)
    areas: dict[int, Polygon] = field(default_factory=dict)
    rejected: dict[int, Point] = field(default_factory=dict)
    lines: dict[int, Line] = field(default_factory=dict)
    done: list[Edit] = field(default_factory=list)
    undone: list[Edit] = field(default_factory=list)
    revision: int = 0
    ids: set[str] = field(default_factory=set)

    @property
    def n_labels(self) -> int:
        """Return the number of labels of either kind."""
        return len(self.labels) + len(self.lines)

    def ever_labelled(self) -> set[Point | Line]:
        """Return every place and line that is a label, or that was one at some time in the log."""
        found: set[Point | Line] = {*self.labels.values(), *self.lines.values()}
        for edit in (*self.done, *self.undone):
            found |= {*edit.add.values(), *edit.remove.values(), *(p for move in edit.move.values() for p in move)}
            found |= {*edit.add_lines.values(), *edit.remove_lines.values()}
            found |= {line for bend in edit.bend.values() for line in bend}
        return found

    def has_labels(self, wanted: Sequence[Point | Line]) -> bool:
        """Return whether the labels, which are all places or all lines, are these, which are sorted."""
        return self.n_labels == len(wanted) and sorted([*self.labels.values(), *self.lines.values()]) == list(wanted)

    def label_numbers(self) -> set[int]:
        """Return every number that a label has, or had at some time in the log."""
        edits = (*self.done, *self.undone)
        parts = [part for e in edits for part in (e.add, e.remove, e.add_lines, e.remove_lines)]
        return {*self.labels, *self.lines, *(n for part in parts for n in part)}

    def next_number(self) -> int:
        """Return a number that no label, area or rejected pick ever had."""
        edits = (*self.done, *self.undone)
        areas = {*self.areas, *(n for e in edits for n in (*e.add_areas, *e.remove_areas))}
        rejected = {*self.rejected, *(n for e in edits for n in (*e.reject, *e.unreject))}
        return 1 + max({0} | self.label_numbers() | areas | rejected)

    def to_json(self) -> dict[str, Any]:
        """Return what the page shows."""
        return {
            "labels": [[n, *p] for n, p in self.labels.items()],
            "areas": [[n, [list(p) for p in polygon]] for n, polygon in self.areas.items()],
            "rejected": [[n, *p] for n, p in self.rejected.items()],
            "lines": [[n, points_json(line)] for n, line in self.lines.items()],
            "revision": self.revision,
            "can_undo": len(self.done),
            "can_redo": len(self.undone),
        }

    def apply(self, edit: Edit) -> None:
        """Make an edit, or raise `StaleError` if it does not fit the labels and areas."""
        for number in [*edit.remove, *edit.move]:
            if number not in self.labels:
                raise StaleError(f"label {number} is not there any more; reload the page.")
        if edit.remove.keys() & edit.move.keys():
            raise UsageError("an edit cannot both move and delete a label.")
        for number in edit.remove:
            del self.labels[number]
        for number, (_, after) in edit.move.items():
            self.labels[number] = after
        for number, place in edit.add.items():
            if number in self.labels:
                raise StaleError(f"label {number} is there already; reload the page.")
            self.labels[number] = place
        for number in edit.remove_areas:
            if self.areas.pop(number, None) is None:
                raise StaleError(f"area {number} is not there any more; reload the page.")
        for number, polygon in edit.add_areas.items():
            if number in self.areas:
                raise StaleError(f"area {number} is there already; reload the page.")
            self.areas[number] = polygon
        for number in edit.unreject:
            if self.rejected.pop(number, None) is None:
                raise StaleError(f"rejected pick {number} is not there any more; reload the page.")
        self.rejected.update(edit.reject)
        self._apply_lines(edit)

    def _apply_lines(self, edit: Edit) -> None:
        for number in [*edit.remove_lines, *edit.bend]:
            if number not in self.lines:
                raise StaleError(f"filament {number} is not there any more; reload the page.")
        if edit.remove_lines.keys() & edit.bend.keys():
            raise UsageError("an edit cannot both bend and delete a filament.")
        for number in edit.remove_lines:
            del self.lines[number]
        for number, (_, after) in edit.bend.items():
            self.lines[number] = after
        for number, line in edit.add_lines.items():
            if number in self.lines:
                raise StaleError(f"filament {number} is there already; reload the page.")
            self.lines[number] = line

    def take(self, line: dict[str, Any]) -> None:
        """Make the edit, undo or redo that one line of the log says."""
        if "edit" in line:
            edit = Edit.from_json(line["edit"])
            self.apply(edit)
            self.done.append(edit)
            self.undone.clear()
        elif line.get("undo"):
            self.apply(self.done[-1].inverted())
            self.undone.append(self.done.pop())
        elif line.get("redo"):
            self.apply(self.undone[-1])
            self.done.append(self.undone.pop())
        self.revision += 1
        if "id" in line:
            self.ids.add(str(line["id"]))


def place(x: float, y: float) -> Point:
    """Return a centre with the decimals that are stored; `ValueError` unless both are finite numbers."""
    x, y = _exactly(x, y)
    return round(x, _DECIMALS), round(y, _DECIMALS)


def as_polygon(points: Iterable[Iterable[float]]) -> Polygon:
    """Return a polygon from rows of x and y, with the decimals that are stored; `ValueError` below three points."""
    polygon = tuple(place(*point) for point in points)
    if len(polygon) < 3:
        raise ValueError("an area needs three points or more")
    return polygon


def as_line(points: Iterable[Iterable[float]]) -> Line:
    """Return a centre line from rows of x and y, with the decimals that are stored and no point twice in a row.

    Raises
    ------
    ValueError
        If fewer than two different points are left.
    """
    line: list[Point] = []
    for point in points:
        at = place(*point)
        if not line or at != line[-1]:
            line.append(at)
    if len(line) < 2:
        raise ValueError("a filament needs two different points or more")
    return tuple(line)


def points_json(points: Iterable[Point]) -> list[list[float]]:
    """Return points as JSON has them."""
    return [list(point) for point in points]


def number(value: Any) -> int:
    """Return the number of a label or an area; `ValueError` if it is not a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is not the number of a label")
    return value


def _exactly(x: Any, y: Any) -> Point:
    """Return a centre as it is stored; `ValueError` unless both are finite numbers."""
    for value in (x, y):
        # numpy's numbers are not `int`, but they are Real like those of JSON.
        if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
            raise ValueError(f"{value!r} is not a place in a micrograph")
    return float(x), float(y)


def read_log(
    path: Path, on_disk: Sequence[Point | Line] = (), areas_on_disk: tuple[list[Polygon], list[Point]] = ([], [])
) -> tuple[Sheet, bool, bool] | None:
    """Read a log.

    A last line without its end was never acknowledged. It is removed, from the file too.

    Parameters
    ----------
    path
        The log.
    on_disk
        The labels that the label file has, all of them places or all of them lines.
    areas_on_disk
        The areas and rejected places that their file has.

    Returns
    -------
    (Sheet, bool, bool) or None
        The sheet after the last line; whether the label file, and the file of areas, have one of the states that the
        log went through. None without a log.

    Raises
    ------
    FormatError
        If a line cannot be read, or does not fit the lines before it.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if data and not data.endswith(b"\n"):
        data = data[: data.rfind(b"\n") + 1]
        with open_own(path, "r+b") as file:
            file.truncate(len(data))
    lines = data.split(b"\n")[:-1]
    if not lines:
        return None
    now = Sheet()
    wanted = sorted(on_disk)
    areas, places = (sorted(part) for part in areas_on_disk)

    def has_areas() -> bool:
        return sorted(now.areas.values()) == areas and sorted(now.rejected.values()) == places

    try:
        start = parse_json_object(lines[0])
        if start.get("vitripick_history") != _VERSION:
            raise ValueError("not a history of this version")
        now.labels = {number(n): _exactly(x, y) for n, x, y in start["labels"]}
        now.areas = {number(n): as_polygon(p) for n, p in start["areas"]}
        now.rejected = {number(n): _exactly(x, y) for n, x, y in start["rejected"]}
        now.lines = {number(n): as_line(line) for n, line in start.get("lines", ())}
        now.revision = 1
        passed, areas_passed = now.has_labels(wanted), has_areas()
        for line in lines[1:]:
            now.take(parse_json_object(line))
            passed = passed or now.has_labels(wanted)
            areas_passed = areas_passed or has_areas()
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, UsageError) as error:
        raise FormatError(
            f"{path}: this history of edits cannot be read ({error}). Move it away to go on from the labels as they "
            "are, without undo."
        ) from error
    return now, passed, areas_passed


def start_log(path: Path, micrograph: str, sheet: Sheet) -> None:
    """Begin a log with the present labels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first = {"vitripick_history": _VERSION, "micrograph": micrograph, **sheet.to_json()}
    keys = ["vitripick_history", "micrograph", "labels", "areas", "rejected", *(["lines"] if sheet.lines else [])]
    append_line(path, {key: first[key] for key in keys})
    sheet.revision = 1


def append_line(path: Path, line: dict[str, Any]) -> None:
    """Add one line and wait until it is on the disk; if that fails, leave the file as it was."""
    data = (json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
    with open_own(path, "ab") as file:
        size = file.tell()
        try:
            written = 0
            while written < len(data):
                written += file.write(data[written:])
            os.fsync(file.fileno())
        except OSError:
            file.truncate(size)
            raise


def timed(**what: Any) -> dict[str, Any]:
    """Return a line of the log with the time in front."""
    return {"time": datetime.now(timezone.utc).isoformat(timespec="seconds"), **what}
