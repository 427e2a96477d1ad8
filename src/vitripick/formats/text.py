"""Read text files as lines, and numbers with an error that says where: all text formats share this."""

from __future__ import annotations

import math
from pathlib import Path

from vitripick.errors import FormatError, InputError


def read_file(path: Path) -> bytes:
    """Return the bytes of a picks file, or raise an `InputError` that names the file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error


def read_lines(path: Path) -> list[str]:
    """Return the lines of a UTF-8 text file without their ends (LF or CRLF); [] for a file of zero bytes.

    A byte-order mark, which spreadsheets put first, is dropped.
    """
    try:
        text = read_file(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FormatError(f"{path}: this is not a text file (not UTF-8), so it holds no picks we can read.") from None
    # splitlines() also splits at form feeds and at Unicode's own line separators, so it is not used.
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines[:-1] if lines[-1] == "" else lines


def parse_number(field: str, *, what: str, path: Path, line: int) -> float:
    """Return a finite number, or raise a `FormatError` that names the file, the line and what the number means."""
    try:
        value = float(field)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise FormatError(f"{path}, line {line}: {what} should be a number, but it is {field!r}.")
    return value


def parse_optional(field: str, *, what: str, path: Path, line: int) -> float:
    """Return a number as `parse_number` does, but NaN for texts that mean "not known": empty, `<NA>`, `nan`, `None`."""
    if field.strip().lower() in ("", "<na>", "na", "nan", "none", "null"):
        return math.nan
    return parse_number(field, what=what, path=path, line=line)


def parse_size(field: str, *, what: str, path: Path, line: int) -> float:
    """Return a number above zero, or raise a `FormatError`."""
    value = parse_number(field, what=what, path=path, line=line)
    if value <= 0:
        raise FormatError(f"{path}, line {line}: {what} should be above zero, but it is {field}.")
    return value


def format_number(value: float, *, decimals: int = 6) -> str:
    """Return the shortest decimal text, without an exponent: 12, 12.5, 0.333333; never "-0".

    Examples
    --------
    >>> format_number(12.0), format_number(12.50), format_number(-1e-9)
    ('12', '12.5', '0')
    """
    text = f"{value:.{decimals}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
