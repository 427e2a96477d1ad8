"""Find the pixel size of micrographs in a STAR file; every version of RELION writes it in another column."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from vitripick.formats.star.dialect import StarTable
from vitripick.formats.text import parse_pixel_size

log = logging.getLogger("vitripick")

# RELION 3.1 and later: the micrographs' own, and that of the movie, which motion correction may have binned.
PIXEL_SIZE, ORIGINAL = "rlnMicrographPixelSize", "rlnMicrographOriginalPixelSize"
# RELION 3.0 and earlier: µm of the detector, by the magnification.
DETECTOR, MAGNIFICATION = "rlnDetectorPixelSize", "rlnMagnification"
_ANGSTROM_PER_MICROMETRE = 1e4


def pixel_size_of_row(fields: Mapping[str, str]) -> float | None:
    """Return Å per pixel of a micrograph, from one row of a STAR; None where no number above zero says it.

    The first one that exists counts: the micrograph's own, then detector pixel and magnification, then the movie's.
    `fields` holds the values of the row by label.
    """
    if PIXEL_SIZE in fields:
        return parse_pixel_size(fields[PIXEL_SIZE])
    if DETECTOR in fields and MAGNIFICATION in fields:
        detector, magnification = parse_pixel_size(fields[DETECTOR]), parse_pixel_size(fields[MAGNIFICATION])
        if detector is None or magnification is None:
            return None
        return parse_pixel_size(f"{detector * _ANGSTROM_PER_MICROMETRE / magnification:.6g}")
    return parse_pixel_size(fields.get(ORIGINAL, ""))


def warn_of_original(table: StarTable, path: Path) -> None:
    """Warn if the only pixel size of a table is the movie's, because micrographs may be binned."""
    has_own = PIXEL_SIZE in table or (DETECTOR in table and MAGNIFICATION in table)
    if ORIGINAL in table and not has_own and len(table):
        log.warning(
            "%s: _%s is missing, so _%s is used, the pixel size of the movies. It is wrong if motion correction binned "
            "them.",
            path,
            PIXEL_SIZE,
            ORIGINAL,
        )


def rows_of(table: StarTable) -> Sequence[tuple[dict[str, str], int]]:
    """Return the fields by label and the line of each row."""
    return [
        (dict(zip(table.labels, row, strict=True)), line) for row, line in zip(table.rows, table.lines, strict=True)
    ]
