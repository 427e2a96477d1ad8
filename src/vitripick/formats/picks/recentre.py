"""Move coordinates to where a classification or a refinement found their particles."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vitripick.errors import FormatError, MicrographError, parameter
from vitripick.formats.micrographs.files import read_header
from vitripick.formats.micrographs.finding import MicrographFile
from vitripick.formats.star.pixel_size import ORIGINAL
from vitripick.geometry import Boxes

log = logging.getLogger("vitripick")


def recentre(
    parts: Sequence[Boxes], path: str | Path, *, pixel_sizes: Sequence[float | None] | None = None
) -> list[Boxes]:
    """Return boxes with their refined shifts applied, and say so in the log; boxes without shifts stay as they are.

    Parameters
    ----------
    parts
        The boxes of each micrograph, in its full-size pixels.
    path
        The file or folder that they come from, for messages.
    pixel_sizes
        Å per pixel of each micrograph, where the caller knows it. Next comes that of the file itself, and last the
        movies' pixel size, with a warning.

    Raises
    ------
    FormatError
        If there are shifts, but no pixel size to apply them with.
    """
    given = pixel_sizes if pixel_sizes is not None else [None] * len(parts)
    moved, distances, by_movie = [], [], 0
    for boxes, known in zip(parts, given, strict=True):
        alignment = boxes.alignment
        if alignment is None or not alignment.moves:
            moved.append(boxes)
            continue
        if np.isnan(alignment.shift_angstrom).any():
            raise FormatError(
                f"{path}: its refined shifts are in pixels of the particle images, and it does not give the size of "
                f"these pixels; give {parameter('keep_coordinates', True)} to take the coordinates as they stand."
            )
        pixel_size = known or boxes.pixel_size
        if pixel_size is None and np.isfinite(alignment.movie_pixel_size).all():
            pixel_size = float(alignment.movie_pixel_size[0])
            by_movie += 1
        if pixel_size is None:
            raise FormatError(
                f"{path}: its particles have refined shifts, and the pixel size of "
                f"{boxes.micrograph or 'the micrograph'} is not known, so they cannot be applied; give "
                f"{parameter('pixel_size')}, or {parameter('keep_coordinates', True)} to take the coordinates as they "
                "stand."
            )
        after = boxes.recentred(pixel_size)
        distances.append(np.hypot(after.x - boxes.x, after.y - boxes.y))
        moved.append(after)
    if by_movie:
        log.warning(
            "%s: the shifts are applied with _%s, the pixel size of the movies. They are wrong if motion correction "
            "binned these; give %s.",
            path,
            ORIGINAL,
            parameter("pixel_size"),
        )
    if distances:
        distance = np.concatenate(distances)
        log.warning(
            "%s: %d of %d coordinates are moved by their refined shifts (median %.3g px, at most %.3g); %s leaves them "
            "as they stand",
            path,
            int((distance > 0).sum()),
            sum(map(len, parts)),
            float(np.median(distance)),
            float(distance.max()),
            parameter("keep_coordinates", True),
        )
    return moved


def recentre_in_micrographs(
    parts: Mapping[str, Boxes],
    files: Mapping[str, MicrographFile],
    path: str | Path,
    *,
    pixel_size: float | None = None,
) -> dict[str, Boxes]:
    """Return boxes with their refined shifts applied, as `recentre` does, with the pixel sizes of their micrographs.

    A given pixel size counts first, then that of a STAR of the micrographs, of the boxes' own file, and of the
    micrograph's header. A header of exactly 1 Å, which programs write if they do not know it, comes after the movies'
    pixel size.

    Parameters
    ----------
    parts
        Boxes by the name of their micrograph.
    files
        Micrographs by name.
    path, pixel_size
        The file or folder that the boxes come from; Å per pixel of all micrographs, where a person gave it.
    """
    sizes: list[float | None] = []
    usable = dict(parts)
    for name, boxes in parts.items():
        size = pixel_size or files[name].pixel_size or boxes.pixel_size
        if size is None and boxes.alignment is not None and boxes.alignment.moves:
            try:
                size = read_header(files[name].path).pixel_size
            except MicrographError:
                del usable[name]  # a micrograph that cannot be read is reported where it is read
                continue
            if size == 1.0 and np.isfinite(boxes.alignment.movie_pixel_size).all():
                size = None
        sizes.append(size)
    moved = dict(zip(usable, recentre(list(usable.values()), path, pixel_sizes=sizes), strict=True))
    return {name: moved.get(name, boxes) for name, boxes in parts.items()}


def of_classes(parts: Sequence[Boxes], classes: Sequence[int], path: str | Path) -> list[Boxes]:
    """Return only the boxes of these classes.

    Raises
    ------
    FormatError
        If the file has no classes, or a class holds no particle; the message names those that do.
    """
    known: set[int] = set()
    for boxes in parts:
        known |= set() if boxes.alignment is None else set(boxes.alignment.class_number.tolist())
    known -= {-1}
    if not known:
        raise FormatError(
            f"{path}: this file has no classes; leave out {parameter('classes')}, or give the file of a classification "
            "(_rlnClassNumber, alignments2D/class)."
        )
    empty = sorted(set(classes) - known)
    if empty:
        named = ", ".join(map(str, sorted(known)[:20])) + (", ..." if len(known) > 20 else "")
        raise FormatError(
            f"{path}: no particle is in class {', '.join(map(str, empty))}; the classes with particles are {named}."
        )
    kept = []
    for boxes in parts:
        if boxes.alignment is None:
            kept.append(boxes.select(slice(0, 0)))
        else:
            kept.append(boxes.select(np.isin(boxes.alignment.class_number, classes)))
    return kept


def without_alignment(boxes: Boxes) -> Boxes:
    """Return the boxes as the file has them, without the shifts and classes of a classification or refinement."""
    return dataclasses.replace(boxes, alignment=None)
