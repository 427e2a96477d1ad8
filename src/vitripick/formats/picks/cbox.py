"""Read and write CBOX 1.0: a STAR file with all boxes above a low floor, their confidences and estimated sizes.

x and y are those of the corner with the smallest x and y; `<NA>` marks every missing value.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vitripick.atomic import write_text_atomically
from vitripick.errors import FormatError, UsageError, parameter
from vitripick.formats.columns import filament_error, refuse_other_than_2d, split_by_micrograph
from vitripick.formats.star.dialect import StarBlock, StarTable, format_star, mentions, parse_star
from vitripick.formats.star.number_rows import format_rows, parse_rows
from vitripick.formats.text import (
    parse_numbers,
    parse_optional_sizes,
    parse_optionals,
    parse_sizes,
    read_file,
    read_lines,
)
from vitripick.geometry import Boxes, FloatArray

_NA = "<NA>"
_CORNER = ("CoordinateX", "CoordinateY", "Width", "Height")
_OPTIONAL = ("Confidence", "EstWidth", "EstHeight")
# All columns of a file that we write.
_WRITTEN = (
    *("CoordinateX", "CoordinateY", "CoordinateZ", "Width", "Height", "Depth"),
    *("EstWidth", "EstHeight", "Confidence", "NumBoxes", "Angle"),
)


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
    own = _read_own(read_file(path))
    if own is not None:
        return [own]
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
    known = {
        "CoordinateX": boxes.x - boxes.width / 2,
        "CoordinateY": boxes.y - boxes.height / 2,
        "Width": boxes.width,
        "Height": boxes.height,
        "EstWidth": boxes.estimated_width,
        "EstHeight": boxes.estimated_height,
        "Confidence": boxes.confidence,
    }
    rows = format_rows([known.get(name, _NA) for name in _WRITTEN], unknown=_NA, keep_minus_zero=True)
    write_text_atomically(path, _text(rows))


def _text(rows: str) -> str:
    """Return the text of a file with these rows of boxes."""
    blocks = [
        StarBlock("global", pairs={"cbox_format_version": "1.0"}),
        StarBlock("cryolo", table=StarTable(list(_WRITTEN)), rows=rows),
        # In a tomogram this lists the slices that a person has labelled; a micrograph has none.
        StarBlock("cryolo_include", table=StarTable(["slice_index"])),
    ]
    return format_star(blocks)


@cache
def _around_rows() -> tuple[bytes, bytes]:
    """Return the text that `write_cbox` writes before and after the rows."""
    before, after = _text("\0").encode().split(b"\0")
    return before, after


def _read_own(data: bytes) -> Boxes | None:
    """Return the boxes of a file that `write_cbox` wrote, four times as fast; None for any other file."""
    before, after = _around_rows()
    if not (data.startswith(before) and data.endswith(after) and len(data) > len(before) + len(after)):
        return None
    rows = parse_rows(data[len(before) : len(data) - len(after)], len(_WRITTEN))
    if rows is None:
        return None
    columns = dict(zip(_WRITTEN, rows.T, strict=True))
    given = np.stack([columns[name] for name in (*_CORNER, *_OPTIONAL)])
    sizes = np.stack([columns[name] for name in (*_CORNER[2:], *_OPTIONAL[1:])])
    # Infinite places, sizes of 0 and depths are left to the reader that names the line.
    others = np.stack([columns[name] for name in _WRITTEN if name not in (*_CORNER, *_OPTIONAL)])
    if not np.isfinite(given[:4]).all() or (sizes <= 0).any() or not np.isnan(others).all():
        return None
    return _from_rows(given.T)


def _from_table(table: StarTable, path: Path) -> Boxes:
    missing = [f"_{label}" for label in _CORNER if label not in table]
    if not table.labels:
        return Boxes.empty()
    if missing:
        raise FormatError(f"{path}: the block data_cryolo has no {', '.join(missing)}, so its boxes have no positions.")
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
                f"width, height, confidence and the estimated sizes in each line, but found {line.strip()[:60]!r}."
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
