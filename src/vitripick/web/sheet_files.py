"""Read the label files of a micrograph and compare them with its history."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from vitripick.errors import FormatError
from vitripick.formats import read_picks
from vitripick.formats.filaments import read_filaments
from vitripick.json_toml import read_json_object
from vitripick.web.sheet import Edit, Line, Point, Polygon, Sheet, as_line, as_polygon, place


def written_at(path: Path) -> int:
    """Return when a file was written last, in nanoseconds; 0 if there is none."""
    try:
        return path.stat().st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return 0


def trial_of(sheet: Sheet) -> Sheet:
    """Return a copy, to try something on."""
    copies = {name: value.copy() for name, value in vars(sheet).items() if name != "revision"}
    return dataclasses.replace(sheet, **copies)


def read_labels(path: Path) -> list[Point]:
    if not path.is_file():
        return []
    boxes = read_picks(path)
    return [place(x, y) for x, y in boxes.centres]


def read_lines(path: Path) -> list[Line]:
    """Return the labelled filaments of a file; none if there is no file.

    Raises
    ------
    FormatError
        If it holds no filaments.
    """
    if not path.is_file():
        return []
    try:
        return [as_line(one.points) for part in read_filaments(path, format="csv") for one in part]
    except ValueError as error:
        raise FormatError(f"{path}: these filaments cannot be read ({error}); correct or remove the file.") from error


def areas_json(sheet: Sheet) -> dict[str, Any]:
    """Return the ignored areas and the places of rejected picks, as training reads them (`TrainingSet.areas`)."""
    return {
        "ignored": [[list(point) for point in area] for area in sheet.areas.values()],
        "rejected": [list(point) for point in sheet.rejected.values()],
    }


def read_areas_file(path: Path) -> tuple[list[Polygon], list[Point]]:
    try:
        content = read_json_object(path)
        ignored = [as_polygon(points) for points in content.get("ignored", ())]
        return ignored, [place(*point) for point in content.get("rejected", ())]
    except FileNotFoundError:
        return [], []
    except (ValueError, TypeError, OverflowError) as error:
        raise FormatError(f"{path}: these areas cannot be read ({error}); correct or remove the file.") from error


def difference_of_areas(sheet: Sheet, ignored: list[Polygon], rejected: list[Point]) -> Edit:
    """Return the edit that turns the areas and rejected places of the sheet into those of the file."""
    new_areas = [area for area in ignored if area not in sheet.areas.values()]
    new_places = [point for point in rejected if point not in sheet.rejected.values()]
    first = sheet.next_number()
    return Edit(
        add_areas=dict(enumerate(new_areas, start=first)),
        remove_areas={number: area for number, area in sheet.areas.items() if area not in ignored},
        reject=dict(enumerate(new_places, start=first + len(new_areas))),
        unreject={number: point for number, point in sheet.rejected.items() if point not in rejected},
    )


def difference_of_lines(sheet: Sheet, on_disk: list[Line]) -> Edit:
    """Return the edit that turns the filaments of the sheet into those of the file."""
    wanted = list(on_disk)
    remove: dict[int, Line] = {}
    for number, line in sheet.lines.items():
        if line in wanted:
            wanted.remove(line)
        else:
            remove[number] = line
    return Edit(add_lines=dict(enumerate(wanted, start=sheet.next_number())), remove_lines=remove)


def difference(sheet: Sheet, on_disk: list[Point]) -> Edit:
    """Return the edit that turns the labels of the sheet into those of the file."""
    wanted = list(on_disk)
    remove: dict[int, Point] = {}
    for number, point in sheet.labels.items():
        if point in wanted:
            wanted.remove(point)
        else:
            remove[number] = point
    return Edit(add=dict(enumerate(wanted, start=sheet.next_number())), remove=remove)
