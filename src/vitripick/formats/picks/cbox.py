"""Read and write CBOX 1.0: a STAR file with all boxes above a low floor, their confidences and estimated sizes.

x and y are those of the corner with the smallest x and y; `<NA>` stands for every missing value.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vitripick.atomic import write_text_atomically
from vitripick.errors import FormatError, UsageError, parameter
from vitripick.formats.star.dialect import StarBlock, StarTable, format_star, parse_star, table_of
from vitripick.formats.text import parse_number, parse_optional, parse_size, read_lines
from vitripick.geometry import Boxes, FloatArray

_NA = "<NA>"
_CORNER = ("CoordinateX", "CoordinateY", "Width", "Height")
_OPTIONAL = ("Confidence", "EstWidth", "EstHeight")


def is_cbox(path: Path, start: str) -> bool:
    """Return whether a file is a CBOX file, by its suffix or by the block that its program writes."""
    return path.suffix.lower() == ".cbox" or "data_cryolo" in start


def read_cbox(path: Path) -> list[Boxes]:
    """Return the boxes of one micrograph.

    This reads version 1.0, files without some of its columns, files of zero bytes, and the oldest variant, which has no
    header: tab-separated `x y width height confidence estimated_width estimated_height`.

    Raises
    ------
    FormatError
        If the file is not CBOX, or does not hold 2-D particles but boxes of a tomogram (Z is a number other than 0) or
        filaments.
    """
    lines = read_lines(path)
    if not any(line.strip() for line in lines):
        return [Boxes.empty()]
    if not any(line.startswith("data_") for line in lines):
        return [_read_headerless(lines, path)]
    blocks = {block.name: block for block in parse_star(lines, path)}
    if "cryolo" not in blocks:
        raise FormatError(
            f"{path}: a .cbox file has its boxes in a block data_cryolo, but the blocks here are "
            f"{', '.join('data_' + name for name in blocks)}."
        )
    vertices = blocks.get("filament_vertices")
    if vertices is not None and len(vertices.as_table()):
        raise FormatError(f"{path}: this file holds filaments (data_filament_vertices); they are not supported.")
    return [_from_table(blocks["cryolo"].as_table(), path)]


def write_cbox(parts: Sequence[Boxes], path: Path) -> None:
    """Write all boxes of one micrograph, because the reader of the file chooses the threshold."""
    (boxes,) = parts
    if not boxes.has_size:
        raise UsageError(
            f"{path}: a .cbox file holds the size of every box, and these have none; give {parameter('box_size_px')}."
        )
    unknown = [_NA] * len(boxes)
    table = table_of(
        {
            "CoordinateX": _column(boxes.x - boxes.width / 2),
            "CoordinateY": _column(boxes.y - boxes.height / 2),
            "CoordinateZ": unknown,
            "Width": _column(boxes.width),
            "Height": _column(boxes.height),
            "Depth": unknown,
            "EstWidth": _column(boxes.estimated_width),
            "EstHeight": _column(boxes.estimated_height),
            "Confidence": _column(boxes.confidence),
            "NumBoxes": unknown,
            "Angle": unknown,
        }
    )
    blocks = [
        StarBlock("global", pairs={"cbox_format_version": "1.0"}),
        StarBlock("cryolo", table=table),
        # In a tomogram this lists the slices that a person has worked through; a micrograph has none.
        StarBlock("cryolo_include", table=StarTable(["slice_index"])),
    ]
    write_text_atomically(path, format_star(blocks))


def _from_table(table: StarTable, path: Path) -> Boxes:
    missing = [f"_{label}" for label in _CORNER if label not in table]
    if missing and table.labels:
        raise FormatError(f"{path}: the block data_cryolo has no {', '.join(missing)}, so its boxes have no place.")
    plain = _plain_columns(table)
    if plain is not None:
        return _from_rows(plain)
    at = {label: table.labels.index(label) for label in table.labels}
    rows: list[list[float]] = []
    for fields, line in zip(table.rows, table.lines, strict=True):
        _refuse_what_is_not_2d(fields, at, path, line)
        row = [parse_number(fields[at[label]], what=f"_{label}", path=path, line=line) for label in _CORNER[:2]]
        row += [parse_size(fields[at[label]], what=f"_{label}", path=path, line=line) for label in _CORNER[2:]]
        for label in _OPTIONAL:
            field = fields[at[label]] if label in at else _NA
            row.append(parse_optional(field, what=f"_{label}", path=path, line=line))
        rows.append(row)
    return _from_rows(rows)


def _plain_columns(table: StarTable) -> npt.NDArray[np.float64] | None:
    """Return rows as `_from_rows` takes them, for files such as ours; None for files to be read line by line."""
    if not table.rows or any(label not in table for label in (*_CORNER, *_OPTIONAL)) or "filamentid" in table:
        return None
    if "CoordinateZ" in table and set(table.column("CoordinateZ")) != {_NA}:
        return None
    columns = [table.column(label) for label in (*_CORNER, *_OPTIONAL)]
    try:
        # A column of a file such as ours is known in every row or in none.
        numbers = [[np.nan] * len(c) if set(c) == {_NA} else [float(field) for field in c] for c in columns]
    except ValueError:
        return None
    rows = np.array(numbers).T
    known = ~np.isnan(rows).all(axis=0)
    if not (np.isfinite(rows[:, known]).all() and known[:4].all() and (rows[:, 2:4] > 0).all()):
        return None
    return rows


def _read_headerless(lines: Sequence[str], path: Path) -> Boxes:
    rows: list[list[float]] = []
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) < 4:
            raise FormatError(
                f"{path}, line {number}: a .cbox file is a STAR file with a block data_cryolo, or has x, y, "
                f"width, height, confidence and the estimated sizes in each line, but here is {line.strip()[:60]!r}."
            )
        row = [parse_number(f, what=w, path=path, line=number) for f, w in zip(fields[:2], "xy", strict=True)]
        row += [parse_size(f, what="width or height", path=path, line=number) for f in fields[2:4]]
        optional = [*fields[4:7], _NA, _NA, _NA][:3]
        row += [parse_optional(f, what=w, path=path, line=number) for f, w in zip(optional, _OPTIONAL, strict=True)]
        rows.append(row)
    return _from_rows(rows)


def _from_rows(rows: npt.ArrayLike) -> Boxes:
    """Return boxes from rows of corner x and y, width, height, confidence, estimated width and height."""
    table = np.array(rows, dtype=np.float64).reshape(-1, 7)
    left, top, width, height, confidence, estimated_width, estimated_height = table.T
    return Boxes.at(
        left + width / 2,
        top + height / 2,
        width=width,
        height=height,
        confidence=confidence,
        estimated_width=estimated_width,
        estimated_height=estimated_height,
    )


def _refuse_what_is_not_2d(fields: list[str], at: dict[str, int], path: Path, line: int) -> None:
    if "CoordinateZ" in at:
        z = parse_optional(fields[at["CoordinateZ"]], what="_CoordinateZ", path=path, line=line)
        if z != 0 and not np.isnan(z):
            raise FormatError(
                f"{path}, line {line}: this box lies in slice {z:g} of a tomogram; only 2-D is supported."
            )
    if "filamentid" in at:
        filament = parse_optional(fields[at["filamentid"]], what="_filamentid", path=path, line=line)
        if not np.isnan(filament):
            raise FormatError(
                f"{path}, line {line}: this box belongs to filament {filament:g}; filaments are not supported."
            )


def _column(values: FloatArray) -> list[str]:
    return [f"{value:.6f}" if value == value else _NA for value in values.tolist()]  # NaN differs from itself
