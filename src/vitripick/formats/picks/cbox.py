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
from vitripick.formats.columns import filament_error, refuse_other_than_2d, split_by_micrograph
from vitripick.formats.star.dialect import StarBlock, StarTable, format_star, mentions, parse_star, table_of
from vitripick.formats.text import parse_numbers, parse_optional_sizes, parse_optionals, parse_sizes, read_lines
from vitripick.geometry import Boxes, FloatArray

_NA = "<NA>"
_CORNER = ("CoordinateX", "CoordinateY", "Width", "Height")
_OPTIONAL = ("Confidence", "EstWidth", "EstHeight")


def is_cbox(path: Path, start: str) -> bool:
    """Return whether a file is a CBOX file, by its suffix or by the block that its program writes."""
    return path.suffix.lower() == ".cbox" or mentions(path, start, ("data_cryolo",))


def read_cbox(path: Path) -> list[Boxes]:
    """Return the boxes of one micrograph, or of several if a column names them.

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
        return [_from_table(_read_headerless(lines, path), path)]
    blocks = {block.name: block for block in parse_star(lines, path)}
    if "cryolo" not in blocks:
        raise FormatError(
            f"{path}: a .cbox file has its boxes in a block data_cryolo, but the blocks here are "
            f"{', '.join('data_' + name for name in blocks)}."
        )
    vertices = blocks.get("filament_vertices")
    if vertices is not None and len(vertices.as_table()):
        raise filament_error(path, "data_filament_vertices")
    table = blocks["cryolo"].as_table()
    return split_by_micrograph(_from_table(table, path), table, path)


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
    if not table.labels:
        return Boxes.empty()
    if missing:
        raise FormatError(f"{path}: the block data_cryolo has no {', '.join(missing)}, so its boxes have no place.")
    refuse_other_than_2d(table, path)
    columns: list[FloatArray] = []
    for label in _CORNER:
        parse = parse_numbers if label in _CORNER[:2] else parse_sizes
        columns.append(parse(table.column(label), table.lines, what=f"_{label}", path=path))
    for label in _OPTIONAL:
        parse = parse_optionals if label == "Confidence" else parse_optional_sizes
        fields = table.column(label) if label in table else [_NA] * len(table)
        columns.append(parse(fields, table.lines, what=f"_{label}", path=path))
    return _from_rows(np.array(columns).T)


def _read_headerless(lines: Sequence[str], path: Path) -> StarTable:
    table = StarTable([*_CORNER, *_OPTIONAL])
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields:
            continue
        if not 4 <= len(fields) <= len(table.labels):
            raise FormatError(
                f"{path}, line {number}: a .cbox file is a STAR file with a block data_cryolo, or has x, y, "
                f"width, height, confidence and the estimated sizes in each line, but here is {line.strip()[:60]!r}."
            )
        table.rows.append([*fields, _NA, _NA, _NA][: len(table.labels)])
        table.lines.append(number)
    return table


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


def _column(values: FloatArray) -> list[str]:
    return [f"{value:.6f}" if value == value else _NA for value in values.tolist()]  # NaN differs from itself
