"""Write picks for cryoSPARC, as one joined STAR or `.cs` with cryoSPARC's own names of the micrographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vitripick.atomic import check_file
from vitripick.errors import InputError, UsageError
from vitripick.formats import read_all_picks, write_joined_picks
from vitripick.formats.inside import keep_inside
from vitripick.formats.picks.cs import write_cs
from vitripick.formats.picks.files import to_full_size
from vitripick.geometry import Boxes
from vitripick.programs.cryosparc_names import Exposure, MappedName, NameMapping, map_names, read_exposures
from vitripick.runs.folder import is_run_folder, read_run_folder


@dataclass(frozen=True)
class CryosparcFile:
    """Says what `write_for_cryosparc` wrote, or would have written.

    Attributes
    ----------
    names
        One for each micrograph.
    n_picks
        Number of picks in the file.
    checked
        Whether the names were compared with cryoSPARC's.
    written
        Whether there is a file.
    """

    names: tuple[MappedName, ...]
    n_picks: int
    checked: bool
    written: bool

    @property
    def unmatched(self) -> tuple[MappedName, ...]:
        """Return the names that cryoSPARC would not find."""
        return tuple(one for one in self.names if self.checked and one.exposure is None)


def write_for_cryosparc(
    picks: str | Path,
    out: str | Path,
    *,
    mapping: NameMapping | None = None,
    against: str | Path | None = None,
    threshold: float | None = None,
    flip_y: bool = False,
    pixel_size: float | None = None,
    keep_coordinates: bool = False,
    dry_run: bool = False,
) -> CryosparcFile:
    """Join the picks of a run for cryoSPARC's Import Particle Stack (`.star`), or as a `.cs`.

    Parameters
    ----------
    picks
        The output folder of `pick`, or a file or folder in any format we read.
    out
        The file to write, ending in `.star` or `.cs`.
    mapping
        Steps from our names to cryoSPARC's; None leaves the names as they are.
    against
        The micrographs that cryoSPARC has (see `read_exposures`); every name is looked for there. A `.cs` of exposures
        also gives the micrographs' paths and numbers for a `.cs` of picks.
    threshold
        Lowest confidence to write; the run's if `picks` is a run folder.
    flip_y
        Flip y: count rows from the last one. It is not known from which row cryoSPARC counts (docs/formats.md).
    pixel_size, keep_coordinates
        As in `read_picks`: picks of RELION may have refined shifts.
    dry_run
        Write nothing, and only return what would be written.

    Raises
    ------
    InputError
        If there are no picks, or `against` names no micrographs, or two of them for one name.
    UsageError
        If two micrographs would have one name, or the suffix is neither of the two.
    """
    out = Path(out)
    if out.suffix not in (".star", ".cs"):
        raise UsageError(f"{out}: for cryoSPARC the file ends in .star (Import Particle Stack) or .cs.")
    if not dry_run:
        check_file(out)
    parts, level = _read(picks, pixel_size=pixel_size, keep_coordinates=keep_coordinates)
    level = level if threshold is None else threshold
    parts = [part if level is None else part.above(level) for part in parts]
    if flip_y:
        parts = [to_full_size(part, out, flip_y=True) for part in parts]
    parts = [keep_inside(part, out) for part in parts]  # before counting, so that picks outside do not count
    exposures = [] if against is None else read_exposures(against)
    if against is not None and not exposures:
        raise InputError(f"{against}: there are no micrographs in it to compare names with.")
    own_names = [str(part.micrograph) for part in parts]
    names = map_names(own_names, mapping or NameMapping(), exposures, source=against)
    _refuse_one_name_for_two(names)
    if not dry_run:
        _write(parts, names, out)
    return CryosparcFile(tuple(names), sum(map(len, parts)), against is not None, not dry_run)


def _read(picks: str | Path, *, pixel_size: float | None, keep_coordinates: bool) -> tuple[list[Boxes], float | None]:
    if is_run_folder(picks):
        run = read_run_folder(picks)
        return list(run.read_picks().values()), run.threshold
    return read_all_picks(picks, pixel_size=pixel_size, keep_coordinates=keep_coordinates), None


def _refuse_one_name_for_two(names: Sequence[MappedName]) -> None:
    owner: dict[str, str] = {}
    for one in names:
        other = owner.setdefault(one.written, one.name)
        if other != one.name:
            raise UsageError(
                f"{other} and {one.name} would both be {one.written!r}, and cryoSPARC knows micrographs by base name; "
                "take off less, or write their folders to separate files."
            )


def _write(parts: Sequence[Boxes], names: Sequence[MappedName], out: Path) -> None:
    if out.suffix == ".star":
        renamed = [part.renamed(one.written) for part, one in zip(parts, names, strict=True)]
        write_joined_picks(renamed, out, format="cryosparc-star")
        return
    known: list[Exposure] = [one.exposure or Exposure(one.written) for one in names]
    renamed = [part.renamed(exposure.path) for part, exposure in zip(parts, known, strict=True)]
    write_cs(renamed, out, micrograph_uids=[exposure.uid for exposure in known])
