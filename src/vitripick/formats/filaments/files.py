"""Read and write all formats of filaments, chosen by suffix, content or name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vitripick.errors import FormatError, InputError, UsageError
from vitripick.formats.filaments import cbox, cryosparc, csv_table, eman, relion
from vitripick.formats.picks.table import without_picks_suffix
from vitripick.geometry import Filaments

Read = Callable[[Path], list[Filaments]]
Write = Callable[..., None]


@dataclass(frozen=True)
class FilamentFormat:
    """Describes one row of the table.

    Attributes
    ----------
    suffix
        Of its files.
    description
        For help texts.
    read, write
        `read` gives one `Filaments` a micrograph; `write` takes them, the path, and `spacing` in pixels or None.
    joined
        Whether one file holds all micrographs.
    needs_pixel_size
        Whether it states lengths in Å.
    """

    suffix: str
    description: str
    read: Read
    write: Write
    joined: bool = False
    needs_pixel_size: bool = False


FILAMENT_FORMATS: dict[str, FilamentFormat] = {
    "star": FilamentFormat(
        ".star", "RELION, segments with priors", relion.read_relion, relion.write_relion, needs_pixel_size=True
    ),
    "start-end-star": FilamentFormat(".star", "RELION, start and end", relion.read_relion, relion.write_relion_ends),
    "cbox": FilamentFormat(".cbox", "CBOX, segments and vertices", cbox.read_cbox, cbox.write_cbox),
    "box": FilamentFormat(".box", "EMAN1, start and end", eman.read_eman, eman.write_ends_box),
    "helix-box": FilamentFormat(".box", "EMAN2, helix file", eman.read_eman, eman.write_helix_box),
    "cs": FilamentFormat(".cs", "cryoSPARC, segments", cryosparc.read_cs, cryosparc.write_cs, joined=True),
    "csv": FilamentFormat(".csv", "ours, vertices", csv_table.read_csv, csv_table.write_csv),
}


def filament_format(name: str) -> FilamentFormat:
    """Return the format of this name.

    Raises
    ------
    UsageError
        If there is none.
    """
    if name not in FILAMENT_FORMATS:
        raise UsageError(f"there is no filament format {name!r}; the formats are {', '.join(FILAMENT_FORMATS)}.")
    return FILAMENT_FORMATS[name]


def _format_of(path: Path, name: str | None) -> FilamentFormat:
    if name is not None:
        return filament_format(name)
    for entry in FILAMENT_FORMATS.values():
        if path.suffix.lower() == entry.suffix:
            return entry
    suffixes = ", ".join(dict.fromkeys(entry.suffix for entry in FILAMENT_FORMATS.values()))
    raise UsageError(f"{path}: files of filaments end in {suffixes}.")


def read_filaments(path: str | Path, *, format: str | None = None, pixel_size: float | None = None) -> list[Filaments]:
    """Return the filaments of each micrograph in a file, or in all files of a folder.

    If a file names no micrograph, its own name is taken, without suffix and endings such as `_autopick`.

    Parameters
    ----------
    path
        A file, or a folder.
    format
        A name of `FILAMENT_FORMATS`; by default the suffix says.
    pixel_size
        Å per pixel of the micrographs, where known.

    Raises
    ------
    InputError
        If there is no such file, or no file of filaments in the folder.
    FormatError
        If a file holds something else.
    """
    path = Path(path)
    if path.is_dir():
        suffixes = {entry.suffix for entry in FILAMENT_FORMATS.values()}
        files = sorted(file for file in path.iterdir() if file.is_file() and file.suffix.lower() in suffixes)
        if not files:
            raise InputError(f"{path}: there are no files of filaments in this folder ({', '.join(sorted(suffixes))}).")
        return [one for file in files for one in read_filaments(file, format=format, pixel_size=pixel_size)]
    try:
        found = _format_of(path, format).read(path)
    except ValueError as error:
        raise FormatError(f"{path}: {error}.") from error
    result = []
    for one in found:
        name = one.micrograph or without_picks_suffix(path.name)
        size = one.pixel_size if pixel_size is None else pixel_size
        result.append(dataclasses.replace(one, micrograph=name, pixel_size=size))
    return result


def write_filaments(
    filaments: Filaments | Sequence[Filaments],
    path: str | Path,
    *,
    format: str | None = None,
    spacing_angstrom: float | None = None,
    spacing_px: float | None = None,
) -> None:
    """Write the filaments of one micrograph, or of several in a format that can hold them.

    Parameters
    ----------
    filaments
        In full-size pixels.
    path
        The file to write.
    format
        A name of `FILAMENT_FORMATS`; by default the suffix says.
    spacing_angstrom, spacing_px
        Distance of segments along the filament; formats of vertices are resampled with it.

    Raises
    ------
    UsageError
        If the format needs a spacing, a pixel size, a width or a name that is not known, or holds one micrograph only.
    """
    path = Path(path)
    entry = _format_of(path, format)
    parts = [filaments] if isinstance(filaments, Filaments) else list(filaments)
    if len(parts) != 1 and not entry.joined:
        raise UsageError(f"{path}: a file of this format holds one micrograph; write one file for each.")
    spacing = spacing_px
    if spacing_angstrom is not None:
        sizes = {one.pixel_size for one in parts}
        if len(sizes) != 1 or None in sizes:
            raise UsageError(f"{path}: a spacing in Å needs one pixel size for all, and it is not known here.")
        (size,) = sizes
        assert size is not None
        spacing = spacing_angstrom / size
    entry.write(parts, path, spacing=spacing)
