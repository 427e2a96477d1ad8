"""Write and read the rows of a table of numbers in bulk, because a run has thousands of tables with 1000 rows each.

Numbers have six decimals. Row by row, formatting and parsing took as long as the network, and the other jobs waited for
Python's lock.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vitripick.geometry import FloatArray

# The characters of numbers, of blanks and of `<NA>`.
_OF_NUMBERS = b"0123456789.- \n<NA>"


def format_rows(columns: Sequence[FloatArray | str], *, unknown: str = "nan", keep_minus_zero: bool = False) -> str:
    """Return the rows of a loop, each with its line end.

    Parameters
    ----------
    columns
        Numbers, (n,) each, at least one such column; or a text that stands in every row, quoted where it must be.
    unknown
        Stands for NaN.
    keep_minus_zero
        Write what rounds to zero from below as `-0.000000`.
    """
    numbers = [column for column in columns if not isinstance(column, str)]
    values = np.column_stack(numbers).ravel()
    row = " ".join(column.replace("%", "%%") if isinstance(column, str) else "%.6f" for column in columns)
    text = (row + "\n") * len(numbers[0]) % tuple(values.tolist())
    if np.isnan(values).any() or (not keep_minus_zero and "-0.000000" in text):
        # Some values need another text, so the rows are made one value at a time.
        texts = [_text(value, unknown, keep_minus_zero) for value in values.tolist()]
        text = (row.replace("%.6f", "%s") + "\n") * len(numbers[0]) % tuple(texts)
    return text


def _text(value: float, unknown: str, keep_minus_zero: bool) -> str:
    if value != value:  # NaN differs from itself
        return unknown
    text = f"{value:.6f}"
    return text[1:] if text == "-0.000000" and not keep_minus_zero else text


def parse_rows(rows: bytes, n_columns: int) -> FloatArray | None:
    """Return the numbers of rows that `format_rows` wrote, with NaN for `<NA>`: (n, n_columns), float64.

    Returns
    -------
    (n, n_columns), float64, or None
        None if any byte is not as `format_rows` writes it. A reader that can say what is wrong then reads the rows.
    """
    n_rows = rows.count(b"\n")
    blanks_between = n_columns - 1
    if rows.translate(None, _OF_NUMBERS) or not rows.endswith(b"\n") or rows.count(b" ") != blanks_between * n_rows:
        return None
    tokens = rows.replace(b"<NA>", b"nan").split()
    # With one blank fewer than tokens in each line, no line can have more tokens, so none has fewer.
    if len(tokens) != n_columns * n_rows or any(line.count(b" ") != blanks_between for line in rows[:-1].split(b"\n")):
        return None
    try:
        return np.array(list(map(float, tokens)), np.float64).reshape(n_rows, n_columns)
    except ValueError:
        return None
