"""Decide which files a run folder gets for its picks and where they lie, and write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from vitripick.atomic import write_bytes_atomically
from vitripick.errors import UsageError, parameter
from vitripick.formats import FORMATS, write_joined_picks, write_picks
from vitripick.formats.picks.table import written_formats
from vitripick.formats.star.optics import warn_of_unknown_optics
from vitripick.geometry import Boxes, Image
from vitripick.picking.junk import junk_mask_png, read_junk
from vitripick.pictures import draw_overlay, thumbnail_jpeg
from vitripick.run_layout import PICTURES, STORE_FORMAT, Place, RunLayout
from vitripick.runs.record import Record, read_exported
from vitripick.settings.pick import PickSettings

NEED_THE_IMAGE = {"overlay", "thumbnail"}
# The junk map comes from the network, so neither threshold nor filters of the picks change these.
NOT_OF_THE_PICKS = {"junk", "junk_mask"}


class ExportError(UsageError):
    """Says that a format cannot hold the picks; the picks are safe, and all other files are written."""


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
    """Return the names of all files that are written for one micrograph, the store first."""
    pictures = {"overlay": settings.overlays, "thumbnail": settings.thumbnails, "junk_mask": settings.junk_masks}
    single = [name for name in settings.formats if FORMATS[name].joined_name is None]
    return tuple(dict.fromkeys([STORE_FORMAT, *single, *(name for name, wanted in pictures.items() if wanted)]))


def listed_before(layout: RunLayout) -> list[str]:
    """Return the formats that an earlier call wrote a list of files for; every micrograph needs such a file."""
    return [name for name, entry in FORMATS.items() if entry.write_list is not None and layout.autopick_star.is_file()]


def threshold_of(name: str, threshold: float) -> float:
    """Return the threshold that one export is written with: the run's `threshold`, or 0 if it keeps all picks."""
    keeps_all = name in NOT_OF_THE_PICKS if name in PICTURES else FORMATS[name].keeps_all
    return 0.0 if keeps_all else threshold


def write_exports(
    picks: Boxes, image: Image | None, layout: RunLayout, stem: str, names: Iterable[str], threshold: float
) -> None:
    """Write one micrograph's picks in each of these per-micrograph formats and pictures.

    Overlays and thumbnails need its `image`. Overlays and junk masks use the junk map that is stored beside the picks.
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


def write_run_exports(
    layout: RunLayout,
    records: Sequence[Record],
    formats: Sequence[str],
    threshold: float,
    *,
    remembered: dict[str, tuple[Record, Boxes]] | None = None,
) -> None:
    """Write the files that describe the whole run: RELION's `autopick.star` and the joined formats.

    Parameters
    ----------
    layout
        The layout of the run folder; picks come from its store.
    records
        One for each micrograph that is done.
    formats, threshold
        The formats and the threshold that the user asked for.
    remembered
        Picks by stem that a watcher keeps from one call to the next; they are added here. A store of 300 picks takes
        3 ms to read. 20,000 stores would take a minute in which nothing is picked.

    Raises
    ------
    ExportError
        If some formats cannot hold what was picked; it comes at the end, when the others are written.
    """
    for kind in (FORMATS[name] for name in dict.fromkeys(formats)):
        if kind.write_list is not None:
            rows = [(record.relion_name, str(layout.path(record.stem, kind.place))) for record in records]
            kind.write_list(rows, layout.autopick_star)
    joined = {name: file for name in formats if (file := FORMATS[name].joined_name) is not None}
    if not joined:
        return
    remembered = {} if remembered is None else remembered
    stored = []
    for record in records:
        known = remembered.get(record.stem)
        if known is None or known[0] != record:
            known = record, read_exported(layout, record).above(threshold)
            remembered[record.stem] = known
        stored.append(known[1])
    refused: dict[str, UsageError] = {}
    for name, file in joined.items():
        parts, optics = stored, None
        if FORMATS[name].takes_optics:  # RELION finds micrographs by its own names
            parts = [boxes.renamed(record.relion_name) for boxes, record in zip(stored, records, strict=True)]
            optics = [record.optics for record in records]
        try:
            write_joined_picks(parts, layout.out / file, format=name, optics=optics)
        except UsageError as error:
            refused[name] = error
    if refused:
        raise ExportError(
            f"{' '.join(map(str, refused.values()))} Everything but {parameter('formats', tuple(refused))} is "
            f"written to {layout.out}; run again without it, or with what is missing."
        )


def warn_of_refused_exports(layout: RunLayout, records: Iterable[Record], formats: Sequence[str]) -> None:
    """Warn about files of the whole run that RELION will refuse, because the microscope is not known."""
    groups = {record.optics_group for record in records if record.n_picks}
    for name in dict.fromkeys(formats):
        entry = FORMATS[name]
        if entry.takes_optics and entry.joined_name is not None:
            warn_of_unknown_optics(groups, layout.out / entry.joined_name, pixel_size_by=parameter("pixel_size"))
