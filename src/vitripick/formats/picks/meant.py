"""Recognise files that are meant as picks, among files that vitripick cannot read."""

from __future__ import annotations

import re
from pathlib import Path

# Tables and boxes of other programs.
_UNREAD = {
    (".xlsx", ".xls", ".ods", ".numbers"): "a spreadsheet, which we do not read; save it as CSV",
    (".pos", ".xmd"): "a file of Xmipp, which we do not read; export RELION STAR or .box",
    (".plt", ".coord", ".coords", ".crd", ".roi", ".bbox"): "coordinates of a kind that we do not read; export STAR, "
    ".box or CSV",
    (".npy", ".npz", ".pkl", ".pickle", ".mat", ".h5", ".hdf5", ".parquet", ".feather"): "a table of a kind that we do "
    "not read; export STAR, .box or CSV",
    tuple(
        table + packed
        for table in (".star", ".box", ".cbox", ".csv", ".txt", ".tsv", ".cs", ".json")
        for packed in (".gz", ".bz2", ".xz", ".zip", ".zst")
    ): "packed; unpack it",
}
_ENOUGH_BYTES = 1 << 16
_NUMBER = re.compile(r"[-+]?(\d+([.,]\d*)?|\.\d+)([eE][-+]?\d+)?")
_COORDINATE = (
    r"{c}|cent(er|re)_?{c}|c_?{c}|{c}_?(min|max|center|centre|1|px|pix\w*|ang\w*)|\w*coord\w*_?{c}\w*"
    r"|{c}\W*_?coord\w*|axis-{axis}"
)
_X = re.compile(_COORDINATE.format(c="x", axis="[12]"), re.IGNORECASE)
_Y = re.compile(_COORDINATE.format(c="y", axis="[01]"), re.IGNORECASE)


def unread_table(name: str) -> str | None:
    """Return what this file is, if its suffix says that it is a table of a kind that we do not read; else None.

    Examples
    --------
    >>> unread_table("picks.xlsx"), unread_table("a.star"), unread_table("README.md")
    ('a spreadsheet, which we do not read; save it as CSV', None, None)
    """
    return next((what for suffixes, what in _UNREAD.items() if name.lower().endswith(suffixes)), None)


def looks_like_picks(path: Path) -> bool:
    """Return whether a text file whose picks we cannot read seems to hold coordinates, by its names or numbers.

    A README, a log, a job's STAR, or a table of other numbers beside the picks does not.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_ENOUGH_BYTES).decode("utf-8-sig", errors="replace")
    except OSError:
        return True  # reading it reports what is wrong
    suffix = path.suffix.lower()
    if suffix in (".star", ".cbox"):
        return "coordinate" in text.lower()
    if suffix == ".json":
        return re.search(r'"(boxes\w*|coordinates|shapes|bbox\w*|points)"\s*:', text) is not None
    lines = [line.strip().lstrip("#").strip() for line in text.splitlines()]
    lines = [line for line in lines if line][:20]
    return bool(lines) and (_names_coordinates(lines[0]) or all(_is_of_numbers(line) for line in lines[:5]))


def _names_coordinates(line: str) -> bool:
    separator = r"[,;\t]" if re.search(r"[,;\t]", line) else r"\s+"
    names = [field.strip().strip("\"'") for field in re.split(separator, line)]
    return any(_X.fullmatch(name) for name in names) and any(_Y.fullmatch(name) for name in names)


def _is_of_numbers(line: str) -> bool:
    fields = [field for field in re.split(r"[;\t ]+|,(?!\d)" if ";" in line else r"[,;\t ]+", line) if field]
    return 2 <= len(fields) <= 8 and all(_NUMBER.fullmatch(field) for field in fields)
