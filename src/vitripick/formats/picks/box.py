"""Read and write EMAN1 `.box`: `x y width height` per line, x and y of the corner with the smallest x and y."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vitripick.atomic import write_text_atomically
from vitripick.errors import FormatError, UsageError, parameter
from vitripick.formats.columns import filament_error
from vitripick.formats.text import format_number, parse_number, parse_size, read_lines
from vitripick.geometry import Boxes

# x, y, width and height, and at most two columns of other programs: EMAN1's -3, a score.
_MOST_COLUMNS = 6


def read_box(path: Path) -> list[Boxes]:
    """Return the boxes of an EMAN1 `.box` file; an empty file is a micrograph without particles.

    Two columns after the fourth are ignored (EMAN1's boxer writes -3 there).

    Raises
    ------
    FormatError
        If a line is not one box, or the file holds filaments: start-end pairs (fifth column -1 and -2, EMAN1's boxer)
        or helix files (`#helix:` lines, EMAN2's e2helixboxer).
    """
    rows: list[tuple[float, float, float, float]] = []
    for number, line in enumerate(read_lines(path), start=1):
        fields = line.split()
        if not fields:
            continue
        if line.lstrip().startswith(("#micrograph:", "#segment", "#helix:")):
            raise filament_error(f"{path}, line {number}", "a helix file of EMAN2's e2helixboxer")
        if fields[0].startswith("data_"):
            raise FormatError(f"{path}, line {number}: this is a STAR file; give it the suffix .star or .cbox.")
        if len(fields) < 4:
            raise FormatError(
                f"{path}, line {number}: a .box line needs x, y, width and height, but this one has "
                f"{len(fields)} values: {line.strip()!r}."
            )
        if len(fields) > _MOST_COLUMNS:
            raise FormatError(
                f"{path}, line {number}: this line has {len(fields)} values, and a box has at most "
                f"{_MOST_COLUMNS}, so several boxes seem to share the line; give each its own."
            )
        x, y = (parse_number(f, what=w, path=path, line=number) for f, w in zip(fields[:2], "xy", strict=True))
        width = parse_size(fields[2], what="width", path=path, line=number)
        height = parse_size(fields[3], what="height", path=path, line=number)
        if len(fields) > 4 and fields[4].removesuffix(".0") in ("-1", "-2"):
            raise filament_error(f"{path}, line {number}", "the fifth column marks a start (-1) or an end (-2)")
        rows.append((x + width / 2, y + height / 2, width, height))
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    return [Boxes.at(table[:, 0], table[:, 1], width=table[:, 2], height=table[:, 3])]


def write_box(parts: Sequence[Boxes], path: Path, *, float_coordinates: bool = False) -> None:
    """Write one micrograph's boxes; no boxes give an empty file.

    Some readers take only integers, so sizes and corners are rounded. The corner is rounded once, from the rounded
    size, so a centre moves by half a pixel at most. `float_coordinates` keeps the fractions instead.
    """
    (boxes,) = parts
    if not boxes.has_size:
        raise UsageError(
            f"{path}: a .box file holds the size of every box, and these have none; give {parameter('box_size_px')}."
        )
    width, height = boxes.width, boxes.height
    if not float_coordinates:
        width, height = np.floor(width + 0.5), np.floor(height + 0.5)
    left, top = boxes.x - width / 2, boxes.y - height / 2
    if not float_coordinates:
        # Python's round() rounds halves to even, which would move neighbours apart or together by a pixel. So halves go
        # up.
        left, top = np.floor(left + 0.5), np.floor(top + 0.5)
    lines = ("\t".join(map(format_number, row)) + "\n" for row in zip(left, top, width, height, strict=True))
    write_text_atomically(path, "".join(lines))
