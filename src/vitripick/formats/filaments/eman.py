"""Read and write filaments in EMAN's `.box` files: start-end pairs (fifth column -1 and -2), helix files of
e2helixboxer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vitripick.atomic import write_text_atomically
from vitripick.errors import FormatError, UsageError, parameter
from vitripick.formats.filaments.rows import straight_pieces
from vitripick.formats.text import format_number, parse_number, parse_size, read_lines
from vitripick.geometry import Filament, Filaments

_HELIX = re.compile(r"#helix:\s*\(\s*([^,()]+),\s*([^,()]+)\),\s*\(\s*([^,()]+),\s*([^,()]+)\),\s*(\S+)\s*$")


def read_eman(path: Path) -> list[Filaments]:
    """Return the filaments of one micrograph, from a helix file or from start-end pairs.

    Raises
    ------
    FormatError
        If a line is neither, or a start has no end.
    """
    lines = read_lines(path)
    if any(line.lstrip().startswith("#helix:") for line in lines):
        return [_read_helices(lines, path)]
    found: list[Filament] = []
    start: tuple[float, float] | None = None
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        mark = fields[4].removesuffix(".0") if len(fields) > 4 else ""
        if mark not in ("-1", "-2"):
            raise FormatError(
                f"{path}, line {number}: a filament's start has -1 and its end -2 in the fifth column, but this line "
                f"has {mark or 'none'}; give a file of filaments."
            )
        x, y = (parse_number(f, what=w, path=path, line=number) for f, w in zip(fields[:2], "xy", strict=True))
        width, height = (parse_size(field, what="size", path=path, line=number) for field in fields[2:4])
        place = (x + width / 2, y + height / 2)
        if (mark == "-1") != (start is None):
            raise FormatError(f"{path}, line {number}: a start (-1) and an end (-2) should follow each other in turn.")
        if start is None:
            start = place
        else:
            if start != place:
                found.append(Filament.through([start, place], width=width))
            start = None
    if start is not None:
        raise FormatError(f"{path}: the last filament has a start (-1), but no end (-2).")
    return [Filaments(found)]


def _read_helices(lines: Sequence[str], path: Path) -> Filaments:
    found: list[Filament] = []
    name: str | None = None
    ends: list[tuple[float, float]] = []
    points: list[tuple[float, float]] = []
    width = float("nan")

    def finish() -> None:
        path_of = points if len(set(points)) > 1 else ends
        if len(set(path_of)) > 1:
            found.append(Filament.through(path_of, width=width))

    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if text.startswith("#micrograph:"):
            name = text.partition(":")[2].strip() or None
        elif text.startswith("#helix:"):
            finish()
            match = _HELIX.match(text)
            if match is None:
                raise FormatError(
                    f"{path}, line {number}: a helix is '#helix: (x1, y1),(x2, y2),width', but found {text[:60]!r}."
                )
            values = [parse_number(field, what="a helix", path=path, line=number) for field in match.groups()]
            ends, points, width = [(values[0], values[1]), (values[2], values[3])], [], values[4]
        elif text and not text.startswith("#"):
            fields = text.split()
            if len(fields) < 2 or not ends:
                raise FormatError(f"{path}, line {number}: expected 'x y' of a segment, but found {text[:60]!r}.")
            x, y = (parse_number(f, what=w, path=path, line=number) for f, w in zip(fields[:2], "xy", strict=True))
            points.append((x, y))
    finish()
    return Filaments(found, name)


def write_helix_box(parts: Sequence[Filaments], path: Path, *, spacing: float | None) -> None:
    """Write a helix file: the ends of each filament, then its segments; both are centres."""
    (one,) = parts
    widths = _widths(one, path)
    typical = float(np.median(widths)) if len(widths) else 0.0
    size = format_number(round(typical))
    lines = [f"#micrograph: {one.micrograph or 'unknown'}", f"#segment length: {size}", f"#segment width: {size}"]
    for filament, width in zip(one, widths, strict=True):
        line = filament if spacing is None else filament.resampled(spacing)
        first, last = (f"({x:.6g}, {y:.6g})" for x, y in line.points[[0, -1]])
        lines.append(f"#helix: {first},{last},{format_number(width)}")
        lines += [f"{format_number(x)}\t{format_number(y)}" for x, y in line.points]
    write_text_atomically(path, "\n".join(lines) + "\n")


def write_ends_box(parts: Sequence[Filaments], path: Path, *, spacing: float | None) -> None:
    """Write start-end pairs as boxes of the filament's width; a bent filament is several straight ones."""
    (one,) = parts
    _widths(one, path)
    lines = []
    for start, end, width in straight_pieces(one):
        size = max(1, int(np.floor(width + 0.5)))
        for (x, y), mark in ((start, -1), (end, -2)):
            left, top = (int(np.floor(at - size / 2 + 0.5)) for at in (x, y))
            lines.append(f"{left}\t{top}\t{size}\t{size}\t{mark}")
    write_text_atomically(path, "".join(line + "\n" for line in lines))


def _widths(one: Filaments, path: Path) -> list[float]:
    widths = [filament.width for filament in one]
    if not np.isfinite(widths).all():
        raise UsageError(f"{path}: a .box file holds widths, and these are not known; give {parameter('width_px')}.")
    return widths
