"""Read and write EMAN2 `info/<micrograph>_info.json`: key `boxes`, a list of `[x_centre, y_centre, mode]`."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vitripick.atomic import write_text_atomically
from vitripick.errors import FormatError
from vitripick.formats.columns import filament_error, tomogram_error
from vitripick.formats.text import read_file
from vitripick.geometry import Boxes
from vitripick.json_toml import parse_json


def read_eman2(path: Path) -> list[Boxes]:
    """Return the centres of an EMAN2 info file; it holds neither sizes nor confidences.

    Raises
    ------
    FormatError
        If the file has no list of 2-D boxes, has two keys of one name, or holds boxes of a tomogram or of filaments.
    """
    info = _load(path)
    boxes = info.get("boxes")
    if info.get("boxes_3d"):  # 2-D boxes in the same file belong to slices of the tomogram
        raise tomogram_error(path, "key 'boxes_3d'")
    if not isinstance(boxes, list):
        raise FormatError(f"{path}: there is no list 'boxes' in this file, so it holds no particles of EMAN2.")
    xs: list[float] = []
    ys: list[float] = []
    for index, entry in enumerate(boxes, start=1):
        if not isinstance(entry, list) or len(entry) < 2:
            raise FormatError(f"{path}: box {index} should be [x, y, mode], but it is {json.dumps(entry)[:60]}.")
        if len(entry) > 2 and isinstance(entry[2], int | float):
            # The third entry of a 2-D box is the name of its kind.
            raise tomogram_error(path, f"box {index} has the z coordinate {entry[2]}")
        if len(entry) > 2 and any(word in str(entry[2]).lower() for word in ("helix", "helical", "filament")):
            raise filament_error(path, f"box {index} is of the kind {entry[2]!r}")
        for values, value, what in ((xs, entry[0], "x"), (ys, entry[1], "y")):
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise FormatError(f"{path}: {what} of box {index} should be a number, but it is {value!r}.")
            values.append(float(value))
    return [Boxes.at(xs, ys)]


def write_eman2(parts: Sequence[Boxes], path: Path) -> None:
    """Write one micrograph's centres as `manual` boxes.

    EMAN2 keeps other facts about the micrograph (CTF, quality) in the same file. So if the file exists, only its
    `boxes` are replaced.
    """
    (boxes,) = parts
    info = _load(path) if path.exists() else {}
    info["boxes"] = [[round(float(x), 6), round(float(y), 6), "manual"] for x, y in zip(boxes.x, boxes.y, strict=True)]
    # Each key and each box has its own line, so that a person can read and compare them.
    items = [f"{json.dumps(key)}: {_format(key, value)}" for key, value in info.items()]
    write_text_atomically(path, "{\n" + ",\n".join(items) + "\n}\n")


def is_eman2(path: Path, start: str) -> bool:
    """Return whether this is a JSON file with a list `boxes`, or with that of a tomogram."""
    try:
        info = _load(path, twins_allowed=True)
    except FormatError:
        return False
    return isinstance(info.get("boxes"), list) or bool(info.get("boxes_3d"))


def _load(path: Path, *, twins_allowed: bool = False) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice = [key for key, n in Counter(key for key, _ in pairs).items() if n > 1]
        if twice and not twins_allowed:
            raise FormatError(
                f"{path}: two keys have the name {twice[0]!r}, so it is not clear which one counts; remove one of them."
            )
        return dict(pairs)

    try:
        info = parse_json(read_file(path), pairs=unique)
    except ValueError as error:
        raise FormatError(f"{path}: this is not JSON that can be used ({error}).") from None
    if not isinstance(info, dict):
        raise FormatError(f"{path}: an EMAN2 info file is a JSON object, but this holds a {type(info).__name__}.")
    return info


def _format(key: str, value: object) -> str:
    if key != "boxes" or not isinstance(value, list) or not value:
        return json.dumps(value)
    return "[\n" + ",\n".join(f"  {json.dumps(entry)}" for entry in value) + "\n]"
