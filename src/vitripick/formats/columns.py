"""Know the columns of tables by their names. STAR, CSV, Topaz and `.cs` all use this module, so that they agree.

Some columns name micrographs; a table with one is split by it. Others say that the coordinates are those of tomograms
or of filaments; such a table is refused, because its rows would look like particles.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vitripick.errors import FormatError, parameter
from vitripick.formats.names.stems import has_image_suffix
from vitripick.formats.passed_by import PassedBy, collect_passed_by
from vitripick.formats.text import is_unknown
from vitripick.geometry import Boxes

log = logging.getLogger("vitripick")

# These names are as `_plain` returns them. If a table has several of these columns, the first one here counts.
_MICROGRAPH = (
    *("micrographname", "micrograph", "micrographs", "micrographpath", "micrographfile", "micrographfilename"),
    *("micname", "mic", "micpath", "micfile", "mrcfile", "mrc"),
    *("imagename", "image", "imagepath", "imagefile", "imagefilename", "imgname", "img", "imgpath", "imgfile"),
    *("filename", "file", "filepath", "path", "micrographmoviename", "moviename", "movie"),
    *("exposurename", "exposure", "exposurepath", "exposurefile", "micrographstem", "stem", "basename"),
)
_MICROGRAPH_NUMBER = re.compile(r"(micrograph|mic|image|img|exposure|movie)s?(id|uid|no|nr|num|number|index|idx)")
_Z = (
    *("z", "zcoord", "zcoordinate", "coordz", "coordinatez", "zpos", "posz", "zposition", "positionz"),
    *("zcenter", "centerz", "zcentre", "centrez", "zpx", "zpixel"),
)
# RELION writes an image in a stack of particles as 000001@stack.mrcs.
_SLICE = re.compile(r"^\d+@")
_TUBE = ("tube", "tubeid")
_NO = ("false", "no")


@dataclass
class Table:
    """Holds a table as text.

    Attributes
    ----------
    labels
        The names of the columns, in file order.
    rows
        Rows, each as long as `labels`.
    lines
        The line number of each row, for errors.
    """

    labels: list[str]
    rows: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, label: str) -> bool:
        return label in self.labels

    def column(self, label: str) -> list[str]:
        """Return the values of one column, or raise a `KeyError` where there is none."""
        if label not in self.labels:
            raise KeyError(label)
        index = self.labels.index(label)
        return [row[index] for row in self.rows]


def is_filament_column(label: str) -> bool:
    """Return whether a column of this name says which filament a row belongs to, or where along it."""
    plain = _plain(label)
    return plain.startswith(("helical", "filament", "helix")) or plain in _TUBE


def tomogram_error(where: Path | str, found: str) -> FormatError:
    """Return the error for coordinates of a tomogram; `found` says what shows it."""
    return FormatError(
        f"{where}: these are coordinates of a tomogram ({found}), and only 2-D micrographs are supported; give picks "
        "of micrographs, and keep these for programs that work in 3-D."
    )


def filament_error(where: Path | str, found: str) -> FormatError:
    """Return the error for filaments and their segments; `found` says what shows it."""
    return FormatError(
        f"{where}: these are filaments ({found}), not particles; give boxes of single "
        f"particles, or read them as filaments with {parameter('filaments', True)}."
    )


def refuse_twin_columns(labels: Sequence[str], path: Path, *, line: int = 1) -> None:
    """Raise a `FormatError` where two columns have one name; columns without a name are left alone."""
    seen: set[str] = set()
    for label in labels:
        if label and label in seen:
            raise FormatError(
                f"{path}, line {line}: two columns have the name {label!r}, so it is not clear which one "
                "counts; remove one of them."
            )
        seen.add(label)


def refuse_other_than_2d(table: Table, path: Path) -> None:
    """Raise a `FormatError` where a table holds coordinates of tomograms or of filaments.

    A column of z is allowed if it is 0 or unknown in all rows, as in 2-D files of programs that also work in 3-D.
    """
    for label in table.labels:
        plain = _plain(label)
        if plain.startswith(("tomo", "centeredcoordinate", "centredcoordinate")):
            line = _first(table, label, lambda text: not is_unknown(text))
            what = tomogram_error
        elif plain in _Z:
            line = _first(table, label, _is_not_zero)
            what = tomogram_error
        elif is_filament_column(label):
            line = _first(table, label, lambda text: not is_unknown(text) and text.strip().lower() not in _NO)
            what = filament_error
        else:
            continue
        if line is not None:
            raise what(f"{path}, line {line}", f"column {label}")


def split_by_micrograph(
    whole: Boxes, table: Table, path: Path, *, pixel_sizes: Sequence[float | None] | None = None
) -> list[Boxes]:
    """Return the boxes of a table's rows, one `Boxes` for each micrograph in order of first mention.

    Parameters
    ----------
    whole
        The boxes of all rows.
    table
        The table, with n rows. If it does not name micrographs, `whole` is returned, without a name. If it does, rows
        without a name are left out with a warning.
    path
        The path that errors and warnings name.
    pixel_sizes : (n,)
        Å per pixel of the micrograph of each row, where known. A micrograph gets that of its first row.

    Raises
    ------
    FormatError
        If the table holds several micrographs by number alone, or tilt series.
    """
    label = micrograph_column(table, path)
    if label is None:
        return [whole]
    rows_of: dict[str, list[int]] = {}
    for row, text in enumerate(table.column(label)):
        name = _SLICE.sub("", text) if "@" in text else text
        rows_of.setdefault(name, []).append(row)
    nameless = sorted(row for name in list(rows_of) if is_unknown(name) for row in rows_of.pop(name))
    if not rows_of:
        return [whole]
    series = next((name for name in rows_of if name.lower().endswith(".tomostar")), None)
    if series is not None:
        raise tomogram_error(f"{path}, line {table.lines[rows_of[series][0]]}", f"tilt series {series}")
    if nameless:
        warn_of_nameless(path, len(nameless), len(table), f"first in line {table.lines[nameless[0]]}")
    return [
        whole.select(np.array(rows, np.intp)).of(
            micrograph=name, pixel_size=None if pixel_sizes is None else pixel_sizes[rows[0]]
        )
        for name, rows in rows_of.items()
    ]


def warn_of_nameless(path: Path, n_nameless: int, n_rows: int, where: str) -> None:
    """Warn that rows that name no micrograph are left out."""
    log.warning(
        "%s: %d of %d rows name no micrograph and are left out (%s); add the names to keep them",
        path,
        n_nameless,
        n_rows,
        where,
    )
    collect_passed_by([PassedBy(str(path), f"{n_nameless} of {n_rows} rows name no micrograph ({where})")])


def micrograph_column(table: Table, path: Path) -> str | None:
    """Return the column that names the micrograph of each row; None where there is none."""
    by_plain = {_plain(label): label for label in reversed(table.labels)}
    for plain in _MICROGRAPH:
        if plain in by_plain:
            return by_plain[plain]
    # A column of any name whose values are all names of images names micrographs, too.
    for label in table.labels:
        if table.rows and has_image_suffix(table.rows[0][table.labels.index(label)].strip()):
            values = set(table.column(label))
            if all(has_image_suffix(value.strip()) for value in values):
                return label
    for plain in by_plain:
        if _MICROGRAPH_NUMBER.fullmatch(plain) and len(set(table.column(by_plain[plain]))) > 1:
            raise FormatError(
                f"{path}: this table holds several micrographs, but it has only their numbers ({by_plain[plain]}); add "
                "a column 'micrograph' with the names of their files."
            )
    return None


def _first(table: Table, label: str, matches: Callable[[str], bool]) -> int | None:
    """Return the line of the first row whose value in this column matches."""
    values = zip(table.column(label), table.lines, strict=True)
    return next((line for value, line in values if matches(value)), None)


def _is_not_zero(text: str) -> bool:
    if is_unknown(text):
        return False
    try:
        return float(text) != 0
    except ValueError:
        return True


def _plain(label: str) -> str:
    """Return a column's name without blanks and marks, in lower case, and without the prefix of RELION or Warp."""
    plain = re.sub(r"[\s_\-.]+|\([^)]*\)$|\[[^\]]*\]$", "", label.strip().lower())
    return plain[3:] if plain.startswith(("rln", "wrp")) else plain
