"""Read and write our plain CSV, for scripts and spreadsheets; x and y are those of the centre.

`x,y,width,height[,confidence[,estimated_width,estimated_height]]`: the last two are the size the network saw.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vitripick.atomic import write_text_atomically
from vitripick.errors import FormatError, InputError
from vitripick.formats.text import format_number, parse_number, parse_optional, read_lines
from vitripick.geometry import Boxes

_OPTIONAL = ("width", "height", "confidence", "estimated_width", "estimated_height")


def read_csv(path: Path) -> list[Boxes]:
    """Return the boxes of one micrograph, from columns by name; an empty size or confidence is unknown."""
    lines = read_lines(path)
    reader = csv.reader(lines)
    header = [name.strip().lower() for name in next(reader, [])]
    missing = [name for name in ("x", "y") if name not in header]
    if missing:
        found = repr(lines[0][:60]) if lines else "an empty file"
        raise FormatError(
            f"{path}: the first line should be 'x,y,width,height' or 'x,y,width,height,confidence', with "
            f"commas, but here is {found}."
        )
    rows: list[list[float]] = []
    for fields in reader:
        if not fields or fields == [""]:
            continue
        number = reader.line_num
        if len(fields) != len(header):
            raise FormatError(f"{path}, line {number}: {len(fields)} values, but the header names {len(header)}.")
        named = dict(zip(header, fields, strict=True))
        row = [parse_number(named[name], what=name, path=path, line=number) for name in ("x", "y")]
        for name in _OPTIONAL:
            row.append(parse_optional(named.get(name, ""), what=name, path=path, line=number))
        if row[2] <= 0 or row[3] <= 0:
            raise FormatError(f"{path}, line {number}: width and height should be above zero.")
        rows.append(row)
    table = np.array(rows, dtype=np.float64).reshape(-1, 2 + len(_OPTIONAL)).T
    return [Boxes.at(table[0], table[1], **dict(zip(_OPTIONAL, table[2:], strict=True)))]


def is_picks_csv(path: Path) -> bool:
    """Return whether the first line of a `.csv` names x and y, as that of picks does."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            header = [name.strip().lower() for name in next(csv.reader([file.readline()]), [])]
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
