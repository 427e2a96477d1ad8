"""Read and write our plain CSV of filaments: `filament,x,y,width[,confidence]`, one vertex per row, x and y of
centres."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vitripick.atomic import write_text_atomically
from vitripick.errors import FormatError
from vitripick.formats.filaments.rows import joined_segments
from vitripick.formats.text import format_number, parse_numbers, parse_optional_sizes, parse_optionals, read_lines
from vitripick.geometry import Filaments

_HEADER = ("filament", "x", "y", "width", "confidence")


def read_csv(path: Path) -> list[Filaments]:
    """Return the filaments of each micrograph; a column `micrograph` splits the table.

    Raises
    ------
    FormatError
        If the first line does not name filament, x and y, or a row has another number of values.
    """
    lines = read_lines(path)
    header = [name.strip().lower() for name in lines[0].split(",")] if lines else []
    missing = [name for name in _HEADER[:3] if name not in header]
    if missing or len(set(header)) < len(header):
        found = repr(lines[0][:60]) if lines else "an empty file"
        raise FormatError(f"{path}: the first line should be 'filament,x,y,width', but here is {found}.")
    rows, numbers = [], []
    for number, line in enumerate(lines[1:], start=2):
        fields = [field.strip() for field in line.split(",")]
        if not any(fields):
            continue
        if len(fields) != len(header):
            raise FormatError(f"{path}, line {number}: {len(fields)} values, but the header names {len(header)}.")
        rows.append(fields)
        numbers.append(number)

    def column(name: str) -> list[str]:
        at = header.index(name)
        return [row[at] for row in rows]

    x, y = (parse_numbers(column(name), numbers, what=name, path=path) for name in ("x", "y"))
    width = confidence = np.full(len(rows), np.nan)
    if "width" in header:
        width = parse_optional_sizes(column("width"), numbers, what="width", path=path)
    if "confidence" in header:
        confidence = parse_optionals(column("confidence"), numbers, what="confidence", path=path)
    names = column("micrograph") if "micrograph" in header else [""] * len(rows)
    ids = column("filament")
    parts = []
    for name in dict.fromkeys(names):
        which = np.array([i for i, other in enumerate(names) if other == name], np.intp)
        filaments = joined_segments(
            x[which], y[which], [ids[i] for i in which], width=width[which], confidence=confidence[which]
        )
        parts.append(Filaments(filaments, name or None))
    return parts or [Filaments()]


def write_csv(parts: Sequence[Filaments], path: Path, *, spacing: float | None) -> None:
    """Write the vertices of one micrograph's filaments, or points `spacing` pixels apart."""
    (one,) = parts
    known = any(np.isfinite(filament.confidence) for filament in one)
    lines = [",".join(_HEADER if known else _HEADER[:4])]
    for number, filament in enumerate(one, start=1):
        line = filament if spacing is None else filament.resampled(spacing)
        rest = [filament.width, filament.confidence] if known else [filament.width]
        texts = ["" if np.isnan(value) else format_number(value) for value in rest]
        lines += [",".join([str(number), format_number(x), format_number(y), *texts]) for x, y in line.points]
    write_text_atomically(path, "\n".join(lines) + "\n")
