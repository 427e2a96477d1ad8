"""Say which picks of a run RELION's Extract will take, and what to type there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from vitripick.errors import FormatError, InputError, MicrographError, parameter
from vitripick.formats import OpticsGroup, read_header, read_picks
from vitripick.formats.micrographs.image_file import MicrographHeader
from vitripick.formats.names.suffixes import MRC_SUFFIXES, TIFF_SUFFIXES, suffix_of
from vitripick.formats.star.files import read_coordinate_files_star, read_micrographs_star_with_optics
from vitripick.geometry import Boxes
from vitripick.programs.handover_checks import (
    FITS,
    MISFIT,
    NOTE,
    Check,
    HandedRun,
    Handover,
    Steps,
    check_border,
    check_empty,
    check_orientation,
    choose_list,
)
from vitripick.programs.relion_names import COORDS_SUFFIX, coordinates_by_suffix, major_version, with_one_stack
from vitripick.run_layout import STAR
from vitripick.runs.record import Record
from vitripick.text import count, listed

_SHOWN = 3
_TOLERANCE = 0.01
_PADS = "RELION extracts them and pads them with the values at the border"


@dataclass(frozen=True, eq=False)
class _Given:
    """Holds a run and a project of RELION, matched with each other.

    Attributes
    ----------
    run
        The run.
    project
        The project's folder, which all names start from.
    star
        The micrographs STAR, from the project's folder.
    optics
        Optics group of each micrograph of the STAR, by RELION's name; None where it has none.
    n_rows
        How often the STAR lists each of them; RELION extracts it as often.
    records
        Records of the run, by RELION's name.
    table
        Coordinate file of each micrograph, as the run's `autopick.star` says it; None without that table.
    files
        What the coordinate files hold, by RELION's name, each with its micrograph's shape.
    version
        3, or 4 for RELION 4 and later; None if it is not known.
    """

    run: HandedRun
    project: Path
    star: Path
    optics: dict[str, OpticsGroup | None]
    n_rows: Counter[str]
    records: dict[str, Record]
    table: dict[str, str] | None
    files: dict[str, Boxes]
    version: int | None

    @cached_property
    def picks(self) -> dict[str, Boxes]:
        """Return the picks that the run should have written, by RELION's name."""
        return {name: self.run.picks[record.name] for name, record in self.records.items()}

    @cached_property
    def shared(self) -> list[str]:
        """Return the names that both the run and the STAR have."""
        return [name for name in self.records if name in self.optics]


def for_relion(
    run: HandedRun, *, project: Path, micrographs: Path | None = None, box_size_px: int | None = None
) -> Handover:
    """Compare a run with a project of RELION.

    Parameters
    ----------
    run
        The run.
    project
        The project's folder.
    micrographs
        The micrographs STAR that Extract will be given; by default the one in the project that fits best.
    box_size_px
        Side of the boxes that will be extracted; by default an even number of about 1.5 diameters.

    Raises
    ------
    InputError
        If there is no micrographs STAR.
    """
    given, unread = _read(run, project, micrographs)
    box = run.suggested_box_px if box_size_px is None else box_size_px
    folder, optics, blanks = _folder_of_suffix(given), _optics(given), _blanks(given)
    images, gone, unfit = _images(given)
    shared = {name: given.files[name] for name in given.shared if name in given.files}
    checks = [
        _names(given),
        _exports(given, unread),
        *images,
        _stacks(given),
        optics,
        check_border(shared, box, diameter_px=run.diameter_px, what_happens=_PADS),
        check_empty(given.picks, what_happens="RELION warns of no particles and goes on"),
        check_orientation(((project / name, boxes) for name, boxes in shared.items()), diameter_px=run.diameter_px),
    ]
    if blanks is not None:
        checks.insert(0, blanks)
    if given.version == 3 and folder is None:
        checks.insert(1, _not_by_suffix(given))
    found = shared
    if given.version != 3:
        found = {name: boxes for name, boxes in shared.items() if given.table is not None and name in given.table}
    # RELION 3.1.3 skips a missing micrograph without a message; if it is the first one, RELION stops.
    is_first_gone = not (project / next(iter(given.optics))).exists()
    stops = optics.result == MISFIT or blanks is not None or unfit or is_first_gone
    stops = stops or (given.version == 3 and folder is None)
    n_taken = sum(len(boxes) * given.n_rows[name] for name, boxes in found.items() if name not in gone and not stops)
    return Handover(
        program="relion",
        run=run.folder,
        micrographs=given.star,
        n_picks=run.n_picks,
        n_taken=n_taken,
        checks=tuple(checks),
        steps=_steps(given, folder, box),
    )


def _read(run: HandedRun, project: Path, micrographs: Path | None) -> tuple[_Given, dict[str, str]]:
    """Return the run and the project, and why a coordinate file cannot be read, by RELION's name."""
    if not project.is_dir():
        raise InputError(f"{project}: there is no such folder; give the folder of the RELION project.")
    records = {record.relion_name: record for record in run.records.values()}
    star = _find_star(project, set(records)) if micrographs is None else micrographs
    listing = read_micrographs_star_with_optics(star if star.exists() else project / star)
    table_path = run.layout.autopick_star
    table = dict(read_coordinate_files_star(table_path) or []) if table_path.is_file() else None
    files, unread = {}, {}
    for name, record in records.items():
        path = run.layout.path(record.stem, STAR)
        if table is not None and name in table:
            path = project / table[name]
        try:
            files[name] = read_picks(path).of(micrograph=name, shape=record.shape)
        except InputError as error:
            unread[name] = str(error)
    given = _Given(
        run=run,
        project=project,
        star=_from_project(star, project),
        optics=dict(listing),
        n_rows=Counter(name for name, _ in listing),
        records=records,
        table=table,
        files=files,
        version=major_version(project),
    )
    return given, unread


def _find_star(project: Path, names: set[str]) -> Path:
    lists = []
    for path in sorted(project.glob("*/job*/*micrographs*.star"), key=lambda path: path.parts[-2:]):
        try:
            lists.append((path, [name for name, _ in read_micrographs_star_with_optics(path)]))
        except FormatError:  # a STAR of something else
            continue
    return choose_list(lists, names, folder=project)


def _blanks(given: _Given) -> Check | None:
    """Return a misfit if a path holds a blank, at which RELION would cut it; else None."""
    paths = [str(given.star), str(_from_project(given.run.layout.autopick_star, given.project)), *given.shared]
    held = [path for path in paths if any(map(str.isspace, path))]
    if not held:
        return None
    text = f"{held[0]!r} holds a blank, and RELION cuts its tables and commands at blanks"
    return Check("blanks", MISFIT, f"{text}; rename it, or pick into another folder.")


def _names(given: _Given) -> Check:
    picked = [name for name, boxes in given.picks.items() if len(boxes)]
    lost = [name for name in picked if name not in given.optics]
    others = [name for name in given.optics if name not in given.records]
    if lost:
        n_lost = sum(len(given.picks[name]) for name in lost)
        theirs = others[0] if others else next(iter(given.optics))
        return Check(
            "names",
            MISFIT,
            f"{len(lost)} of {count('micrograph', len(picked))} with picks are not in {given.star} under their name, "
            f"so RELION loses {n_lost} picks: {listed(lost, _SHOWN)}; the STAR has {theirs}. Pick "
            "from this STAR, in the project's folder; micrographs that were left out on purpose do no harm.",
        )
    twice = [name for name in picked if given.n_rows[name] > 1]
    if twice:
        text = f"{given.star} lists {count('micrograph', len(twice))} more than once ({listed(twice, _SHOWN)})"
        return Check("names", MISFIT, f"{text}, and RELION extracts their particles as often. Take such rows out.")
    text = f"all {count('micrograph', len(picked))} with picks are in {given.star}, letter for letter"
    if not others:
        return Check("names", FITS, text)
    failed = [name for name in others if name in given.run.failed]
    more = f", {len(failed)} of them because they failed" if failed else ""
    return Check("names", NOTE, f"{text}; {len(others)} others of it have no picks{more}: {listed(others, _SHOWN)}")


def _exports(given: _Given, unread: Mapping[str, str]) -> Check:
    again = f"Run the same pick again with {parameter('formats', ('star',))}; done micrographs are not picked twice."
    stale = [name for name, boxes in given.picks.items() if name in given.files and not _same(boxes, given.files[name])]
    if given.table is None:
        return Check("exports", MISFIT, f"{given.run.layout.autopick_star} is missing. {again}")
    if unread:
        text = f"{len(unread)} of {len(given.picks)} coordinate files cannot be read: {next(iter(unread.values()))}"
        place = "" if Path.cwd().samefile(given.project) else " Paths in the table start from the folder of that run."
        return Check("exports", MISFIT, f"{text.rstrip('.')}.{place} {again}")
    if stale:
        first = stale[0]
        return Check(
            "exports",
            MISFIT,
            f"{len(stale)} of {len(given.picks)} coordinate files are not of this run's picks at its threshold, first "
            f"that of {first}: {len(given.files[first])} rows for {count('pick', len(given.picks[first]))}. {again}",
        )
    absent = [name for name in given.records if name not in given.table]
    if absent:
        return Check(
            "exports", MISFIT, f"{given.run.layout.autopick_star} lacks {listed(absent, _SHOWN)} of the run. {again}"
        )
    return Check("exports", FITS, f"{len(given.picks)} coordinate files hold this run's picks at its threshold")


def _images(given: _Given) -> tuple[list[Check], set[str], bool]:
    """Return the checks of the images, the micrographs that cannot be read, and whether RELION stops at one."""
    gone: dict[str, str] = {}
    kinds, shapes, halves, others = [], [], [], []
    for name in given.shared:
        record, path = given.records[name], given.project / name
        if suffix_of(name) not in (*MRC_SUFFIXES, *TIFF_SUFFIXES):
            kinds.append(name)
            continue
        try:
            header, status = read_header(path), os.stat(path)
        except MicrographError as error:
            gone[name] = str(error)
            continue
        if header.shape != record.shape or header.n_slices != 1:
            shapes.append(_shapes(name, header, record))
        if header.pixel_type == "float16":
            halves.append(name)
        made = record.made_from
        if made and (made.get("size_bytes"), made.get("mtime_ns")) != (status.st_size, status.st_mtime_ns):
            others.append(name)
    checks = []
    if gone:
        text = f"{count('micrograph', len(gone))} cannot be read, and RELION skips those that are missing"
        checks.append(Check("images", MISFIT, f"{text}: {next(iter(gone.values()))}"))
    if kinds:
        text = f"RELION reads MRC and TIFF, and {count('micrograph', len(kinds))} are neither: {listed(kinds, _SHOWN)}"
        checks.append(Check("images", MISFIT, text))
    if shapes:
        text = f"{count('micrograph', len(shapes))} have another shape than the picked one: {shapes[0]}. Pick again."
        checks.append(Check("images", MISFIT, text))
    if halves and given.version != 4:
        text = f"RELION 3.1 stops at float16, as {count('micrograph', len(halves))} are: {listed(halves, _SHOWN)}"
        checks.append(Check("images", MISFIT if given.version == 3 else NOTE, text))
    if others:
        text = f"{count('micrograph', len(others))} changed since they were picked, or are copies"
        checks.append(Check("images", NOTE, f"{text}: {listed(others, _SHOWN)}"))
    text = f"{count('micrograph', len(given.shared))} in the project as they were picked"
    return checks or [Check("images", FITS, text)], set(gone), bool(kinds) or (bool(halves) and given.version == 3)


def _shapes(name: str, header: MicrographHeader, record: Record) -> str:
    slices = "" if header.n_slices == 1 else f"{header.n_slices} slices of "
    rows, columns = header.shape
    return f"{name} has {slices}{rows} x {columns} pixels, the picked one {record.shape[0]} x {record.shape[1]}"


def _stacks(given: _Given) -> Check:
    """Find micrographs whose particles RELION would write into one stack, so that one overwrites the other."""
    twins = with_one_stack(name for name in given.shared if len(given.picks[name]))
    if not twins:
        return Check("stacks", FITS, "each micrograph gets a stack of its own")
    return Check(
        "stacks",
        MISFIT,
        f"{sum(map(len, twins))} micrographs share their path after JobType/jobNNN/, such as {listed(twins[0], 2)}. "
        "RELION writes their particles into one stack, where one overwrites the other, and lists both. Extract the "
        "micrographs "
        "of each job apart.",
    )


def _optics(given: _Given) -> Check:
    used = {name: given.optics[name] for name in given.shared if len(given.picks[name])} or given.optics
    groups = [OpticsGroup() if group is None else group for group in used.values()]
    needed = {"voltage_kv": "voltage", "spherical_aberration_mm": "spherical aberration", "pixel_size": "pixel size"}
    lacking = [word for field, word in needed.items() if any(getattr(group, field) is None for group in groups)]
    if lacking or any(group is None for group in used.values()):
        text = f"{given.star} gives no {', no '.join(lacking)}" if lacking else f"{given.star} has no optics groups"
        return Check(
            "optics", MISFIT, f"{text}, and RELION 3.1 and later stop without; `relion_convert_star` adds them."
        )
    for name, group in used.items():
        record = given.records.get(name)
        assert group is not None
        assert group.pixel_size is not None
        picked_with = None if record is None else record.pixel_size
        if picked_with is not None and abs(picked_with / group.pixel_size - 1) > _TOLERANCE:
            return Check(
                "optics",
                MISFIT,
                f"{name} was picked with {picked_with:g} Å per pixel, and {given.star} says {group.pixel_size:g}. See "
                "which is right, and pick again or import again.",
            )
    first = groups[0]
    text = f"{first.voltage_kv:g} kV, {first.spherical_aberration_mm:g} mm, {first.pixel_size:g} Å per pixel"
    n_groups = len(set(groups))
    text += f", and {n_groups - 1} other groups" if n_groups > 1 else ""
    if any(group.amplitude_contrast is None for group in groups):
        return Check("optics", NOTE, f"{text}; no amplitude contrast, which RELION needs to correct for the CTF")
    return Check("optics", FITS, text)


def _folder_of_suffix(given: _Given) -> str | None:
    """Return the folder, from the project and with a slash, that RELION 3.1 finds every coordinate file from."""
    folders = set()
    for name in given.shared:
        path = _from_project(given.run.layout.path(given.records[name].stem, STAR), given.project).as_posix()
        ending = coordinates_by_suffix(name)
        if not path.endswith(f"/{ending}"):
            return None
        folders.add(path.removesuffix(ending))
    return folders.pop() if len(folders) == 1 else None


def _not_by_suffix(given: _Given) -> Check:
    return Check(
        "names",
        MISFIT,
        "RELION 3.1 looks for all coordinate files below one folder, by the micrograph's path after JobType/jobNNN/, "
        "and these lie elsewhere. Pick the micrographs of each job into a folder of its own.",
    )


def _steps(given: _Given, folder: str | None, box: int) -> tuple[Steps, ...]:
    steps = []
    extract = (
        f"relion_preprocess --i {given.star} --extract --extract_size {box} --part_star Extract/job999/particles.star"
    )
    extract += " --part_dir Extract/job999/"
    table = _from_project(given.run.layout.autopick_star, given.project)
    fields = (
        f"Extract, micrograph STAR file: {given.star}",
        "Extract, Input coordinates: ",
        f"Extract, Particle box size: {box}",
    )
    if given.version != 3:
        lines = (fields[0], f"{fields[1]}{table}", fields[2], f"or: {extract} --coord_list {table}")
        steps.append(Steps("RELION 4 and 5", lines))
    if given.version != 4 and folder is not None:
        suffix = f"{folder}{COORDS_SUFFIX}"
        first = () if (given.project / suffix).is_file() else (f"echo {given.star} > {suffix}",)
        command = f"or: {extract} --coord_dir {folder} --coord_suffix {STAR.ending}"
        steps.append(Steps("RELION 3.1", (*first, fields[0], f"{fields[1]}{suffix}", fields[2], command)))
    return tuple(steps)


def _same(ours: Boxes, theirs: Boxes) -> bool:
    return len(ours) == len(theirs) and bool(
        np.allclose(ours.x, theirs.x, atol=1e-5) and np.allclose(ours.y, theirs.y, atol=1e-5)
    )


def _from_project(path: Path, project: Path) -> Path:
    """Return a path as RELION expects it: from the project's folder, if it lies inside."""
    relative = os.path.relpath(path, project) if path.is_absolute() or path.exists() else os.fspath(path)
    return path.absolute() if relative.startswith("..") else Path(relative)
