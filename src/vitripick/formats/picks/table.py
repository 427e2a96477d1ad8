"""List the picks formats, one row for each; all other code looks formats up here.

To add a format: write one module that reads and writes it, and add one row (docs/formats.md, "Adding one").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from vitripick.errors import FormatError, InputError, UsageError, parameter
from vitripick.formats.names.stems import LABEL_ENDINGS, without_one_of
from vitripick.formats.picks.box import read_box, write_box
from vitripick.formats.picks.cbox import is_cbox, read_cbox, write_cbox
from vitripick.formats.picks.cistem import write_cistem
from vitripick.formats.picks.cs import read_cs, write_cs
from vitripick.formats.picks.csv_table import is_picks_csv, read_csv, write_csv
from vitripick.formats.picks.eman2 import is_eman2, read_eman2, write_eman2
from vitripick.formats.picks.topaz import is_topaz, read_topaz, write_topaz
from vitripick.formats.picks.warp import write_warp
from vitripick.formats.star.dialect import START_BYTES
from vitripick.formats.star.files import (
    is_relion_star,
    read_coordinate_files_star,
    read_star,
    what_star_holds,
    write_coordinate_files_star,
    write_cryosparc_star,
    write_joined_star,
    write_star,
)
from vitripick.formats.star.particles import write_particles_star
from vitripick.geometry import Boxes
from vitripick.run_layout import STAR, STORE, Place

Reader: TypeAlias = Callable[[Path], list[Boxes]]
Writer: TypeAlias = Callable[..., None]
Listing: TypeAlias = Callable[[Path], "list[tuple[str, str]] | None"]


@dataclass(frozen=True, kw_only=True)
class PicksFormat:
    """Describes one kind of picks file.

    Attributes
    ----------
    name
        The format's name, as in `--format`, `--to` and `--from`.
    suffixes
        Suffixes of its files; vitripick writes the first. If two formats share a suffix and no name is given, the first
        in the table is written.
    description
        One line for the user.
    read
        Read all micrographs of one file, in the file's own pixels and direction of y. None: such files are not read.
    write
        Write the boxes of one micrograph, given as a sequence of one. None: such files are not written.
    write_joined
        Write the boxes of several micrographs into one file, where the format can hold them.
    holds_size, holds_confidence
        Whether a file can say how large the boxes are, and how sure the model is.
    recognise
        Whether a file holds this format, from its path and its first 64 KiB as text. Needed if formats share a suffix.
        Text further back counts, too, so it reads on if it has to.
    also_suffixes
        Suffixes under which other programs write this format, too.
    holds_picks
        Whether a file that was found by searching a folder holds picks at all. Files that are named are not asked.
    list_files
        Read a table of coordinate files, (micrograph, file) in each row; None for a file that is no such table.
    write_list
        Write such a table from rows of (micrograph, file), for the files of a whole run.
    only_inside
        Whether picks whose centre lies outside the micrograph are left out of its files (`keep_inside`).
    keeps_all
        Whether a run writes all its picks, also those below the threshold; other formats hold those at the threshold
        and above.
    takes_fractions
        Whether `write` has an option `float_coordinates` that keeps fractions of pixels.
    takes_optics
        Whether `write_joined` has an option `optics`, a group for each micrograph.
    folder, ending
        Where a run puts the file of each micrograph, and what follows the micrograph's stem; by default the format's
        name and its suffix.
    needs_ending
        Whether the next program looks for `ending`, so that other commands use it, too.
    joined_name
        The file of a whole run. With it, a run writes this one file and none for each micrograph.
    base_name
        The name that a file gives to a micrograph, if it is shorter than the path. Two micrographs with one such name
        cannot share a file.
    compares_names
        Whether the next program compares the names in the file with its own, character by character.
    splits_at_blanks
        Whether the next program splits a micrograph's name at a blank.
    """

    name: str
    suffixes: tuple[str, ...]
    description: str
    read: Reader | None = None
    write: Writer | None = None
    write_joined: Writer | None = None
    holds_size: bool = False
    holds_confidence: bool = False
    recognise: Callable[[Path, str], bool] | None = None
    also_suffixes: tuple[str, ...] = ()
    holds_picks: Callable[[Path], bool] | None = None
    list_files: Listing | None = None
    write_list: Callable[[Iterable[tuple[str, str]], Path], None] | None = None
    only_inside: bool = False
    keeps_all: bool = False
    takes_fractions: bool = False
    takes_optics: bool = False
    folder: str | None = None
    ending: str | None = None
    needs_ending: bool = False
    joined_name: str | None = None
    base_name: Callable[[PurePosixPath], str] | None = None
    compares_names: bool = False
    splits_at_blanks: bool = False

    @property
    def place(self) -> Place:
        """Return where a run puts the file of each micrograph."""
        return Place(self.folder or self.name, self.ending or self.suffixes[0])

    @property
    def plain_ending(self) -> str:
        """Return what follows a micrograph's stem in a folder of this format alone."""
        return self.place.ending if self.needs_ending else self.suffixes[0]


FORMATS: dict[str, PicksFormat] = {
    entry.name: entry
    for entry in (
        PicksFormat(
            name="star",
            suffixes=(".star",),
            description="RELION coordinates: centres",
            read=read_star,
            write=write_star,
            write_joined=write_joined_star,
            holds_confidence=True,
            recognise=is_relion_star,
            list_files=read_coordinate_files_star,
            write_list=write_coordinate_files_star,
            only_inside=True,
            compares_names=True,
            folder=STAR.folder,
            ending=STAR.ending,
        ),
        PicksFormat(
            name="cbox",
            suffixes=(".cbox",),
            description="CBOX 1.0: boxes, estimated sizes, confidences",
            read=read_cbox,
            write=write_cbox,
            holds_size=True,
            holds_confidence=True,
            recognise=is_cbox,
            also_suffixes=(".star",),
            keeps_all=True,
            folder=STORE.folder,
            ending=STORE.ending,
        ),
        PicksFormat(
            name="box",
            suffixes=(".box",),
            description="EMAN1: corners and sizes, whole pixels",
            read=read_box,
            write=write_box,
            holds_size=True,
            takes_fractions=True,
        ),
        PicksFormat(
            name="eman2",
            suffixes=(".json",),
            description="EMAN2 info file: centres",
            read=read_eman2,
            write=write_eman2,
            recognise=is_eman2,
            folder="info",
            ending="_info.json",
            needs_ending=True,
        ),
        PicksFormat(
            name="cs",
            suffixes=(".cs",),
            description="cryoSPARC picks: centres as fractions",
            read=read_cs,
            write=write_cs,
            write_joined=write_cs,
            holds_confidence=True,
            only_inside=True,
            joined_name="particles.cs",
        ),
        PicksFormat(
            name="cryosparc-star",
            suffixes=(".star",),
            description="one star for cryoSPARC's Import Particle Stack",
            read=read_star,
            write=write_cryosparc_star,
            write_joined=write_cryosparc_star,
            holds_confidence=True,
            recognise=is_relion_star,
            list_files=read_coordinate_files_star,
            only_inside=True,
            joined_name="particles_cryosparc.star",
            base_name=lambda path: path.name,
        ),
        PicksFormat(
            name="topaz",
            suffixes=(".txt", ".tsv"),
            description="Topaz: centres, tab-separated",
            read=read_topaz,
            write=write_topaz,
            write_joined=write_topaz,
            holds_confidence=True,
            recognise=is_topaz,
            also_suffixes=(".csv", ".star"),
            joined_name="particles_topaz.txt",
            base_name=lambda path: path.stem,
        ),
        PicksFormat(
            name="particles-star",
            suffixes=(".star",),
            description="one particles star for RELION 3.1 and later, with optics",
            read=read_star,
            write=write_particles_star,
            write_joined=write_particles_star,
            holds_confidence=True,
            recognise=is_relion_star,
            only_inside=True,
            takes_optics=True,
            compares_names=True,
            joined_name="particles.star",
        ),
        PicksFormat(
            name="warp",
            suffixes=(".star",),
            description="Warp: centres, one star a micrograph",
            read=read_star,
            write=write_warp,
            holds_confidence=True,
            recognise=is_relion_star,
            only_inside=True,
            ending="_vitripick.star",
        ),
        PicksFormat(
            name="cistem",
            suffixes=(".txt",),
            description="cisTEM: centres in Å",
            write=write_cistem,
            write_joined=write_cistem,
            only_inside=True,
            joined_name="particles_cistem.txt",
            splits_at_blanks=True,
        ),
        PicksFormat(
            name="csv",
            suffixes=(".csv",),
            description="plain CSV: centres, sizes, confidence",
            read=read_csv,
            write=write_csv,
            holds_size=True,
            holds_confidence=True,
            holds_picks=is_picks_csv,
        ),
    )
}


def known_suffixes() -> tuple[str, ...]:
    """Return the suffixes of all formats, each once, in the order of the table."""
    return tuple(dict.fromkeys(suffix for entry in FORMATS.values() for suffix in entry.suffixes))


def written_formats() -> dict[str, PicksFormat]:
    """Return the formats that are written, by name."""
    return {name: entry for name, entry in FORMATS.items() if entry.write is not None}


def without_picks_suffix(name: str) -> str:
    """Return `name` of a picks file without its suffix and one ending of `LABEL_ENDINGS`; folders stay.

    Examples
    --------
    >>> without_picks_suffix("grid1/a_autopick.star"), without_picks_suffix("a_DW.box")
    ('grid1/a', 'a_DW')
    """
    stem = without_one_of(name, known_suffixes())
    for ending in LABEL_ENDINGS:
        if stem.endswith(ending) and PurePosixPath(stem).name != ending:
            return stem.removesuffix(ending)
    return stem


def format_named(name: str) -> PicksFormat:
    """Return the format of this name, or raise a `UsageError` that lists all names."""
    if name not in FORMATS:
        raise UsageError(f"there is no picks format {name!r}; the formats are {', '.join(FORMATS)}.")
    return FORMATS[name]


def format_for_writing(path: Path, name: str | None) -> PicksFormat:
    """Return the format of this `name`, or else of the suffix of `path`."""
    if name is not None:
        return format_named(name)
    for entry in FORMATS.values():
        if path.suffix.lower() in entry.suffixes:
            return entry
    raise UsageError(
        f"{path}: the suffix {path.suffix!r} names no picks format; use one of {', '.join(known_suffixes())}, "
        f"or name the format: {', '.join(FORMATS)}."
    )


def format_of_file(path: Path, name: str | None = None) -> PicksFormat:
    """Return the format of a file that exists: `name`, else the one that suffix and content show.

    Raises
    ------
    InputError
        If the file is not there.
    FormatError
        If it is not a picks file of a known format.
    """
    if name is not None:
        return format_named(name)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    found = sniff(path)
    if found is None:
        what = what_star_holds(path) if path.suffix.lower() == ".star" else None
        if what is not None:
            raise FormatError(f"{path}: {what}")
        raise FormatError(
            f"{path}: neither the suffix nor the content is that of a known picks format; name the format "
            f"with {parameter('format')}: {', '.join(FORMATS)}."
        )
    return found


def sniff(path: Path) -> PicksFormat | None:
    """Return the format of a file by suffix and content; None if it holds no picks, such as a job's log."""
    suffix = path.suffix.lower()
    readable = [entry for entry in FORMATS.values() if entry.read is not None]
    asked = [e for e in readable if e.recognise is not None and suffix in (*e.suffixes, *e.also_suffixes)]
    start = _start_of(path) if asked else ""
    for entry in asked:
        if entry.recognise is not None and entry.recognise(path, start):
            return entry
    return next((entry for entry in readable if entry.recognise is None and suffix in entry.suffixes), None)


def _start_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            # This is enough for nearly every file; a format that needs more of it reads on (`star.dialect.mentions`).
            return file.read(START_BYTES).decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error
