"""Read and write filaments in CBOX files: segments with `_filamentid`, and the polylines' vertices in a second
block."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vitripick.atomic import write_text_atomically
from vitripick.errors import FormatError, UsageError, parameter
from vitripick.formats.filaments.rows import joined_segments
from vitripick.formats.star.dialect import StarBlock, StarTable, format_star, parse_star
from vitripick.formats.text import parse_numbers, parse_optionals, read_lines
from vitripick.geometry import Filament, Filaments

_NA = "<NA>"
_ID = "filamentid"
_BOXES = (
    *("CoordinateX", "CoordinateY", "CoordinateZ", "Width", "Height", "Depth"),
    *("EstWidth", "EstHeight", "Confidence", "NumBoxes", "Angle", _ID),
)


def read_cbox(path: Path) -> list[Filaments]:
    """Return the filaments of one micrograph: their vertices if the file has them, else through their segments.

    Raises
    ------
    FormatError
        If the file has neither.
    """
    blocks = {block.name: block.as_table() for block in parse_star(read_lines(path), path)}
    if not blocks:
        return [Filaments()]
    boxes = blocks.get("cryolo", StarTable([]))
    from_boxes: dict[str, Filament] = {}
    if _ID in boxes and len(boxes):
        x, y, width, height = (
            parse_numbers(boxes.column(name), boxes.lines, what=f"_{name}", path=path)
            for name in ("CoordinateX", "CoordinateY", "Width", "Height")
        )
        confidence = np.full(len(boxes), np.nan)
        if "Confidence" in boxes:
            confidence = parse_optionals(boxes.column("Confidence"), boxes.lines, what="_Confidence", path=path)
        ids = [_plain(one) for one in boxes.column(_ID)]
        joined = joined_segments(x + width / 2, y + height / 2, ids, width=width, confidence=confidence)
        from_boxes = dict(zip(dict.fromkeys(ids), joined, strict=True))
    vertices = blocks.get("filament_vertices", StarTable([]))
    if len(vertices):
        missing = [name for name in (_ID, "CoordinateX", "CoordinateY") if name not in vertices]
        if missing:
            raise FormatError(f"{path}: data_filament_vertices lacks _{missing[0]}.")
        x, y = (
            parse_numbers(vertices.column(name), vertices.lines, what=f"_{name}", path=path)
            for name in ("CoordinateX", "CoordinateY")
        )
        ids = [_plain(one) for one in vertices.column(_ID)]
        lines = joined_segments(x, y, ids)
        known = {
            one: Filament(line.points, from_boxes[one].width, from_boxes[one].confidence) if one in from_boxes else line
            for one, line in zip(dict.fromkeys(ids), lines, strict=True)
        }
        from_boxes |= known
    elif _ID not in boxes and len(boxes):
        raise FormatError(f"{path}: these boxes have no _{_ID}, so they are particles, not filaments.")
    return [Filaments(list(from_boxes.values()))]


def _plain(text: str) -> str:
    """Return an id as a whole number where it is one: programs write 1, 1.0 and 1.000000."""
    try:
        return str(int(float(text)))
    except (ValueError, OverflowError):
        return text


def write_cbox(parts: Sequence[Filaments], path: Path, *, spacing: float | None) -> None:
    """Write segments as boxes of the filament's width, and the vertices; corners for boxes, centres for vertices.

    Raises
    ------
    UsageError
        If a width is not known.
    """
    (one,) = parts
    if not all(np.isfinite(filament.width) for filament in one):
        raise UsageError(
            f"{path}: a .cbox file holds sizes, and the widths are not known; give {parameter('width_px')}."
        )
    boxes, vertices = StarTable(list(_BOXES)), StarTable([_ID, "CoordinateX", "CoordinateY"])
    typical = float(np.median([filament.width for filament in one])) if len(one) else 1.0
    cut = one.segments(spacing=spacing or typical)
    for x, y, number, angle, width, confidence in zip(
        cut.x, cut.y, cut.filament, cut.angle, cut.width, cut.confidence, strict=True
    ):
        size = f"{width:.6f}"
        score = _NA if np.isnan(confidence) else f"{confidence:.6f}"
        corner = [f"{x - width / 2:.6f}", f"{y - width / 2:.6f}", _NA]
        boxes.rows.append([*corner, size, size, "1", size, size, score, _NA, f"{angle:.6f}", str(number)])
    for index, filament in enumerate(one, start=1):
        vertices.rows += [[str(index), f"{x:.6f}", f"{y:.6f}"] for x, y in filament.points]
    blocks = [
        StarBlock("global", pairs={"cbox_format_version": "1.0"}),
        StarBlock("cryolo", table=boxes),
        StarBlock("filament_vertices", table=vertices),
        StarBlock("cryolo_include", table=StarTable(["slice_index"])),
    ]
    write_text_atomically(path, format_star(blocks))
