"""Read and write cryoSPARC `.cs`: a NumPy structured array, one row per particle, positions as fractions.

The fields are those that cryosparc-tools 4 documents; places are fractions of the micrograph. This was not tried with
a live cryoSPARC. Whether y counts from the first or the last row there is open, so the caller can flip.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vitripick.atomic import write_bytes_atomically
from vitripick.errors import FormatError, UsageError, parameter
from vitripick.formats.columns import filament_error, is_filament_column, tomogram_error, warn_of_nameless
from vitripick.formats.inside import keep_inside
from vitripick.formats.names.joined import micrograph_names
from vitripick.formats.names.stems import cryosparc_uid
from vitripick.formats.picks.cs_table import (
    cs_alignment,
    float_column,
    join_passthrough,
    load_cs,
    micrograph_pixel_sizes,
)
from vitripick.geometry import Boxes

_X, _Y = "location/center_x_frac", "location/center_y_frac"
_Z = "location/center_z_frac"
_SHAPE, _PATH = "location/micrograph_shape", "location/micrograph_path"
_PLACE = (_X, _Y, _SHAPE, _PATH)
_SCORE, _POWER = "pick_stats/ncc_score", "pick_stats/power"


def read_cs(path: Path) -> list[Boxes]:
    """Return the boxes of each micrograph in the file, in order of first mention, with its path and shape.

    Rows that name no micrograph are left out with a warning. A job of cryoSPARC may write its results and the positions
    into two files; then the positions are read from the passthrough next to the file, by the particles' ids. Shifts and
    classes are returned in `Boxes.alignment`; the centres are those of the file.

    Raises
    ------
    FormatError
        If the file is not a table of places in micrographs, a place is not a number, or the rows belong to filaments.
    """
    rows = load_cs(path)
    names = rows.dtype.names or ()
    missing = [name for name in _PLACE if name not in names]
    if missing:
        joined = join_passthrough(rows, path, _PLACE)
        if joined is not None:
            return _boxes_of(joined, path)
        raise FormatError(
            f"{path}: this .cs file has no {', '.join(missing)}, so it gives no positions in "
            "micrographs, and no passthrough next to it does; give the file of a picking job or its passthrough."
        )
    return _boxes_of(rows, path)


def _boxes_of(rows: npt.NDArray[Any], path: Path) -> list[Boxes]:
    """Return the boxes of a table that has positions."""
    names = rows.dtype.names or ()
    if _Z in names and len(rows):
        raise tomogram_error(path, f"column {_Z}")
    filaments = [name for name in names if is_filament_column(name)]
    if filaments and len(rows):
        raise filament_error(path, f"column {filaments[0]}")
    if (
        rows.dtype[_PATH].kind not in "SU"
        or rows.dtype[_SHAPE].shape != (2,)
        or rows.dtype[_SHAPE].base.kind not in "iu"
    ):
        raise FormatError(f"{path}: {_PATH} should hold text, and {_SHAPE} two whole numbers in each row.")
    x, y = float_column(rows, _X, path), float_column(rows, _Y, path)
    score = float_column(rows, _SCORE, path) if _SCORE in names else np.full(len(rows), np.nan)
    index_of: dict[bytes | str, int] = {}
    group = np.array([index_of.setdefault(raw, len(index_of)) for raw in rows[_PATH].tolist()], np.intp)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(len(index_of) + 1))
    shapes = rows[_SHAPE].astype(np.int64)
    alignment, pixel_sizes = cs_alignment(rows, path), micrograph_pixel_sizes(rows, path)
    parts = []
    for raw, number in index_of.items():
        which = order[starts[number] : starts[number + 1]]
        if not raw:
            warn_of_nameless(path, len(which), len(rows), f"first in row {which[0] + 1}")
            continue
        n_rows, n_columns = (int(n) for n in shapes[which[0]])
        if n_rows <= 0 or n_columns <= 0 or (shapes[which] != shapes[which[0]]).any():
            raise FormatError(f"{path}: {_text(raw)} should have one shape above zero in {_SHAPE}.")
        if not (np.isfinite(x[which]).all() and np.isfinite(y[which]).all()):
            raise FormatError(f"{path}: a particle of {_text(raw)} has a position that is not a number.")
        boxes = Boxes.at(
            x[which] * n_columns,
            y[which] * n_rows,
            confidence=score[which],
            micrograph=_text(raw),
            shape=(n_rows, n_columns),
            pixel_size=pixel_sizes[which[0]],
        )
        parts.append(dataclasses.replace(boxes, alignment=None if alignment is None else alignment[which]))
    if not parts and len(rows):
        raise FormatError(
            f"{path}: no row names its micrograph ({_PATH} is empty); give the passthrough file of the job."
        )
    return parts or [Boxes.empty()]


def write_cs(parts: Sequence[Boxes], path: Path, *, micrograph_uids: Sequence[int | None] | None = None) -> None:
    """Write all micrographs' picks in one file.

    The confidence goes into `ncc_score` and `power`, because Inspect Picks filters on both. Ids are hashes of the
    micrograph's name and the pick's number, so that the same picks give the same file. `micrograph_uids` are those of
    cryoSPARC, if they are known.
    """
    names = micrograph_names(parts, path, _PATH)
    for boxes in parts:
        if boxes.shape is None:
            raise UsageError(
                f"{path}: a .cs file holds positions as fractions of the micrograph's size, and the size of "
                f"{boxes.micrograph} is not known; give {parameter('Boxes.shape')}."
            )
    parts = [keep_inside(boxes, path) for boxes in parts]
    longest = max((len(name.encode()) for name in names), default=1)
    fields: list[Any] = [
        ("uid", "<u8"),
        ("location/micrograph_uid", "<u8"),
        ("location/exp_group_id", "<u4"),
        (_PATH, f"S{longest}"),
        (_SHAPE, "<u4", (2,)),
        (_X, "<f4"),
        (_Y, "<f4"),
        ("location/min_dist_A", "<f4"),
    ]
    # Labels have no confidence, and cryoSPARC would filter a NaN away, so the fields are left out.
    has_score = not any(map(len, parts)) or any(np.isfinite(boxes.confidence).any() for boxes in parts)
    if has_score:
        fields += [(_SCORE, "<f4"), (_POWER, "<f4")]
    dtype = np.dtype(fields)
    rows = np.zeros(sum(map(len, parts)), dtype=dtype)
    start = 0
    for name, boxes, uid in zip(names, parts, micrograph_uids or [None] * len(parts), strict=True):
        assert boxes.shape is not None
        some = rows[start : start + len(boxes)]
        start += len(boxes)
        some["uid"] = [_hash(f"{name}\n{i}") for i in range(len(boxes))]
        some["location/micrograph_uid"] = uid or cryosparc_uid(name) or _hash(name)
        some["location/exp_group_id"] = 1
        some[_PATH] = name.encode()
        some[_SHAPE] = boxes.shape
        some[_X] = boxes.x / boxes.shape[1]
        some[_Y] = boxes.y / boxes.shape[0]
        if has_score:
            some[_SCORE] = some[_POWER] = boxes.confidence
    buffer = io.BytesIO()
    np.save(buffer, rows, allow_pickle=False)
    write_bytes_atomically(path, buffer.getvalue())


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") or 1


def _text(raw: bytes | str) -> str:
    return raw.decode("utf-8", errors="replace") if isinstance(raw, bytes) else raw
