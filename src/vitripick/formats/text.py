"""Read text files as lines, and numbers with an error that says where. All text formats use this module."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vitripick.errors import FormatError, InputError
from vitripick.geometry import FloatArray

_LINE_END = re.compile(r"\r\n|\n|\r")
# Texts that mean "not known" where a number or a name may be missing.
_UNKNOWN = ("", "<na>", "na", "nan", "none", "null")


def read_file(path: Path) -> bytes:
    """Return the bytes of a picks file, or raise an `InputError` that names the file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error


def read_lines(path: Path) -> list[str]:
    """Return the lines of a UTF-8 text file without their ends (LF, CRLF or CR); [] for a file of zero bytes.

    A byte-order mark, which spreadsheets put first, is dropped.
    """
    try:
        text = read_file(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FormatError(
            f"{path}: this is not a text file (not UTF-8), so it holds no picks that vitripick can read."
        ) from None
    # splitlines() also splits at form feeds and at Unicode's own line separators, so it is not used.
    # Two programs for Windows, used one after the other, leave CR CR LF.
    lines = _LINE_END.split(text.replace("\r\r\n", "\n")) if "\r" in text else text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def is_unknown(field: str) -> bool:
    """Return whether a text means "not known": empty, `<NA>`, `nan`, `None` and the like."""
    return field.strip().lower() in _UNKNOWN


def parse_number(field: str, *, what: str, path: Path, line: int) -> float:
    """Return a finite number, or raise a `FormatError` that names the file, the line and what the number means."""
    value = _number(field)
    if not math.isfinite(value):
        raise FormatError(f"{path}, line {line}: {what} should be a number, but it is {field!r}.")
    return value


def parse_numbers(fields: Sequence[str], lines: Sequence[int], *, what: str, path: Path) -> FloatArray:
    """Return a column of finite numbers, or raise the `FormatError` of its first wrong one.

    Parameters
    ----------
    fields, lines : (n,)
        The texts, and the number of the line that each stands on.
    what, path
        As in `parse_number`.

    Returns
    -------
    (n,), float64
    """
    try:
        if _is_plain("".join(fields)):
            values = np.array([float(field) for field in fields], np.float64)
            if np.isfinite(values).all():
                return values
    except ValueError:
        pass  # the loop below says which it is
    rows = zip(fields, lines, strict=True)
    return np.array([parse_number(field, what=what, path=path, line=line) for field, line in rows], np.float64)


def parse_optional(field: str, *, what: str, path: Path, line: int) -> float:
    """Return a number as `parse_number` does, but NaN for a text that means "not known" (`is_unknown`)."""
    return math.nan if is_unknown(field) else parse_number(field, what=what, path=path, line=line)


def parse_optionals(fields: Sequence[str], lines: Sequence[int], *, what: str, path: Path) -> FloatArray:
    """Return a column as `parse_numbers` does, with NaN for texts that mean "not known"."""
    unknown = {field for field in set(fields) if is_unknown(field)}
    if not unknown:
        return parse_numbers(fields, lines, what=what, path=path)
    known = [i for i, field in enumerate(fields) if field not in unknown]
    values = np.full(len(fields), np.nan)
    values[known] = parse_numbers([fields[i] for i in known], [lines[i] for i in known], what=what, path=path)
    return values


def parse_sizes(fields: Sequence[str], lines: Sequence[int], *, what: str, path: Path) -> FloatArray:
    """Return a column of numbers above zero, as `parse_numbers` does."""
    return _above_zero(parse_numbers(fields, lines, what=what, path=path), fields, lines, what, path)


def parse_optional_sizes(fields: Sequence[str], lines: Sequence[int], *, what: str, path: Path) -> FloatArray:
    """Return a column of numbers above zero, with NaN for texts that mean "not known"."""
    return _above_zero(parse_optionals(fields, lines, what=what, path=path), fields, lines, what, path)


def _above_zero(values: FloatArray, fields: Sequence[str], lines: Sequence[int], what: str, path: Path) -> FloatArray:
    wrong = np.flatnonzero(values <= 0)
    if len(wrong):
        at = int(wrong[0])
        raise FormatError(f"{path}, line {lines[at]}: {what} should be above zero, but it is {fields[at].strip()}.")
    return values


def parse_pixel_size(field: str) -> float | None:
    """Return Å per pixel, or None for what is not a number above zero, because programs write 0 for "not known"."""
    value = _number(field)
    return value if math.isfinite(value) and value > 0 else None


def parse_size(field: str, *, what: str, path: Path, line: int) -> float:
    """Return a number above zero, or raise a `FormatError`."""
    value = parse_number(field, what=what, path=path, line=line)
    if value <= 0:
        raise FormatError(f"{path}, line {line}: {what} should be above zero, but it is {field}.")
    return value


def _number(field: str) -> float:
    """Return the number that a text is, NaN for others; `float` alone also takes `1_0` and digits of other scripts."""
    try:
        return float(field) if _is_plain(field) else math.nan
    except ValueError:
        return math.nan


def _is_plain(text: str) -> bool:
    return text.isascii() and "_" not in text


def format_number(value: float, *, decimals: int = 6) -> str:
    """Return the shortest decimal text, without an exponent: 12, 12.5, 0.333333; never "-0".

    Examples
    --------
    >>> format_number(12.0), format_number(12.50), format_number(-1e-9)
    ('12', '12.5', '0')
    """
    text = f"{value:.{decimals}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
