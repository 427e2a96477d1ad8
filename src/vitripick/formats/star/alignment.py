"""Read the shift and the class that RELION's classifications and refinements found for each particle.

RELION's shifts move the particle to the middle of its image ("Origin offsets reported for individual images translate
the image to its center", RELION's documentation, Conventions). So the particle lies at its coordinate minus the shift,
and `relion_preprocess --recenter` of 3.1.3 subtracts it, too (tests/live compares with it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vitripick.formats.star.dialect import StarTable
from vitripick.formats.star.pixel_size import DETECTOR, MAGNIFICATION, ORIGINAL, pixel_size_of_row, rows_of
from vitripick.formats.text import parse_numbers, parse_optionals, parse_pixel_size
from vitripick.geometry import Alignment, FloatArray
from vitripick.geometry.alignment import MOST_CLASSES

# RELION 3.1 and later write Å, the versions before pixels of the particle images.
_ANGSTROM = ("rlnOriginXAngst", "rlnOriginYAngst")
_PIXELS = ("rlnOriginX", "rlnOriginY")
_CLASS = "rlnClassNumber"
_GROUP, _IMAGE_PIXEL_SIZE = "rlnOpticsGroup", "rlnImagePixelSize"


def read_alignment(table: StarTable, tables: Sequence[StarTable], path: Path) -> Alignment | None:
    """Return the shifts and classes of a table of particles; None where it has neither.

    Parameters
    ----------
    table
        The table with the coordinates.
    tables
        All tables of the file: the optics block says how large the pixels are.
    path
        The path that errors name.

    Raises
    ------
    FormatError
        If a shift or a class is not a number.
    """
    n = len(table)
    optics = _optics(tables, table)
    groups = table.column(_GROUP) if _GROUP in table else ["1"] * n
    shift = np.zeros((n, 2))
    if all(label in table for label in _ANGSTROM):
        shift = _columns(table, _ANGSTROM, path)
    elif all(label in table for label in _PIXELS):
        shift = _columns(table, _PIXELS, path)
        # Without a size of the images' pixels, only a shift of 0 is known in Å.
        shift = np.where(shift == 0, 0.0, shift * _image_pixel_sizes(table, groups, optics)[:, None])
    classes = np.full(n, -1, np.int64)
    if _CLASS in table:
        # ManualPick writes -999 for a class that it does not have.
        found = np.nan_to_num(parse_optionals(table.column(_CLASS), table.lines, what=f"_{_CLASS}", path=path), nan=-1)
        classes = np.where((found > 0) & (found <= MOST_CLASSES), found, -1).astype(np.int64)
    if not shift.any() and (classes < 0).all():
        return None
    return Alignment(shift, classes, _by_group(groups, optics, ORIGINAL))


def _columns(table: StarTable, labels: tuple[str, str], path: Path) -> FloatArray:
    return np.column_stack(
        [parse_numbers(table.column(label), table.lines, what=f"_{label}", path=path) for label in labels]
    )


def _optics(tables: Sequence[StarTable], particles: StarTable) -> dict[str, dict[str, str]]:
    """Return the row of each optics group by its number as written."""
    for table in tables:
        if table is not particles and _GROUP in table:
            return {fields[_GROUP]: fields for fields, _ in rows_of(table)}
    return {}


def _image_pixel_sizes(table: StarTable, groups: Sequence[str], optics: Mapping[str, Mapping[str, str]]) -> FloatArray:
    """Return Å per pixel of each particle image, NaN where nothing says it.

    RELION 3.0 and older change the magnification when they scale images down, so it is that of the images.
    """
    if DETECTOR in table and MAGNIFICATION in table:
        pairs = zip(table.column(DETECTOR), table.column(MAGNIFICATION), strict=True)
        sizes = [pixel_size_of_row({DETECTOR: detector, MAGNIFICATION: zoom}) for detector, zoom in pairs]
    elif _IMAGE_PIXEL_SIZE in table:
        sizes = [parse_pixel_size(text) for text in table.column(_IMAGE_PIXEL_SIZE)]
    else:
        return _by_group(groups, optics, _IMAGE_PIXEL_SIZE)
    return np.array([np.nan if size is None else size for size in sizes], np.float64)


def _by_group(groups: Sequence[str], optics: Mapping[str, Mapping[str, str]], label: str) -> FloatArray:
    """Return Å per pixel of each row, as its optics group says it in the column `label`; NaN where it does not."""
    known = {group: parse_pixel_size(optics.get(group, {}).get(label, "")) for group in set(groups)}
    sizes = {group: np.nan if size is None else size for group, size in known.items()}
    return np.array([sizes[group] for group in groups], np.float64)
