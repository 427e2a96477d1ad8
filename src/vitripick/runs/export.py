"""Which files a run folder gets for its picks, and where they lie."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from vitripick.atomic import write_bytes_atomically
from vitripick.errors import UsageError, parameter
from vitripick.formats import FORMATS, MicrographFile, OpticsGroup, write_joined_picks, write_picks
from vitripick.formats.picks.table import written_formats
from vitripick.geometry import Boxes, Image
from vitripick.picking.junk import junk_mask_png, read_junk
from vitripick.pictures import draw_overlay, thumbnail_jpeg
from vitripick.run_layout import PICTURES, STORE_FORMAT, Place, RunLayout
from vitripick.runs.record import Record, read_stored
from vitripick.settings.pick import PickSettings

NEED_THE_IMAGE = {"overlay", "thumbnail"}
# The junk map is the network's, whatever the threshold of the picks.
_NOT_OF_THE_THRESHOLD = ("junk", "junk_mask")


class ExportError(UsageError):
    """A format cannot hold what was picked; the picks are safe, and all other files are written."""


def place_of(name: str) -> Place:
    """Return where the files of a format, or of `overlay`, `thumbnail`, `junk` and `junk_mask`, lie."""
    return PICTURES[name] if name in PICTURES else FORMATS[name].place


def check_formats(formats: Sequence[str], micrographs: Sequence[str]) -> None:
    """Raise `UsageError`, before anything is picked, for a format that `pick` cannot write for these names."""
    for name in formats:
        if name not in written_formats():
            raise UsageError(
                f"{parameter('formats', (name,), quoted=True)}: not a format picks are written in; there are: "
                f"{', '.join(sorted(written_formats()))}."
            )
        entry = FORMATS[name]
        seen: dict[str, str] = {}
        for micrograph in micrographs if entry.base_name is not None else ():
            assert entry.base_name is not None
            other = seen.setdefault(entry.base_name(PurePosixPath(micrograph)), micrograph)
            if other != micrograph:
                raise UsageError(
                    f"{parameter('formats', (name,))} knows micrographs by base name, and {other} and {micrograph} "
                    f"share it; pick their folders into different {parameter('out')}, or leave out this format."
                )
        blank = next((one for one in micrographs if any(map(str.isspace, one))), None)
        if entry.splits_at_blanks and blank is not None:
            raise UsageError(
                f"{parameter('formats', (name,))}: this format cannot hold the name {blank!r} with its blank; rename "
                "the file or its folder, or leave out this format."
            )


def exports_of(settings: PickSettings) -> tuple[str, ...]:
    """Return all that is written of one micrograph, each once, by name; the store is the first."""
    pictures = {"overlay": settings.overlays, "thumbnail": settings.thumbnails, "junk_mask": settings.junk_masks}
    single = [name for name in settings.formats if FORMATS[name].joined_name is None]
    return tuple(dict.fromkeys([STORE_FORMAT, *single, *(name for name, wanted in pictures.items() if wanted)]))


def threshold_of(name: str, threshold: float) -> float:
    """The threshold that one export is written with, of the run's; 0 for those to which it does not matter."""
    keeps_all = name in _NOT_OF_THE_THRESHOLD if name in PICTURES else FORMATS[name].keeps_all
    return 0.0 if keeps_all else threshold


def write_exports(
    picks: Boxes, image: Image | None, layout: RunLayout, stem: str, names: Iterable[str], threshold: float
) -> None:
    """One micrograph's picks in each of these per-micrograph formats and pictures.

    Overlays and thumbnails need its `image`; overlays and junk masks take the junk map that is kept beside the picks.
    """
    for name in names:
        path = layout.path(stem, place_of(name))
        if name in FORMATS:
            write_picks(picks, path, format=name, threshold=threshold_of(name, threshold))
        elif name == "junk_mask":
            junk = read_junk(layout.junk(stem))
            if junk is not None and picks.shape is not None:
                write_bytes_atomically(path, junk_mask_png(junk, picks.shape))
        elif image is not None and name == "overlay":
            junk = read_junk(layout.junk(stem))
            draw_overlay(image, picks.above(threshold), path, title=picks.micrograph, junk=junk)
        elif image is not None:
            write_bytes_atomically(path, thumbnail_jpeg(image, picks.above(threshold)))


@dataclass(frozen=True)
class RunEntry:
    """One micrograph that is done, for the files that speak of the whole run.

    Attributes
    ----------
    file, record
        Which one, and what was made of it.
    """

    file: MicrographFile
    record: Record


def write_run_exports(
    layout: RunLayout,
    entries: Sequence[RunEntry],
    formats: Sequence[str],
    threshold: float,
    *,
    remembered: dict[str, tuple[Record, Boxes]] | None = None,
) -> None:
    """The files that speak of the whole run: RELION's `autopick.star` and the joined formats.

    Parameters
    ----------
    layout
        Of the run folder; picks come from its store.
    entries
        Each micrograph that is done.
    formats, threshold
        As the user asked.
    remembered
        Picks by stem that a watcher keeps from one call to the next; filled here. A store of 300 picks takes 3 ms to
        read, 20,000 of them a minute in which nothing is picked.

    Raises
    ------
    ExportError
        At the end, when the others are written, if some formats cannot hold what was picked.
    """
    for kind in (FORMATS[name] for name in dict.fromkeys(formats)):
        if kind.write_list is not None:
            rows = [(relion_name(entry.file), str(layout.path(entry.record.stem, kind.place))) for entry in entries]
            kind.write_list(rows, layout.autopick_star)
    joined = {name: file for name in formats if (file := FORMATS[name].joined_name) is not None}
    if not joined:
        return
    remembered = {} if remembered is None else remembered
    stored = []
    for record in (entry.record for entry in entries):
        known = remembered.get(record.stem)
        if known is None or known[0] != record:
            known = record, read_stored(layout, record).above(threshold)
            remembered[record.stem] = known
        stored.append(known[1])
    refused: dict[str, UsageError] = {}
    for name, file in joined.items():
        parts, optics = stored, None
        if FORMATS[name].takes_optics:  # a format of RELION, which finds micrographs by its own names
            parts = [boxes.renamed(relion_name(entry.file)) for boxes, entry in zip(stored, entries, strict=True)]
            optics = [_optics(entry) for entry in entries]
        try:
            write_joined_picks(parts, layout.out / file, format=name, optics=optics)
        except UsageError as error:
            refused[name] = error
    if refused:
        raise ExportError(
            f"{' '.join(map(str, refused.values()))} Everything but {parameter('formats', tuple(refused))} is "
            f"written to {layout.out}; run again without it, or with what is missing."
        )


def _optics(entry: RunEntry) -> OpticsGroup | None:
    """The group of the STAR with the pixel size that was picked with, which --pixel-size may have changed."""
    if entry.file.optics is None or entry.record.pixel_size is None:
        return entry.file.optics
    return dataclasses.replace(entry.file.optics, pixel_size=entry.record.pixel_size)


def relion_name(file: MicrographFile) -> str:
    """RELION finds a micrograph by exact string equality: the name in a STAR verbatim, else the path as typed."""
    return file.name if file.from_star else str(file.path)
