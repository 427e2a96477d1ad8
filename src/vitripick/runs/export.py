"""Which files a run folder gets for its picks, and where they lie."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vitripick.atomic import write_bytes_atomically
from vitripick.errors import UsageError
from vitripick.formats import (
    FORMATS,
    MicrographFile,
    OpticsGroup,
    read_picks,
    write_coordinate_files_star,
    write_joined_picks,
    write_particles_star,
    write_picks,
)
from vitripick.geometry import Boxes, Image
from vitripick.picking.junk import junk_mask_png, read_junk
from vitripick.runs.record import Record

# One file a micrograph: format to (folder, what follows the stem). RELION looks for `_autopick.star`, EMAN2 for
# `_info.json`.
_SINGLE = {
    "star": ("star", "_autopick.star"),
    "cbox": ("cbox", ".cbox"),
    "box": ("box", ".box"),
    "csv": ("csv", ".csv"),
    "eman2": ("info", "_info.json"),
    "warp": ("warp", "_vitripick.star"),
}
_PICTURES = {
    "overlay": ("overlays", ".png"),
    "thumbnail": ("thumbnails", ".jpg"),
    "junk": ("junk", ".png"),
    "junk_mask": ("junk_masks", ".png"),
}
# One file a run, rebuilt from the stored picks.
_JOINED = {
    "particles-star": "particles.star",
    "cs": "particles.cs",
    "cryosparc-star": "particles_cryosparc.star",
    "topaz": "particles_topaz.txt",
    "cistem": "particles_cistem.txt",
}
# The threshold does not matter to these: every pick down to the floor, with its confidence; the junk map.
_KEEPS_ALL = ("cbox", "csv", "junk", "junk_mask")

# These know micrographs by base name only.
_BASE_NAME_ONLY = {"cryosparc-star": lambda path: path.name, "topaz": lambda path: path.stem}


class ExportError(UsageError):
    """A format cannot hold what was picked; the picks are safe, and all other files are written."""


@dataclass(frozen=True)
class RunLayout:
    """Where the files of a run lie.

    Attributes
    ----------
    out
        The run folder, with the store, the records and the joined files.
    star_folder
        Where the per-micrograph STAR files and `autopick.star` go instead, in a RELION job.
    """

    out: Path
    star_folder: Path | None = None

    def path(self, stem: str, name: str) -> Path:
        """Where one micrograph's file of this format, its `overlay`, `thumbnail`, `junk` or `junk_mask` lies."""
        folder, ending = _SINGLE[name] if name in _SINGLE else _PICTURES[name]
        if name == "star" and self.star_folder is not None:
            return self.star_folder / f"{stem}{ending}"
        return self.out / folder / f"{stem}{ending}"

    @property
    def autopick_star(self) -> Path:
        """RELION's table of the per-micrograph STAR files."""
        return (self.star_folder or self.out) / "autopick.star"


def check_formats(formats: Sequence[str], micrographs: Sequence[str]) -> None:
    """Raise `UsageError`, before anything is picked, for a format that `pick` cannot write for these names."""
    for name in formats:
        if name not in _SINGLE and name not in _JOINED:
            raise UsageError(
                f"--format {name!r}: not a format picks are written in; there are: "
                f"{', '.join(sorted([*_SINGLE, *_JOINED]))}."
            )
        seen: dict[str, str] = {}
        for micrograph in micrographs if name in _BASE_NAME_ONLY else ():
            other = seen.setdefault(_BASE_NAME_ONLY[name](PurePosixPath(micrograph)), micrograph)
            if other != micrograph:
                raise UsageError(
                    f"--format {name} knows micrographs by base name, and {other} and {micrograph} share it; pick "
                    "their folders into different --out, or leave out this format."
                )
        blank = next((one for one in micrographs if any(map(str.isspace, one))), None)
        if name == "cistem" and blank is not None:
            raise UsageError(
                f"--format cistem: cisTEM's text cannot hold the name {blank!r} with its blank; rename the file or its "
                "folder, or leave out this format."
            )
    assert set(_SINGLE) | set(_JOINED) <= set(FORMATS)


def per_micrograph(formats: Iterable[str]) -> tuple[str, ...]:
    """Those of `formats` that are written for each micrograph, each once."""
    return tuple(name for name in dict.fromkeys(formats) if name not in _JOINED)


def threshold_of(name: str, threshold: float) -> float:
    """The threshold that one export is written with, of the run's; 0 for those to which it does not matter."""
    return 0.0 if name in _KEEPS_ALL else threshold


def write_exports(
    picks: Boxes, image: Image | None, layout: RunLayout, stem: str, names: Iterable[str], threshold: float
) -> None:
    """One micrograph's picks in each of these per-micrograph formats and pictures.

    Overlays and thumbnails need its `image`; overlays and junk masks take the junk map that is kept beside the picks.
    """
    for name in names:
        path = layout.path(stem, name)
        if name in _SINGLE:
            write_picks(picks, path, format=name, threshold=threshold_of(name, threshold))
        elif name == "junk_mask":
            junk = read_junk(layout.path(stem, "junk"))
            if junk is not None and picks.shape is not None:
                write_bytes_atomically(path, junk_mask_png(junk, picks.shape))
        elif image is not None and name == "overlay":
            from vitripick.pictures import draw_overlay  # matplotlib comes along, a quarter of a second

            junk = read_junk(layout.path(stem, "junk"))
            draw_overlay(image, picks.above(threshold), path, title=picks.micrograph, junk=junk)
        elif image is not None:
            from vitripick.pictures import thumbnail_jpeg

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
    if "star" in formats:
        rows = [(relion_name(entry.file), str(layout.path(entry.record.stem, "star"))) for entry in entries]
        write_coordinate_files_star(rows, layout.autopick_star)
    joined = [name for name in dict.fromkeys(formats) if name in _JOINED]
    if not joined:
        return
    remembered = {} if remembered is None else remembered
    stored = []
    for record in (entry.record for entry in entries):
        known = remembered.get(record.stem)
        if known is None or known[0] != record:
            picks = read_picks(layout.path(record.stem, "cbox"), format="cbox").above(threshold)
            known = record, picks.of(micrograph=record.name, shape=record.shape, pixel_size=record.pixel_size)
            remembered[record.stem] = known
        stored.append(known[1])
    refused: dict[str, UsageError] = {}
    for name in joined:
        path = layout.out / _JOINED[name]
        try:
            if name == "particles-star":
                named = [boxes.renamed(relion_name(entry.file)) for boxes, entry in zip(stored, entries, strict=True)]
                write_particles_star(named, path, optics=[_optics(entry) for entry in entries])
            else:
                write_joined_picks(stored, path, format=name)
        except UsageError as error:
            refused[name] = error
    if refused:
        raise ExportError(
            f"{' '.join(map(str, refused.values()))} Everything but --format {', '.join(refused)} is written to "
            f"{layout.out}; run again without it, or with what is missing."
        )


def _optics(entry: RunEntry) -> OpticsGroup | None:
    """The group of the STAR with the pixel size that was picked with, which --pixel-size may have changed."""
    if entry.file.optics is None or entry.record.pixel_size is None:
        return entry.file.optics
    return dataclasses.replace(entry.file.optics, pixel_size=entry.record.pixel_size)


def relion_name(file: MicrographFile) -> str:
    """RELION finds a micrograph by exact string equality: the name in a STAR verbatim, else the path as typed."""
    return file.name if file.from_star else str(file.path)
