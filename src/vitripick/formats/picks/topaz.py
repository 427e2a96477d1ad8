"""Read and write Topaz's tables: tab-separated `image_name x_coord y_coord [score]`, centres, many micrographs.

Topaz counts in pixels of its input image, which is usually downscaled, so the caller scales back.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vitripick.atomic import write_text_atomically
from vitripick.errors import FormatError, UsageError
from vitripick.formats.columns import Table, refuse_other_than_2d, refuse_twin_columns, split_by_micrograph
from vitripick.formats.names.joined import micrograph_names, refuse_twins
from vitripick.formats.names.stems import base_name_without_suffix
from vitripick.formats.text import format_number, parse_numbers, parse_optionals, read_lines
from vitripick.geometry import Boxes

_NEEDED = ("image_name", "x_coord", "y_coord")


def is_topaz(path: Path, start: str) -> bool:
    """Return whether a file is a table of Topaz, whose header names the image first."""
    return start.lstrip().startswith("image_name\t")


def read_topaz(path: Path) -> list[Boxes]:
    """Return the boxes of each micrograph in the table, in order of first mention, with names as written there.

    Raises
    ------
    FormatError
        If the header is not Topaz's, two columns have one name, a row has another width, or the table holds
        coordinates of tomograms or filaments.
    """
    lines = read_lines(path)
    header = [name.strip() for name in lines[0].strip().split("\t")] if lines else []
    if any(name not in header for name in _NEEDED):
        found = repr(lines[0][:60]) if lines else "an empty file"
        raise FormatError(
            f"{path}: a Topaz table starts with the tab-separated names image_name, x_coord, y_coord, but "
            f"here is {found}."
        )
    refuse_twin_columns(header, path)
    table = Table(header)
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) != len(header):
            raise FormatError(f"{path}, line {number}: {len(fields)} values, but the header names {len(header)}.")
        table.rows.append([field.strip() for field in fields])
        table.lines.append(number)
    if not len(table):
        return [Boxes.empty()]
    refuse_other_than_2d(table, path)
    x, y = (parse_numbers(table.column(name), table.lines, what=name, path=path) for name in ("x_coord", "y_coord"))
    score = table.column("score") if "score" in table else [""] * len(table)
    confidence = parse_optionals(score, table.lines, what="score", path=path)
    return split_by_micrograph(Boxes.at(x, y, confidence=confidence), table, path)


def write_topaz(parts: Sequence[Boxes], path: Path) -> None:
    """Write one table for all micrographs; one without picks has no row.

    Topaz knows a micrograph by its base name without suffix, so two of one base name cannot share a file.

    Raises
    ------
    UsageError
        If a name is missing, is that of another micrograph too, or would break the table.
    """
    names = [base_name_without_suffix(name) for name in micrograph_names(parts, path, "image_name")]
    refuse_twins(names, parts, path)
    for name in names:
        # Readers split rows at these, and strip blanks at both ends.
        if name != name.strip() or any(character in name for character in "\t\n\r"):
            raise UsageError(
                f"{path}: a table of Topaz cannot hold the name {name!r} with its tab, line break or outer blank; "
                "rename the file."
            )
    scored = any(np.isfinite(boxes.confidence).any() for boxes in parts)
    lines = ["\t".join((*_NEEDED, "score") if scored else _NEEDED)]
    for name, boxes in zip(names, parts, strict=True):
        for x, y, score in zip(boxes.x, boxes.y, boxes.confidence, strict=True):
            fields = [name, format_number(x), format_number(y)]
            if scored:
                fields.append("" if np.isnan(score) else format_number(score))
            lines.append("\t".join(fields))
    write_text_atomically(path, "\n".join(lines) + "\n")
