"""Read and write filaments in cryoSPARC's `.cs`: segments with the fields `filament/…`. Not tried with a live
cryoSPARC.

The fields are those that cryosparc-tools documents. Programs that convert such files for RELION take psi as minus the
pose (in rad) and keep y. So the pose is the direction from x towards y.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vitripick.atomic import write_bytes_atomically
from vitripick.errors import FormatError, UsageError, parameter
from vitripick.formats.filaments.rows import joined_segments
from vitripick.formats.picks.cs_table import float_column, load_cs
from vitripick.geometry import Filaments

_X, _Y = "location/center_x_frac", "location/center_y_frac"
_SHAPE, _PATH = "location/micrograph_shape", "location/micrograph_path"
_UID, _POSE, _POSITION = "filament/filament_uid", "filament/filament_pose", "filament/position_A"
_ARC, _STEP, _SCORE = "filament/arc_length_A", "filament/inter_box_dist_A", "pick_stats/ncc_score"


def read_cs(path: Path) -> list[Filaments]:
    """Return the filaments of each micrograph.

    Raises
    ------
    FormatError
        If the table lacks places or filament ids.
    """
    rows = load_cs(path)
    names = rows.dtype.names or ()
    missing = [name for name in (_X, _Y, _SHAPE, _PATH, _UID) if name not in names]
    if missing:
        raise FormatError(f"{path}: this .cs file has no {', '.join(missing)}, so it holds no filaments.")
    x, y = float_column(rows, _X, path), float_column(rows, _Y, path)
    track = float_column(rows, _POSITION, path) if _POSITION in names else None
    score = float_column(rows, _SCORE, path) if _SCORE in names else None
    found = []
    paths = rows[_PATH].tolist()
    for raw in dict.fromkeys(paths):
        which = np.array([i for i, other in enumerate(paths) if other == raw], np.intp)
        n_rows, n_columns = (int(n) for n in rows[_SHAPE][which[0]])
        if n_rows <= 0 or n_columns <= 0:
            raise FormatError(f"{path}: {_SHAPE} should be above zero.")
        filaments = joined_segments(
            x[which] * n_columns,
            y[which] * n_rows,
            [str(one) for one in rows[_UID][which].tolist()],
            track=None if track is None else track[which],
            confidence=None if score is None else score[which],
        )
        name = raw.decode("utf-8", errors="replace") if isinstance(raw, bytes) else raw
        found.append(Filaments(filaments, name or None, (n_rows, n_columns)))
    return found or [Filaments()]


def write_cs(parts: Sequence[Filaments], path: Path, *, spacing: float | None) -> None:
    """Write the segments of all micrographs in one file.

    Raises
    ------
    UsageError
        If a name, a shape, a pixel size or the spacing is not known.
    """
    if spacing is None:
        raise UsageError(f"{path}: cryoSPARC takes segments; give {parameter('spacing_angstrom')}.")
    for one in parts:
        if one.micrograph is None or one.shape is None or one.pixel_size is None:
            raise UsageError(f"{path}: a .cs file needs the name, the shape and the pixel size of each micrograph.")
    longest = max((len((one.micrograph or "").encode()) for one in parts), default=1)
    fields: list[Any] = [
        *(("uid", "<u8"), ("location/exp_group_id", "<u4"), (_PATH, f"S{max(longest, 1)}"), (_SHAPE, "<u4", (2,))),
        *((_X, "<f4"), (_Y, "<f4"), (_UID, "<u8"), (_POSE, "<f4"), (_POSITION, "<f4"), (_ARC, "<f4"), (_STEP, "<f4")),
        *((_SCORE, "<f4"), ("pick_stats/power", "<f4")),
    ]
    tables, first = [], 1
    for number, one in enumerate(parts):
        assert one.shape is not None
        assert one.pixel_size is not None
        cut = one.segments(spacing=spacing)
        table = np.zeros(len(cut), np.dtype(fields))
        table["uid"] = first + np.arange(len(cut))
        first += len(cut)
        table["location/exp_group_id"] = 1
        table[_PATH], table[_SHAPE] = (one.micrograph or "").encode(), one.shape
        table[_X], table[_Y] = cut.x / one.shape[1], cut.y / one.shape[0]
        table[_UID] = cut.filament + (number + 1) * 1_000_000
        table[_POSE] = cut.angle
        table[_POSITION] = cut.track * one.pixel_size
        lengths = np.array([filament.length for filament in one], np.float64)
        table[_ARC] = lengths[cut.filament - 1] * one.pixel_size
        table[_STEP] = spacing * one.pixel_size
        table[_SCORE] = table["pick_stats/power"] = np.nan_to_num(cut.confidence, nan=1.0)
        tables.append(table)
    buffer = io.BytesIO()
    np.save(buffer, np.concatenate(tables) if tables else np.zeros(0, np.dtype(fields)), allow_pickle=False)
    write_bytes_atomically(path, buffer.getvalue())
