"""Say which picks of a run cryoSPARC's Import Particle Stack will take, and what to type."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vitripick.errors import InputError
from vitripick.formats.names.stems import base_name, split_name
from vitripick.formats.picks.cs_table import load_cs
from vitripick.programs.cryosparc_names import Exposure, MappedName, NameMapping, map_names, read_exposures
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
from vitripick.runs.record import Record
from vitripick.text import count, listed

_SHOWN = 3
_TOLERANCE = 0.01
_SHAPE, _PIXEL_SIZE = "micrograph_blob/shape", "micrograph_blob/psize_A"
_LEFT_OUT = "cryoSPARC's Extract leaves out boxes that do, as its guide says"


@dataclass(frozen=True)
class _Size:
    """Holds shape and pixel size of one exposure in cryoSPARC; None if they are not known."""

    shape: tuple[int, int] | None = None
    pixel_size: float | None = None


def for_cryosparc(
    run: HandedRun, *, project: Path, micrographs: Path | None = None, box_size_px: int | None = None
) -> Handover:
    """Compare a run with the exposures of a cryoSPARC project.

    Parameters
    ----------
    run
        The run.
    project
        The project's folder, whose jobs' folders hold `.cs` files of exposures.
    micrographs
        The exposures: a `.cs`, or another input of `read_exposures`; by default the `.cs` in the project that fits
        best.
    box_size_px
        Side of the boxes that will be extracted; by default an even number of about 1.5 diameters.

    Raises
    ------
    InputError
        If there are no exposures.
    """
    source = _find_exposures(run, project) if micrographs is None else micrographs
    exposures = read_exposures(source)
    sizes = _sizes(source)
    names = list(run.records)
    mapping = _best_mapping(names, exposures)
    mapped = {one.name: one for one in map_names(names, mapping, _each_base_name_once(exposures), source=source)}
    records = {name: record for name, record in run.records.items() if mapped[name].exposure is not None}
    paths = {name: _path(mapped[name]) for name in records}
    taken = {name: run.picks[name].of(shape=run.records[name].shape) for name in records}
    box = run.suggested_box_px if box_size_px is None else box_size_px
    there = [(project / path, taken[name]) for name, path in paths.items() if (project / path).is_file()]
    images = there or [(Path(record.path), taken[name]) for name, record in records.items()]
    checks = (
        _names(run, mapped, exposures, source),
        _images(records, {name: sizes.get(path, _Size()) for name, path in paths.items()}, source),
        check_border(taken, box, diameter_px=run.diameter_px, what_happens=_LEFT_OUT),
        check_empty(run.picks, what_happens="cryoSPARC gets no row of them"),
        check_orientation(images, diameter_px=run.diameter_px),
        Check(
            "y",
            NOTE,
            "it was not tried from which row cryoSPARC counts y: look at one micrograph in Inspect Picks; if picks are "
            "mirrored top to bottom, write the file again with y counted from the last row (docs/cryosparc.md)",
        ),
    )
    return Handover(
        program="cryosparc",
        run=run.folder,
        micrographs=source,
        n_picks=run.n_picks,
        n_taken=sum(map(len, taken.values())),
        checks=checks,
        steps=(Steps("cryoSPARC", _lines(run, mapping, source)),),
    )


def _find_exposures(run: HandedRun, project: Path) -> Path:
    lists, names = [], list(run.records)
    # Other .cs files hold particles, which may be millions.
    paths = {path for part in ("exposures", "micrographs") for path in project.glob(f"J*/*{part}*.cs")}
    for path in sorted(paths, key=lambda path: (path.stat().st_mtime_ns, path)):
        try:
            exposures = _each_base_name_once(read_exposures(path))
        except InputError:  # it names none
            continue
        found = {one.exposure: one.name for one in map_names(names, _best_mapping(names, exposures), exposures)}
        lists.append((path, [found.get(exposure, exposure.path) for exposure in exposures]))
    return choose_list(lists, set(run.records), folder=project)


def _best_mapping(names: Sequence[str], exposures: Sequence[Exposure]) -> NameMapping:
    """Return the steps that give the most names of exposures, the fewest steps first."""
    known = {base_name(exposure.path) for exposure in exposures}
    stems = [split_name(exposure.path)[1] for exposure in exposures]
    candidates = [NameMapping()]
    for strip_uid in (False, True):
        if not names:
            break
        ours = split_name(NameMapping(strip_uid=strip_uid).apply(names[0]))[1]
        candidates.append(NameMapping(strip_uid=strip_uid))
        for theirs in stems:
            if ours and ours in theirs and ours != theirs:
                before, _, after = theirs.partition(ours)
                candidates.append(NameMapping(strip_uid=strip_uid, add_prefix=before, add_suffix=after))
            elif theirs and theirs in ours and ours != theirs:
                before, _, after = ours.partition(theirs)
                candidates.append(NameMapping(strip_uid=strip_uid, strip_prefix=before, strip_suffix=after))
    scores = [sum(mapping.apply(name) in known for name in names) for mapping in candidates]
    return candidates[int(np.argmax(scores))]


def _each_base_name_once(exposures: Sequence[Exposure]) -> list[Exposure]:
    """Return the exposures whose base name no other has; cryoSPARC cannot tell the others apart."""
    n_of = Counter(base_name(exposure.path) for exposure in exposures)
    return [exposure for exposure in exposures if n_of[base_name(exposure.path)] == 1]


def _path(one: MappedName) -> str:
    assert one.exposure is not None
    return one.exposure.path


def _sizes(source: Path) -> dict[str, _Size]:
    """Return shape and pixel size of each exposure by its path, as far as a `.cs` says them."""
    if source.suffix.lower() != ".cs":
        return {}
    rows = load_cs(source)
    fields: tuple[Any, ...] = rows.dtype.names or ()
    if "micrograph_blob/path" not in fields:
        return {}
    has_shape = _SHAPE in fields and rows.dtype[_SHAPE].shape == (2,) and rows.dtype[_SHAPE].base.kind in "iu"
    has_pixel_size = (
        _PIXEL_SIZE in fields and not rows.dtype[_PIXEL_SIZE].shape and rows.dtype[_PIXEL_SIZE].kind in "fiu"
    )
    found = {}
    for row in rows:
        path = row["micrograph_blob/path"]
        shape = (int(row[_SHAPE][0]), int(row[_SHAPE][1])) if has_shape else None
        pixel_size = float(row[_PIXEL_SIZE]) if has_pixel_size else 0.0
        name = path.decode(errors="replace") if isinstance(path, bytes) else str(path)
        found[name] = _Size(shape, pixel_size if pixel_size > 0 else None)
    return found


def _names(run: HandedRun, mapped: dict[str, MappedName], exposures: Sequence[Exposure], source: Path) -> Check:
    picked = {name: boxes for name, boxes in run.picks.items() if len(boxes)}
    lost = [name for name in picked if mapped[name].exposure is None]
    if lost:
        n_lost = sum(len(picked[name]) for name in lost)
        n_of = Counter(base_name(exposure.path) for exposure in exposures)
        is_twin = [name for name in lost if n_of[mapped[name].written] > 1]
        why = (
            f"two exposures have the base name {mapped[is_twin[0]].written}, and cryoSPARC knows them by nothing else"
            if is_twin
            else f"its exposures are such as {base_name(exposures[0].path)}"
        )
        return Check(
            "names",
            MISFIT,
            f"{len(lost)} of {count('micrograph', len(picked))} with picks are not in {source}, so cryoSPARC loses "
            f"{n_lost} picks: {listed(lost, _SHOWN)}; {why}.",
        )
    written: dict[str, str] = {}
    for name in picked:
        other = written.setdefault(mapped[name].written, name)
        if other != name:
            text = f"{other} and {name} have one base name, and cryoSPARC knows micrographs by nothing else"
            return Check("names", MISFIT, f"{text}; hand over their folders one by one.")
    return Check("names", FITS, f"all {count('micrograph', len(picked))} with picks are in {source}, by base name")


def _images(records: dict[str, Record], sizes: dict[str, _Size], source: Path) -> Check:
    for name, record in records.items():
        size = sizes[name]
        if size.shape is not None and size.shape != record.shape:
            text = f"{name} was picked with {record.shape[0]} x {record.shape[1]} pixels, and cryoSPARC's has "
            return Check("images", MISFIT, f"{text}{size.shape[0]} x {size.shape[1]}. Pick cryoSPARC's micrographs.")
        both = record.pixel_size is not None and size.pixel_size is not None
        if both and abs(record.pixel_size / size.pixel_size - 1) > _TOLERANCE:  # type: ignore[operator]
            text = f"{name} was picked with {record.pixel_size:g} Å per pixel, and cryoSPARC's has {size.pixel_size:g}"
            return Check("images", MISFIT, f"{text}. See which is right, and pick again.")
    if not any(size.shape is not None for size in sizes.values()):
        return Check("images", NOTE, f"{source} does not say the shapes of its micrographs; give the .cs of exposures")
    return Check("images", FITS, f"{count('micrograph', len(records))} have the shape of cryoSPARC's")


def _lines(run: HandedRun, mapping: NameMapping, source: Path) -> tuple[str, ...]:
    folder = run.layout.out
    words = [
        "vitripick",
        "cryosparc",
        str(folder),
        "--out",
        str(folder / "for_cryosparc.star"),
        "--against",
        str(source),
    ]
    words += ["--strip-uid"] if mapping.strip_uid else []
    for field in ("strip_prefix", "strip_suffix", "add_prefix", "add_suffix"):
        if value := getattr(mapping, field):
            words.append(f"--{field.replace('_', '-')}={value}")
    return (
        shlex.join(words),
        f"Import Particle Stack, Particle meta path: {(folder / 'for_cryosparc.star').absolute()}",
        "Import Particle Stack, Source micrographs: connect the exposures",
        "Import Particle Stack, Ignore raw data: on",
    )
