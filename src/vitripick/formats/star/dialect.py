"""Read and write STAR strictly in RELION's dialect. What RELION would misread or drop is an error that names the line.

The rules are those of RELION's MetaDataTable (3.0 to 5.0). A block holds label-value pairs or one loop. A blank line
ends a loop. A row stands on one line. There are no comments inside a loop and no multi-line text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vitripick.errors import FormatError, InputError, UsageError
from vitripick.formats.columns import Table

# RELION takes only ASCII blanks as blanks, so a no-break space is a part of a name.
_BLANKS = " \t\r\f\v"
# `_PLAIN` is a token that needs no quotes, `_PLAIN_ROW` a row of them. Files of picks hold ten thousand lines without
# any quotes, so `_WORDS` splits those with less work than `_TOKEN`.
_PLAIN = re.compile(r"(?!data_|loop_)[^#_;\"'\s]\S*", re.ASCII)
_PLAIN_ROW = re.compile(rf"{_PLAIN.pattern}(?: {_PLAIN.pattern})*", re.ASCII)
_WORDS = re.compile(r"\S+", re.ASCII)
_TOKEN = re.compile(r'"([^"]*)"(?=\s|$)|\'([^\']*)\'(?=\s|$)|(\S+)', re.ASCII)

# The first bytes of a file usually show what it holds; if not, `mentions` reads on as far as the second number. An
# optics group takes about 100 bytes.
START_BYTES = 1 << 16
_READ_ON = 16 << 20


class StarTable(Table):
    """Holds one loop: labels without their leading underscore, and rows as text."""


@dataclass
class StarBlock:
    """Holds one `data_` block; RELION 3.0 and older leave its name empty."""

    name: str
    line: int = 0
    pairs: dict[str, str] = field(default_factory=dict)
    table: StarTable | None = None
    # For writing: the rows of `table` as finished text, each with its line end; they replace those of `table`.
    rows: str | None = None

    def as_table(self) -> StarTable:
        """Return the loop; pairs become a loop of one row, because RELION writes some tables of one row as pairs."""
        if self.table is not None:
            return self.table
        if not self.pairs:
            return StarTable([])
        return StarTable(list(self.pairs), [list(self.pairs.values())], [self.line])


def parse_star(lines: Sequence[str], path: Path) -> list[StarBlock]:
    """Return the blocks of a STAR file.

    Parameters
    ----------
    lines
        Lines without their ends. No lines, or only blank ones, give no blocks.
    path
        The path that errors name.

    Raises
    ------
    FormatError
        If a line is not in RELION's dialect; the message gives the line's number.
    """
    blocks: list[StarBlock] = []
    table: StarTable | None = None  # the loop that is being read
    ended = False  # the last loop of this block met its blank line
    for number, raw in enumerate(lines, start=1):
        line = raw.strip(_BLANKS)
        if table is not None and table.rows and line and not line.startswith(("#", "data_")):
            _add_row(table, line, number, path)  # nearly every line
            continue

        def fail(found: str, number: int = number) -> FormatError:
            return FormatError(f"{path}, line {number}: {found}")

        if table is not None and table.rows:
            if not line:
                table, ended = None, True
                continue
            if not _starts_block(line, table):
                if line.startswith("#"):
                    raise fail("a comment inside a loop, which RELION would read as a row; remove it.")
                _add_row(table, line, number, path)
                continue
        elif table is not None and line and not line.startswith("#") and not _starts_block(line, table):
            # The labels have not ended yet, and RELION skips blank lines and comments among them.
            if line.startswith("_"):
                label = _label(line)
                if label in table.labels:
                    raise fail(f"the label _{label} occurs twice in one loop.")
                table.labels.append(label)
            elif not table.labels:
                raise fail(f"loop_ must be followed by labels that start with '_', but here is {line!r}.")
            else:
                _add_row(table, line, number, path)
            continue
        if not line or line.startswith("#"):
            continue

        if line.startswith("data_"):
            blocks.append(StarBlock(line[len("data_") :].split("#")[0].strip(), line=number))
            table, ended = None, False
        elif not blocks:
            raise fail(f"a STAR file starts with 'data_', but here is {line[:60]!r}.")
        elif line == "loop_" or line.startswith(("loop_ ", "loop_\t", "loop_#")):
            if blocks[-1].table is not None or blocks[-1].pairs:
                raise fail("a second table in one data_ block; RELION reads only one, so give each its own block.")
            table = blocks[-1].table = StarTable([])
            ended = False
        elif line.startswith("_") and not ended:
            label, values = _label(line), _tokens(line)[1:]
            values = values[: values.index("#")] if "#" in values else values
            if len(values) != 1:
                raise fail(f"_{label} should have one value, but it has {len(values)}.")
            if label in blocks[-1].pairs:
                raise fail(f"the label _{label} occurs twice in one block.")
            blocks[-1].pairs[label] = values[0]
        elif ended:
            raise fail("a row after a blank line; a blank line ends a loop in RELION's dialect, so remove it.")
        else:
            raise fail(f"expected a label, loop_ or data_, but here is {line[:60]!r}.")
    if not blocks and any(line.strip() for line in lines):
        raise FormatError(f"{path}: there is no data_ block in this STAR file, only comments.")
    return blocks


def mentions(path: Path, start: str, words: Sequence[str]) -> bool:
    """Return whether one of `words` stands in `start`, or begins a line of the file after it.

    A STAR may have hundreds of optics groups before its coordinates, so the file is read on, line by line, for the
    labels of its later blocks.

    Parameters
    ----------
    path, start
        A file, and the text of its first `START_BYTES`.
    words
        Labels with their underscore, or names of blocks with their data_.
    """
    if any(word in start for word in words):
        return True
    beginnings = tuple(word.encode() for word in words)
    read = 0
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size <= START_BYTES:
                return False
            # A line of a file that is not text may be as long as the file.
            while read < _READ_ON and (line := file.readline(_READ_ON)):
                read += len(line)
                if line.lstrip().startswith(beginnings) or (b"\r" in line and _after_cr(line, beginnings)):
                    return True
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error
    return False


def _after_cr(line: bytes, beginnings: tuple[bytes, ...]) -> bool:
    """Return whether a line that ends with CR alone, as on old Macs, begins with one of the words."""
    return any(part.lstrip().startswith(beginnings) for part in line.split(b"\r"))


def format_star(blocks: Iterable[StarBlock], *, version: str | None = None) -> str:
    """Return a STAR file's text for RELION: `_label #n`, a blank line after each loop, LF, a final newline.

    `version` is the number in RELION's `# version` comment, where one is wanted.
    """
    parts: list[str] = []
    for block in blocks:
        lines = ["", f"# version {version}", ""] if version else [""]
        lines += [f"data_{block.name}", ""]
        lines += [f"_{label} {quote(value)}" for label, value in block.pairs.items()]
        if block.table is not None:
            lines.append("loop_")
            lines += [f"_{label} #{i}" for i, label in enumerate(block.table.labels, start=1)]
            lines += [_row_text(row) for row in block.table.rows]
        parts.append("\n".join(lines) + "\n" + (block.rows or ""))
    return "".join(parts) + "\n"


def table_of(labels: Mapping[str, Sequence[str]]) -> StarTable:
    """Return a table from its columns."""
    columns = list(labels.values())
    return StarTable(list(labels), [list(row) for row in zip(*columns, strict=True)])


def quote(value: str) -> str:
    """Return `value` as one STAR token, quoted only where it must be, so names stay as they are."""
    if _PLAIN.fullmatch(value):
        return value
    if any(character in value for character in "\n\r"):
        raise UsageError(f"{value!r}: a name with a line break cannot be written to a STAR file; rename it.")
    awkward = (
        not value
        or any(character in value for character in _BLANKS)
        or value[0] in "#_;\"'"
        or value.startswith(("data_", "loop_"))
    )
    if not awkward:
        return value
    if '"' not in value:
        return f'"{value}"'
    if "'" not in value:
        return f"'{value}'"
    raise UsageError(
        f"{value!r}: a name with a blank and both kinds of quotes cannot be written to a STAR file; rename it."
    )


def _row_text(row: Sequence[str]) -> str:
    """Return a row; one look at the whole row is enough where no value needs quotes."""
    text = " ".join(row)
    if _PLAIN_ROW.fullmatch(text) and text.count(" ") == len(row) - 1:
        return text
    return " ".join(quote(value) for value in row)


def _starts_block(line: str, table: StarTable) -> bool:
    """Return whether a line inside a loop opens the next block, because other programs leave out the blank line.

    In a loop of one column a name may start with data_ too, and RELION reads it as a row.
    """
    if not line.startswith("data_") or len(line.split()) != 1:
        return False
    return len(table.labels) != 1


def _add_row(table: StarTable, line: str, number: int, path: Path) -> None:
    values = _tokens(line)
    if len(values) != len(table.labels):
        raise FormatError(
            f"{path}, line {number}: this row has {len(values)} values, but the loop has {len(table.labels)} labels."
        )
    table.rows.append(values)
    table.lines.append(number)


def _tokens(line: str) -> list[str]:
    if '"' not in line and "'" not in line:
        return _WORDS.findall(line)
    return [next(g for g in match.groups() if g is not None) for match in _TOKEN.finditer(line)]


def _label(line: str) -> str:
    # RELION writes "_rlnX #1", but hand-made files have "_rlnX", "_rlnX # 1" and "_rlnX#1", so all are read.
    return line.split()[0].split("#")[0][1:]
