"""Read and write our plain CSV, for scripts and spreadsheets; x and y are those of the centre.

`x,y,width,height[,confidence[,estimated_width,estimated_height]]`: the last two are the size the network saw.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vitripick.atomic import write_text_atomically
from vitripick.errors import FormatError, InputError
from vitripick.formats.columns import Table, refuse_other_than_2d, refuse_twin_columns, split_by_micrograph
from vitripick.formats.text import format_number, parse_numbers, parse_optional_sizes, parse_optionals, read_lines
from vitripick.geometry import Boxes

_OPTIONAL = ("width", "height", "confidence", "estimated_width", "estimated_height")
# At most this much of the first line is read, because a file of another kind may have no line ends.
_LONGEST_HEADER = 1 << 20


def read_csv(path: Path) -> list[Boxes]:
    """Return the boxes of each micrograph, from columns by name; an empty size or confidence is unknown.

    A column that names micrographs (`columns.micrograph_column`) splits the table; without one, it holds one micrograph
    without a name.

    Raises
    ------
    FormatError
        If the first line does not name x and y, two columns have one name, a row has another width, or the table holds
        coordinates of tomograms or filaments.
    """
    lines = read_lines(path)
    header = [name.strip().lower() for name in _fields(lines[0], path, 1)] if lines else []
    missing = [name for name in ("x", "y") if name not in header]
    if missing:
        found = repr(lines[0][:60]) if lines else "an empty file"
        raise FormatError(
            f"{path}: the first line should be 'x,y,width,height' or 'x,y,width,height,confidence', with "
            f"commas, but here is {found}."
        )
    refuse_twin_columns(header, path)
    table = Table(header)
    for number, line in enumerate(lines[1:], start=2):
        fields = _fields(line, path, number)
        if not any(field.strip() for field in fields):
            continue  # spreadsheets write rows of commas alone
        if len(fields) != len(header):
            raise FormatError(f"{path}, line {number}: {len(fields)} values, but the header names {len(header)}.")
        table.rows.append([field.strip() for field in fields])
        table.lines.append(number)
    refuse_other_than_2d(table, path)
    x, y = (parse_numbers(table.column(name), table.lines, what=name, path=path) for name in ("x", "y"))
    known: dict[str, Any] = {}
    for name in _OPTIONAL:
        if name in table:
            parse = parse_optionals if name == "confidence" else parse_optional_sizes
            known[name] = parse(table.column(name), table.lines, what=name, path=path)
    return split_by_micrograph(Boxes.at(x, y, **known), table, path)


def _fields(line: str, path: Path, number: int) -> list[str]:
    """Return the values of one line; a quoted value ends on its line, so that it cannot swallow the rows after it."""
    if '"' not in line:
        return line.split(",")
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error as error:
        raise FormatError(f"{path}, line {number}: the quotes of this line are wrong ({error}).") from None


def is_picks_csv(path: Path) -> bool:
    """Return whether the first line of a `.csv` names x and y, as that of picks does."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:  # any line end
            header = [name.strip(' "\n').lower() for name in file.readline(_LONGEST_HEADER).split(",")]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error
    return {"x", "y"} <= set(header)


def write_csv(parts: Sequence[Boxes], path: Path) -> None:
    """Write one micrograph's boxes; what is not known stays empty, and labels have no confidence column."""
    (boxes,) = parts
    columns = {"x": boxes.x, "y": boxes.y, "width": boxes.width, "height": boxes.height}
    if np.isfinite(boxes.confidence).any():
        columns["confidence"] = boxes.confidence
    if np.isfinite(boxes.estimated_width).any():
        columns |= {"estimated_width": boxes.estimated_width, "estimated_height": boxes.estimated_height}
    lines = [",".join(columns)]
    for row in zip(*columns.values(), strict=True):
        lines.append(",".join("" if np.isnan(value) else format_number(value) for value in row))
    write_text_atomically(path, "\n".join(lines) + "\n")
