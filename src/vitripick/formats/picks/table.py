"""The table of picks formats: what each is called, what it holds, and who reads and writes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from vitripick.errors import FormatError, InputError, UsageError
from vitripick.formats.picks.box import read_box, write_box
from vitripick.formats.picks.cbox import read_cbox, write_cbox
from vitripick.formats.picks.cistem import write_cistem
from vitripick.formats.picks.cs import read_cs, write_cs
from vitripick.formats.picks.csv_table import read_csv, write_csv
from vitripick.formats.picks.eman2 import is_eman2, read_eman2, write_eman2
from vitripick.formats.picks.topaz import read_topaz, write_topaz
from vitripick.formats.picks.warp import write_warp
from vitripick.formats.star.files import read_star, write_cryosparc_star, write_joined_star, write_star
from vitripick.formats.star.particles import write_particles_star
from vitripick.geometry import Boxes

Reader: TypeAlias = Callable[[Path], list[Boxes]]
Writer: TypeAlias = Callable[[Sequence[Boxes], Path], None]


@dataclass(frozen=True)
class PicksFormat:
    """One kind of picks file.

    Attributes
    ----------
    name
        As in `--to` and `--from`.
    suffixes
        Of its files; the first is the one we write.
    description
        One line for people.
    holds_size, holds_confidence
        Whether a file can say how large the boxes are, and how sure the model is.
    read
        All micrographs of one file, in the file's own pixels and direction of y.
    write
        One micrograph's boxes.
    write_joined
        Several micrographs' boxes into one file, where the format can.
    only_inside
        Picks whose centre lies outside the micrograph are left out of its files (`keep_inside`).
    """

    name: str
    suffixes: tuple[str, ...]
    description: str
    holds_size: bool
    holds_confidence: bool
    read: Reader | None
    write: Writer | None
    write_joined: Writer | None = None
    only_inside: bool = False

    @property
    def reads(self) -> bool:
        """Whether files of this kind can be read."""
        return self.read is not None

    @property
    def writes(self) -> bool:
        """Whether files of this kind can be written."""
        return self.write is not None

    @property
    def joins(self) -> bool:
        """Whether one file can hold several micrographs."""
        return self.write_joined is not None


FORMATS: dict[str, PicksFormat] = {
    entry.name: entry
    for entry in (
        PicksFormat(
            "star",
            (".star",),
            "RELION coordinates: centres",
            False,
            True,
            read_star,
            write_star,
            write_joined_star,
            only_inside=True,
        ),
        PicksFormat(
            "cbox",
            (".cbox",),
            "CBOX 1.0: boxes, estimated sizes, confidences",
            True,
            True,
            read_cbox,
            write_cbox,
        ),
        PicksFormat("box", (".box",), "EMAN1: corners and sizes, whole pixels", True, False, read_box, write_box),
        PicksFormat("eman2", (".json",), "EMAN2 info file: centres", False, False, read_eman2, write_eman2),
        PicksFormat(
            "cs",
            (".cs",),
            "cryoSPARC picks: centres as fractions",
            False,
            True,
            read_cs,
            write_cs,
            write_cs,
            only_inside=True,
        ),
        PicksFormat(
            "cryosparc-star",
            (".star",),
            "one star for cryoSPARC's Import Particle Stack",
            False,
            True,
            read_star,
            write_cryosparc_star,
            write_cryosparc_star,
            only_inside=True,
        ),
        PicksFormat(
            "topaz",
            (".txt", ".tsv"),
            "Topaz: centres, tab-separated",
            False,
            True,
            read_topaz,
            write_topaz,
            write_topaz,
        ),
        PicksFormat(
            "particles-star",
            (".star",),
            "one particles star for RELION 3.1 and later, with optics",
            False,
            True,
            read_star,
            write_particles_star,
            write_particles_star,
            only_inside=True,
        ),
        PicksFormat(
            "warp",
            (".star",),
            "Warp: centres, one star a micrograph",
            False,
            True,
            read_star,
            write_warp,
            only_inside=True,
        ),
        PicksFormat(
            "cistem",
            (".txt",),
            "cisTEM: centres in Å",
            False,
            False,
            None,
            write_cistem,
            write_cistem,
            only_inside=True,
        ),
        PicksFormat("csv", (".csv",), "plain CSV: centres, sizes, confidence", True, True, read_csv, write_csv),
    )
}

# Where two formats share a suffix, the first in FORMATS is the one a bare suffix means when writing.
KNOWN_SUFFIXES = tuple(dict.fromkeys(suffix for entry in FORMATS.values() for suffix in entry.suffixes))


def format_named(name: str) -> PicksFormat:
    """The format of this name, or a `UsageError` that lists all names."""
    if name not in FORMATS:
        raise UsageError(f"there is no picks format {name!r}; the formats are {', '.join(FORMATS)}.")
    return FORMATS[name]


def format_for_writing(path: Path, name: str | None) -> PicksFormat:
    """The format that `name`, or else the suffix of `path`, means."""
    if name is not None:
        return format_named(name)
    for entry in FORMATS.values():
        if path.suffix.lower() in entry.suffixes:
            return entry
    raise UsageError(
        f"{path}: the suffix {path.suffix!r} names no picks format; use one of {', '.join(KNOWN_SUFFIXES)}, "
        f"or name the format: {', '.join(FORMATS)}."
    )


def format_of_file(path: Path, name: str | None = None) -> PicksFormat:
    """The format of a file that is there: `name`, else its suffix, else (where formats share it) its content.

    Raises
    ------
    InputError
        If the file is not there.
    FormatError
        If it is no picks file we know.
    """
    if name is not None:
        return format_named(name)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    found = sniff(path)
    if found is None:
        raise FormatError(
            f"{path}: this is no picks file we know, by its suffix and by what it holds; name its format "
            f"with --from (format= in Python): {', '.join(FORMATS)}."
        )
    return found


def sniff(path: Path) -> PicksFormat | None:
    """The format of a file by suffix and content; None where it holds no picks, like a job's log."""
    suffix = path.suffix.lower()
    if suffix in (".cbox", ".box", ".cs"):
        return FORMATS[suffix[1:]]
    if suffix == ".json":
        return FORMATS["eman2"] if is_eman2(path) else None
    if suffix not in (".star", ".csv", ".txt", ".tsv"):
        return None
    start = _start_of(path)
    first_line = start.split("\n", 1)[0].strip()
    if first_line.startswith("image_name\t"):
        return FORMATS["topaz"]
    if suffix == ".csv":
        return FORMATS["csv"]
    if suffix == ".star":
        if "data_cryolo" in start:
            return FORMATS["cbox"]
        # Zero bytes: RELION's own star for a micrograph without picks.
        if not start.strip() or "_rlnCoordinateX" in start or "_rlnMicrographCoordinates" in start:
            return FORMATS["star"]
    return None


def _start_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            # Enough for every label of the optics block and the table behind it.
            return file.read(1 << 16).decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error
