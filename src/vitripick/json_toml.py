"""Load JSON and TOML with bounds on size, nesting and numbers, so that a damaged file gives one kind of error.

Any fault of the text is a `ValueError` whose message completes "FILE: cannot be read (…)".
A missing file is the usual `OSError`.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# `run.json` of 100,000 micrographs has 60 MB. Our files nest up to 8 deep; Python gives up near 1,000.
_MOST_BYTES = 512 << 20
_DEEPEST = 100
# Seeds of 128 bits have 39 digits. Python refuses 4,301 digits, and float() more than 309.
_MOST_DIGITS = 60


def parse_json(data: bytes | str, *, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """Return the value of JSON text in UTF-8; every number in it is finite.

    Parameters
    ----------
    data
        The text; a byte-order mark in front is dropped.
    pairs
        Makes an object from its names and values, in their order, if a dict is not enough.

    Raises
    ------
    ValueError
        If it is not JSON, not UTF-8, nested too deep, or holds NaN, an infinity or a number of very many digits.
    """
    text = _text(data)
    try:
        value = json.loads(
            text, parse_constant=_no_number, parse_float=_finite, parse_int=_whole, object_pairs_hook=pairs
        )
        if "\\u" in text:  # an escaped half of a surrogate pair can be neither printed nor written
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    return value


def parse_json_object(data: bytes | str) -> dict[str, Any]:
    """Return the JSON object that the text holds; errors as in `parse_json`, also for a list or a single value."""
    value = parse_json(data)
    if not isinstance(value, dict):
        raise ValueError(f"it should hold a JSON object, but it holds a {type(value).__name__}")
    return value


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; errors as in `parse_json_object`, or `OSError`."""
    return parse_json_object(_bytes(path))


def parse_toml(data: bytes | str) -> dict[str, Any]:
    """Return the table of TOML text in UTF-8; every number in it is finite.

    Raises
    ------
    ValueError
        If it is not TOML, not UTF-8, nested too deep, or holds `nan`, `inf` or a number of very many digits.
    """
    text = _text(data)
    if re.search(rf"[0-9_]{{{_MOST_DIGITS + 1}}}", text):
        raise ValueError(f"a number has more than {_MOST_DIGITS} digits")
    try:
        table = tomllib.loads(text, parse_float=_finite)
        _check_numbers(table)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    return table


def read_toml(path: Path) -> dict[str, Any]:
    """Return the table of a TOML file; errors as in `parse_toml`, or `OSError`."""
    return parse_toml(_bytes(path))


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ValueError(f"it is larger than {_MOST_BYTES >> 20} MiB")
    return data


def _text(data: bytes | str) -> str:
    raw = data.encode("utf-8", errors="surrogatepass") if isinstance(data, str) else data
    if _depth(raw) > _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} deep")
    return data if isinstance(data, str) else data.decode("utf-8-sig")


def _depth(data: bytes) -> int:
    """Return how deep brackets nest. Brackets inside strings count, too; our texts have few of them."""
    codes = np.frombuffer(data, np.uint8)
    opening = (codes == 0x5B) | (codes == 0x7B)
    closing = (codes == 0x5D) | (codes == 0x7D)
    brackets = opening[opening | closing]
    return int(np.cumsum(np.where(brackets, 1, -1)).max(initial=0))


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is not a number that can be used")
    return value


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number has {len(text)} digits")
    return int(text)


def _check_numbers(value: Any, depth: int = 0) -> None:
    """Raise `ValueError` for integers of too many digits, and for dotted keys that nest too deep: TOML has no hooks."""
    if depth > _DEEPEST:
        raise RecursionError
    if isinstance(value, dict):
        for inner in value.values():
            _check_numbers(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check_numbers(inner, depth + 1)
    elif isinstance(value, int) and abs(value) >= 10**_MOST_DIGITS:
        raise ValueError("a number has very many digits")


def is_number(value: Any) -> bool:
    """Return whether a value from JSON, where all numbers are finite, is a number; a bool is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)
