"""Write the picks of some classes as picks, and all others as known non-particles."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vitripick.errors import UsageError, parameter
from vitripick.formats import FORMATS, write_joined_picks, write_picks
from vitripick.formats.picks.table import written_formats
from vitripick.formats.star.particles import write_particles_star
from vitripick.geometry import Boxes
from vitripick.run_layout import RunLayout
from vitripick.runs.class_files import Members, RunClasses
from vitripick.settings.classes import GOOD

KEPT, REJECTED, KEPT_STAR = "kept", "rejected.star", "kept.star"


@dataclass(frozen=True)
class Culled:
    """Says what `keep_classes` wrote.

    Attributes
    ----------
    folder
        The folder of the kept picks.
    kept, rejected
        STAR files of all micrographs, to train with: labels and known non-particles.
    numbers
        The classes that were kept.
    n_kept, n_rejected
        Picks.
    """

    folder: Path
    kept: Path
    rejected: Path
    numbers: tuple[int, ...]
    n_kept: int
    n_rejected: int


def chosen_numbers(found: RunClasses, which: str) -> tuple[int, ...]:
    """Return the numbers that a list such as `1,3,5` names, or those that seem to show particles for `good`.

    Raises
    ------
    UsageError
        If a class is not there.
    """
    if which == GOOD:
        return found.good
    numbers = tuple(dict.fromkeys(int(number) for number in which.split(",")))
    known = {one.number for one in found.classes}
    if strangers := [number for number in numbers if number not in known]:
        raise UsageError(
            f"{parameter('keep_classes', which)}: there is no class {', '.join(map(str, strangers))}; the classes are "
            f"1 to {max(known)}."
        )
    return numbers


def kept_of(part: Members, which: str, numbers: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Return which picks of a micrograph are kept, (n,).

    If a person chose the classes, all their picks are kept. With `good`, picks are left out that are as faint as noise,
    or that show far more beside the particle than the others.
    """
    kept = np.isin(part.class_number, list(numbers))
    return kept & part.fits if which == GOOD else kept


def keep_classes(
    found: RunClasses,
    which: str,
    out: Path,
    *,
    formats: Sequence[str],
    recentre: bool = False,
    box_size_px: float | None,
) -> Culled:
    """Write the picks of some classes, and those of all others.

    Parameters
    ----------
    found
        The classes of a run.
    which
        Numbers with commas between them, or `good`.
    out
        The folder of the classes.
    formats
        Formats of the kept picks; joined ones and lists of files, too.
    recentre
        Whether kept picks are moved to where their particle lies. Rejected ones stay: a shift towards the average of
        junk means nothing.
    box_size_px
        Size of the boxes, where a format holds one; None for none.

    Raises
    ------
    UsageError
        If a class is not there, or a format cannot hold the picks.
    """
    numbers = chosen_numbers(found, which)
    unknown = [name for name in formats if name not in written_formats()]
    if unknown:
        raise UsageError(
            f"{parameter('formats', tuple(unknown), quoted=True)}: not a format picks are written in; there are: "
            f"{', '.join(sorted(written_formats()))}."
        )
    layout = RunLayout(out / KEPT)
    kept: list[Boxes] = []
    rejected: list[Boxes] = []
    for part in found.members:
        which_kept = kept_of(part, which, numbers)
        boxes = _boxes(part, box_size_px)
        moved = dataclasses.replace(boxes, x=boxes.x + part.shift_px[:, 0], y=boxes.y + part.shift_px[:, 1])
        kept.append((moved if recentre else boxes).select(which_kept))
        rejected.append(boxes.select(~which_kept))
    records = [part.record for part in found.members]
    for name in dict.fromkeys(formats):
        entry = FORMATS[name]
        if entry.joined_name is None:
            for boxes, record in zip(kept, records, strict=True):
                write_picks(boxes, layout.path(record.stem, entry.place), format=name)
            if entry.write_list is not None:
                rows = [(record.relion_name, str(layout.path(record.stem, entry.place))) for record in records]
                entry.write_list(rows, layout.autopick_star)
            continue
        parts = kept
        if entry.takes_optics:
            parts = [boxes.renamed(record.relion_name) for boxes, record in zip(kept, records, strict=True)]
        optics = [record.optics for record in records] if entry.takes_optics else None
        write_joined_picks(parts, layout.out / entry.joined_name, format=name, optics=optics)
    for parts, name in ((kept, KEPT_STAR), (rejected, REJECTED)):
        named = [boxes.renamed(record.relion_name) for boxes, record in zip(parts, records, strict=True)]
        write_particles_star(named, out / name, optics=[record.optics for record in records])
    return Culled(layout.out, out / KEPT_STAR, out / REJECTED, numbers, sum(map(len, kept)), sum(map(len, rejected)))


def _boxes(part: Members, box_size_px: float | None) -> Boxes:
    return part.picks if box_size_px is None else part.picks.with_size(box_size_px)
