"""Which files a run folder gets for its picks, and where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from vitripick.errors import UsageError
from vitripick.formats import (
    FORMATS,
    MicrographFile,
    read_picks,
    write_coordinate_files_star,
    write_joined_picks,
    write_picks,
)
from vitripick.geometry import Boxes

# One file a micrograph: format to (folder, what follows the stem). RELION looks for `_autopick.star`, EMAN2 for
# `_info.json`.
_SINGLE = {
    "star": ("star", "_autopick.star"),
    "cbox": ("cbox", ".cbox"),
    "box": ("box", ".box"),
    "csv": ("csv", ".csv"),
    "eman2": ("info", "_info.json"),
}
# One file a run, rebuilt from the stored picks.
_JOINED = {"cs": "particles.cs", "cryosparc-star": "particles_cryosparc.star", "topaz": "particles_topaz.txt"}
# These keep every pick down to the floor, with its confidence; the others get what is above the threshold.
_KEEPS_ALL = ("cbox", "csv")


# These know micrographs by base name only.
_BASE_NAME_ONLY = {"cryosparc-star": lambda path: path.name, "topaz": lambda path: path.stem}


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
    assert set(_SINGLE) | set(_JOINED) <= set(FORMATS)


def export_path(out: Path, stem: str, format_name: str) -> Path:
    """Where the picks of one micrograph lie in a run folder."""
    folder, ending = _SINGLE[format_name]
    return out / folder / f"{stem}{ending}"


def write_exports(picks: Boxes, out: Path, stem: str, formats: Sequence[str], threshold: float) -> None:
    """One micrograph's picks in every per-micrograph format asked for."""
    for name in dict.fromkeys(formats):
        if name in _SINGLE:
            kept = None if name in _KEEPS_ALL else threshold
            write_picks(picks, export_path(out, stem, name), format=name, threshold=kept)


def write_run_exports(
    out: Path,
    entries: Sequence[tuple[MicrographFile, str, tuple[int, int]]],
    formats: Sequence[str],
    threshold: float,
) -> None:
    """The files that speak of the whole run: RELION's `autopick.star` and the joined formats.

    Parameters
    ----------
    out
        The run folder; picks come from its store.
    entries
        (file, stem, shape) of each micrograph that is done.
    formats, threshold
        As the user asked.
    """
    if "star" in formats:
        # RELION finds a micrograph by exact string equality: names from a STAR verbatim, else the path as typed.
        rows = [
            (file.name if file.from_star else str(file.path), str(export_path(out, stem, "star")))
            for file, stem, _ in entries
        ]
        write_coordinate_files_star(rows, out / "autopick.star")
    joined = [name for name in dict.fromkeys(formats) if name in _JOINED]
    if joined:
        stored = [
            read_picks(export_path(out, stem, "cbox")).of(micrograph=file.name, shape=shape).above(threshold)
            for file, stem, shape in entries
        ]
        for name in joined:
            write_joined_picks(stored, out / _JOINED[name], format=name)
