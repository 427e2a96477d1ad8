"""Read and write filaments in RELION's STAR files: segments with priors, as Extract takes them, and start-end pairs.

RELION counts psi clockwise: it is minus the angle from x towards y (`helix.cpp` of RELION 3.1 and 5.0). A segment's
track length is in Å since 3.1, and was in pixels before.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vitripick.atomic import write_text_atomically
from vitripick.errors import FormatError, UsageError, parameter
from vitripick.formats.filaments.rows import joined_segments, straight_pieces
from vitripick.formats.star.dialect import StarBlock, StarTable, format_star, parse_star
from vitripick.formats.star.number_rows import format_rows
from vitripick.formats.text import parse_numbers, parse_optionals, read_lines
from vitripick.geometry import Filament, Filaments

_X, _Y, _TUBE, _SCORE = "rlnCoordinateX", "rlnCoordinateY", "rlnHelicalTubeID", "rlnAutopickFigureOfMerit"
_TILT, _PSI, _FLIP = "rlnAngleTiltPrior", "rlnAnglePsiPrior", "rlnAnglePsiFlipRatio"
_TRACK, _TRACK_PX, _NAME = "rlnHelicalTrackLengthAngst", "rlnHelicalTrackLength", "rlnMicrographName"
_COLUMNS = [_X, _Y, _TUBE, _TILT, _PSI, _TRACK, _FLIP, _SCORE]
_VERSION = "30001"
_UNKNOWN = -999.0


def read_relion(path: Path) -> list[Filaments]:
    """Return the filaments of each micrograph: of segments with tube ids, or of start-end pairs without them.

    Raises
    ------
    FormatError
        If there is no table of coordinates, or one without tube ids has an odd number of rows.
    """
    tables = [block.as_table() for block in parse_star(read_lines(path), path)]
    found = [table for table in tables if _X in table and _Y in table]
    if not found:
        if not tables:
            return [Filaments()]
        raise FormatError(f"{path}: no table here has _{_X} and _{_Y}, so it holds no filaments.")
    table = found[0]
    x, y = (parse_numbers(table.column(name), table.lines, what=f"_{name}", path=path) for name in (_X, _Y))
    names = table.column(_NAME) if _NAME in table else [""] * len(table)
    score = np.full(len(table), np.nan)
    if _SCORE in table:
        score = parse_optionals(table.column(_SCORE), table.lines, what=f"_{_SCORE}", path=path)
        score[score == _UNKNOWN] = np.nan
    track = None
    for label in (_TRACK, _TRACK_PX):
        if label in table:
            track = parse_numbers(table.column(label), table.lines, what=f"_{label}", path=path)
            break
    result = []
    for name in dict.fromkeys(names):
        rows = np.array([i for i, other in enumerate(names) if other == name], np.intp)
        if _TUBE in table:
            tubes = table.column(_TUBE)
            filaments = joined_segments(
                x[rows],
                y[rows],
                [tubes[i] for i in rows],
                track=None if track is None else track[rows],
                confidence=score[rows],
            )
        else:
            if len(rows) % 2:
                raise FormatError(
                    f"{path}: start-end pairs of filaments are two rows each, but there are {len(rows)} rows "
                    f"and no _{_TUBE}; give segments with tube ids, or pairs."
                )
            filaments = [
                Filament.through([(x[a], y[a]), (x[b], y[b])])
                for a, b in zip(rows[::2], rows[1::2], strict=True)
                if (x[a], y[a]) != (x[b], y[b])
            ]
        result.append(Filaments(filaments, name or None))
    return result or [Filaments()]


def write_relion(parts: Sequence[Filaments], path: Path, *, spacing: float | None) -> None:
    """Write the segments of one micrograph with tube ids, priors and track lengths.

    Raises
    ------
    UsageError
        If the pixel size is not known, which the track length needs, or no spacing is given.
    """
    (one,) = parts
    if spacing is None:
        raise UsageError(f"{path}: RELION takes segments; give {parameter('spacing_angstrom')}.")
    if one.pixel_size is None:
        raise UsageError(
            f"{path}: RELION's track lengths are in Å, and the pixel size is not known; give {parameter('pixel_size')}."
        )
    cut = one.segments(spacing=spacing)
    inside = (cut.x >= 0) & (cut.y >= 0)
    if one.shape is not None:
        # RELION's Extract stops at a centre outside the micrograph.
        inside &= (cut.x < one.shape[1]) & (cut.y < one.shape[0])
    n = int(inside.sum())
    psi = -np.rad2deg(cut.angle[inside])
    columns = [
        *(cut.x[inside], cut.y[inside], cut.filament[inside].astype(np.float64)),
        *(np.full(n, 90.0), psi, cut.track[inside] * one.pixel_size, np.full(n, 0.5)),
        np.nan_to_num(cut.confidence[inside], nan=_UNKNOWN),
    ]
    rows = format_rows(columns)
    # Tube ids are whole numbers.
    lines = [line.split(" ") for line in rows.splitlines()]
    table = StarTable(list(_COLUMNS))
    table.rows += [[*line[:2], str(int(float(line[2]))), *line[3:]] for line in lines]
    write_text_atomically(path, format_star([StarBlock("", table=table)], version=_VERSION))


def write_relion_ends(parts: Sequence[Filaments], path: Path, *, spacing: float | None) -> None:
    """Write start-end pairs, two rows each, as RELION's ManualPick does; a bent filament is several straight ones."""
    (one,) = parts
    table = StarTable([_X, _Y])
    for start, end, _ in straight_pieces(one):
        table.rows += [[f"{x:.6f}", f"{y:.6f}"] for x, y in (start, end)]
    write_text_atomically(path, format_star([StarBlock("", table=table)], version=_VERSION))
