"""Read and write RELION's STAR files of picks: per micrograph, joined, and tables of a job's coordinate files.

Positions are centres in pixels of the full-size micrograph; there are no box sizes. The module `dialect` reads and
writes the text.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vitripick.atomic import write_text_atomically
from vitripick.errors import FormatError
from vitripick.formats.columns import refuse_other_than_2d, split_by_micrograph, tomogram_error
from vitripick.formats.inside import keep_inside
from vitripick.formats.names.joined import micrograph_names, refuse_twins
from vitripick.formats.names.stems import base_name
from vitripick.formats.star.alignment import read_alignment
from vitripick.formats.star.defocus import Defocus, defocus_of_row
from vitripick.formats.star.dialect import StarBlock, StarTable, format_star, mentions, parse_star, quote, table_of
from vitripick.formats.star.number_rows import format_rows
from vitripick.formats.star.optics import OpticsGroup
from vitripick.formats.star.particles import optics_of_row, read_optics
from vitripick.formats.star.pixel_size import ORIGINAL, pixel_size_of_row, rows_of, warn_of_original
from vitripick.formats.text import parse_numbers, parse_optionals, read_lines
from vitripick.geometry import Boxes, FloatArray

_X, _Y, _SCORE = "rlnCoordinateX", "rlnCoordinateY", "rlnAutopickFigureOfMerit"
_MICROGRAPH, _COORDINATES = "rlnMicrographName", "rlnMicrographCoordinates"
_MOVIE, _PSI, _CENTRED = "rlnMicrographMovieName", "rlnAnglePsi", "rlnCenteredCoordinateXAngst"
_GROUP = "rlnOpticsGroup"
# RELION's ManualPick writes this for a figure of merit, an angle or a class that it does not have.
_UNKNOWN = -999.0
# RELION 3.1 puts this number into its files, and all later versions take such a file as current.
_VERSION = "30001"


def is_relion_star(path: Path, start: str) -> bool:
    """Return whether a STAR file holds coordinates, or lists files of them, as RELION writes it.

    Coordinates of tomograms count, so that reading them gives an error that says what they are.
    """
    if "data_cryolo" in start:
        return False
    # RELION writes a file of zero bytes for a micrograph without picks.
    return not start.strip() or mentions(path, start, (f"_{_X}", f"_{_COORDINATES}", f"_{_CENTRED}"))


def read_star(path: Path) -> list[Boxes]:
    """Return the picks of every micrograph in a STAR file of coordinates.

    Without a column that names micrographs (`_rlnMicrographName`, `_rlnImageName`), this gives one micrograph without a
    name. Otherwise it gives one for each name, in order of first mention. It reads files of RELION 3.0 (one unnamed
    block) and 3.1+ (with an optics block, which gives the micrographs' pixel size). RELION writes a file of zero bytes
    to say "picked, nothing found". Shifts and classes of a classification or refinement come along in
    `Boxes.alignment`; the centres are those of the file.

    Raises
    ------
    FormatError
        If the file is not in RELION's dialect, or holds something else, such as tomograms or filaments.
    """
    blocks = parse_star(read_lines(path), path)
    if not blocks:
        return [Boxes.empty()]
    tables = [block.as_table() for block in blocks]
    for other in tables:
        if _CENTRED in other:
            raise tomogram_error(path, f"_{_CENTRED}")
    found = [table for table in tables if _X in table and _Y in table]
    if len(found) != 1:
        raise FormatError(f"{path}: {_what_it_is(blocks) if not found else 'two tables with coordinates in one file.'}")
    (table,) = found
    refuse_other_than_2d(table, path)
    pixel_sizes = _pixel_sizes(tables)
    x, y = (parse_numbers(table.column(name), table.lines, what=f"_{name}", path=path) for name in (_X, _Y))
    confidence = _confidences(table, path)
    only_size = next(iter(pixel_sizes.values())) if len(set(pixel_sizes.values())) == 1 else None
    of_rows = [pixel_sizes.get(group) for group in table.column(_GROUP)] if _GROUP in table else None
    whole = Boxes.at(x, y, confidence=confidence, pixel_size=only_size)
    whole = dataclasses.replace(whole, alignment=read_alignment(table, tables, path))
    parts = split_by_micrograph(whole, table, path, pixel_sizes=of_rows)
    return [_without_manual_zeros(part) for part in parts]


def read_coordinate_files_star(path: Path) -> list[tuple[str, str]] | None:
    """Return rows (micrograph, coordinate file) of a job's `autopick.star` or `manualpick.star`; else None."""
    lines = read_lines(path)
    if not any(_COORDINATES in line for line in lines):
        return None
    for block in parse_star(lines, path):
        table = block.as_table()
        if _COORDINATES in table and _MICROGRAPH in table:
            return list(zip(table.column(_MICROGRAPH), table.column(_COORDINATES), strict=True))
    return None


def read_micrographs_star(path: str | Path) -> list[str]:
    """Return the names of the micrographs in a RELION micrographs STAR, verbatim and in order.

    They come from `data_micrographs` (3.1+) or an unnamed block (3.0). The names are relative to the RELION project,
    and RELION finds picks by exact string equality with them.

    Raises
    ------
    FormatError
        If the file lists no micrographs, or particles.
    """
    return [name for name, _ in read_micrographs_star_with_optics(path)]


def read_micrographs_star_with_optics(path: str | Path) -> list[tuple[str, OpticsGroup | None]]:
    """Return what `read_micrographs_star` does, each name with its optics group, or None where the STAR has none."""
    return [(one.name, one.optics) for one in read_listed_micrographs(path)]


@dataclass(frozen=True)
class ListedMicrograph:
    """Holds what a STAR says about one micrograph: its name verbatim, its optics group and its defocus, where known."""

    name: str
    optics: OpticsGroup | None
    defocus: Defocus | None


def read_listed_micrographs(path: str | Path) -> list[ListedMicrograph]:
    """Return the micrographs of a RELION STAR as `read_micrographs_star` does, with all that it says about them.

    Up to RELION 3.0 there is no optics block, and the rows of the micrographs say the same.
    """
    path = Path(path)
    blocks = parse_star(read_lines(path), path)
    blocks.sort(key=lambda block: block.name != "micrographs")  # stable: data_micrographs first, the rest in order
    for block in blocks:
        table = block.as_table()
        if _MICROGRAPH in table and _X not in table:
            if not len(table):
                raise FormatError(f"{path}: this list of micrographs is empty.")
            names = table.column(_MICROGRAPH)
            slices = [name for name in names if "@" in name]
            if slices:
                raise FormatError(
                    f"{path}: names with @, such as {slices[0]}, are slices of a stack, and {len(slices)} of "
                    f"{len(names)} names here have one; give micrographs that are files of their own."
                )
            optics = read_optics([other.as_table() for other in blocks], path)
            defocus = [defocus_of_row(fields) for fields, _ in rows_of(table)]
            if not optics:
                own = [optics_of_row(fields, path=path, line=line) for fields, line in rows_of(table)]
                warn_of_original(table, path)
                known = [None if one == OpticsGroup() else one for one in own]
            else:
                groups = table.column(_GROUP) if _GROUP in table else ["1"] * len(names)
                known = [optics.get(group) for group in groups]
            return list(map(ListedMicrograph, names, known, defocus))
    what = _what_it_is(blocks) if blocks else "the file is empty."
    raise FormatError(f"{path}: a list of micrographs has a column _{_MICROGRAPH}: {what}")


def write_star(parts: Sequence[Boxes], path: Path) -> None:
    """Write the coordinates of one micrograph without its name, as RELION's own picker does.

    RELION asks that all files of one job have the same columns, so every file has them. An unknown confidence, as
    labels have, is -999, as in RELION's own files.
    """
    (boxes,) = parts
    table = StarTable([_X, _Y, _SCORE])
    write_text_atomically(
        path, format_star([StarBlock("", table=table, rows=_coordinate_rows(boxes, path))], version=_VERSION)
    )


def write_joined_star(parts: Sequence[Boxes], path: Path) -> None:
    """Write one STAR for several micrographs, with their names verbatim in each row; one without picks has no row.

    The layout is that of RELION 3.0, one unnamed block, for other programs: RELION 3.1 and later want the optics block
    that `write_particles_star` writes.
    """
    names = micrograph_names(parts, path, f"_{_MICROGRAPH}")
    write_text_atomically(path, format_star([_joined(parts, names, path)]))


def write_cryosparc_star(parts: Sequence[Boxes], path: Path) -> None:
    """Write the joined STAR for cryoSPARC's Import Particle Stack: micrographs by base name, no optics."""
    names = [base_name(name) for name in micrograph_names(parts, path, f"_{_MICROGRAPH}")]
    refuse_twins(names, parts, path)
    write_text_atomically(path, format_star([_joined(parts, names, path)]))


def write_coordinate_files_star(rows: Iterable[tuple[str, str]], path: str | Path) -> None:
    """Write RELION's `autopick.star`, which names the coordinate file of each micrograph.

    Parameters
    ----------
    rows
        (micrograph, coordinate file), both relative to the RELION project. The micrograph's name must equal the string
        in the job's input STAR, character for character. Otherwise RELION finds no particles, and does not say so.
    path
        Where to write.
    """
    rows = list(rows)
    table = table_of({_MICROGRAPH: [row[0] for row in rows], _COORDINATES: [str(row[1]) for row in rows]})
    write_text_atomically(path, format_star([StarBlock("coordinate_files", table=table)], version=_VERSION))


def coordinates_table(boxes: Boxes, path: Path) -> StarTable:
    """Return the centres and confidences inside one micrograph; a warning about the others names `path`."""
    table = StarTable([_X, _Y, _SCORE])
    table.rows += [line.split(" ") for line in _coordinate_rows(boxes, path).splitlines()]
    return table


def _joined(parts: Sequence[Boxes], names: Sequence[str], path: Path) -> StarBlock:
    of_each = [_coordinate_rows(boxes, path, name) for name, boxes in zip(names, parts, strict=True)]
    return StarBlock("", table=StarTable([_MICROGRAPH, _X, _Y, _SCORE]), rows="".join(of_each))


def _coordinate_rows(boxes: Boxes, path: Path, name: str | None = None) -> str:
    """Return rows of centres and confidences inside one micrograph, after its name if there is one to write."""
    boxes = keep_inside(boxes, path)
    score = np.nan_to_num(boxes.confidence, nan=_UNKNOWN)
    # A name that cannot be written is refused for its rows only.
    first = [] if name is None or not len(boxes) else [quote(name)]
    return format_rows([*first, boxes.x, boxes.y, score])


def _confidences(table: StarTable, path: Path) -> FloatArray:
    """Return the figures of merit, NaN where RELION had none."""
    if _SCORE not in table:
        return np.full(len(table), np.nan)
    confidence = parse_optionals(table.column(_SCORE), table.lines, what=f"_{_SCORE}", path=path)
    confidence[confidence == _UNKNOWN] = np.nan
    if _PSI in table:
        # These two numbers together mark a pick by hand, even among picks of a program.
        psi = parse_optionals(table.column(_PSI), table.lines, what=f"_{_PSI}", path=path)
        confidence[(confidence == 0) & (psi == _UNKNOWN)] = np.nan
    return confidence


def _without_manual_zeros(boxes: Boxes) -> Boxes:
    """Return the boxes of one micrograph, with no confidence if all of theirs are 0.

    ManualPick of RELION 5.0.1 and later writes 0 for a figure of merit that it does not have.
    """
    if not len(boxes) or (boxes.confidence != 0).any():
        return boxes
    return dataclasses.replace(boxes, confidence=np.full(len(boxes), np.nan))


def _pixel_sizes(tables: Sequence[StarTable]) -> dict[str, float | None]:
    """Return Å per pixel of each optics group's micrographs, not of its particle images, which may be binned."""
    for table in tables:
        if _GROUP in table and _X not in table:
            # The movies' pixel size would override that of the micrographs' headers, which is more often right.
            return {fields[_GROUP]: pixel_size_of_row({**fields, ORIGINAL: "0"}) for fields, _ in rows_of(table)}
    return {}


def what_star_holds(path: Path) -> str | None:
    """Return one sentence on what a STAR file without coordinates holds; None if it is not a STAR file of RELION."""
    try:
        blocks = parse_star(read_lines(path), path)
    except FormatError:
        return None
    return _what_it_is(blocks) if blocks else None


def _what_it_is(blocks: Sequence[StarBlock]) -> str:
    """Return one sentence on what a STAR file without coordinates holds, and what to give instead."""
    labels = {label for block in blocks for label in block.as_table().labels}
    if _MOVIE in labels and _MICROGRAPH not in labels:
        return "these are movies; run motion correction first, and give the star of micrographs that it writes."
    if _COORDINATES in labels:
        return "this lists the coordinate files of a job, not coordinates."
    tomograms = sorted(label for label in labels if label.startswith("rlnTomo"))
    if tomograms:
        return f"this is about tomograms (_{tomograms[0]}), and only 2-D micrographs are supported."
    if _MICROGRAPH in labels and _X not in labels:
        return f"this lists micrographs, but holds no coordinates (_{_X}, _{_Y}); give the picking job's star."
    names = ", ".join("data_" + block.name for block in blocks)
    return f"no table here has _{_X} and _{_Y}; the blocks are {names}."
