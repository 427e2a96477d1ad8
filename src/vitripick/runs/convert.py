"""Convert picks from one format to another; for a run folder, with all that its records say about the micrographs."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vitripick.encoding import check_encoding, check_output_name
from vitripick.errors import InputError, parameter
from vitripick.formats import read_all_picks
from vitripick.formats.names.pairing import match_names
from vitripick.formats.picks.convert import Converted, Part, read_parts, target_format, with_micrographs, write_parts
from vitripick.formats.picks.files import to_full_size
from vitripick.formats.picks.table import FORMATS, without_picks_suffix
from vitripick.geometry import Boxes
from vitripick.run_layout import AUTOPICK, STORE, RunLayout
from vitripick.runs.folder import RunFolder, read_run_folder, threshold_of_run
from vitripick.runs.record import Record, read_record
from vitripick.settings import with_options
from vitripick.settings.convert import ConvertSettings

log = logging.getLogger("vitripick")


def convert_picks(
    source: str | Path,
    target: str | Path,
    settings: ConvertSettings | None = None,
    *,
    to: str | None = None,
    micrographs: str | Path | None = None,
    **options: Any,
) -> list[Path]:
    """Convert the picks of a file, a folder or a run, and return the files that were written.

    Parameters
    ----------
    source
        What to read, as in `read_all_picks`. Of a run folder of `pick` or `watch`, the picks are those at the run's
        threshold and above (a threshold of 0 gives all that are stored), with the run's box size, and its records say
        the micrographs' names, shapes, pixel sizes and optics. For files of a run these come from its records, too.
    target, to
        A file, whose suffix or `to` says the format; or a folder, which gets one file per micrograph and needs
        `to`. Several micrographs go into one file only in the formats that can hold them.
    settings
        How to read, what to keep and how to write; defaults where None.
    micrographs
        The micrograph, or the folder or RELION STAR of them, for the shapes, pixel sizes and full names; a STAR also
        for the optics groups of formats that hold them. If pixel sizes disagree, the STAR's counts first, because a
        person gave it and `pick` uses it too. Next comes the one in `source`, and last the header's, which is often a
        program's default.
    **options
        Fields of `ConvertSettings` by name, as in `convert_picks(source, target, to="box", box_size_px=180)`.

    Raises
    ------
    InputError
        If there are no picks, or the run folder is damaged.
    UsageError
        If the target's format cannot hold what the source holds, or needs a size, shape or name that is not known; if
        an option is unknown or out of range.
    """
    settings = with_options(settings or ConvertSettings(), options)
    return list(convert(source, target, settings, to=to, micrographs=micrographs).files)


def convert(
    source: str | Path,
    target: str | Path,
    settings: ConvertSettings,
    *,
    to: str | None = None,
    micrographs: str | Path | None = None,
) -> Converted:
    """Convert picks, and return what was written; parameters and errors as in `convert_picks`."""
    source, target = Path(source), Path(target)
    micrographs = None if micrographs is None else Path(micrographs)
    check_output_name(target)
    check_encoding("" if micrographs is None else micrographs.name)
    target_format(target, to)  # checked first, so that a mistake shows before thousands of files are read
    run = run_around(source)
    if run is None or (micrographs is not None and micrographs.is_file() and source.is_file()):
        parts = read_parts(source, micrographs, settings)
        return write_parts(parts, source, target, settings, to=to, micrographs=micrographs)
    if run.out == Path(os.path.abspath(source)) and settings.source_format is None:
        parts, threshold = _parts_of_run(source, settings.threshold)
        settings = settings.model_copy(update={"threshold": threshold})
    else:
        parts = _parts_inside(source, run, settings)
    parts = [_scaled(part, source, settings.scale) for part in parts]
    if micrographs is not None:
        parts = with_micrographs(parts, source, micrographs)
    return write_parts(parts, source, target, settings, to=to, micrographs=micrographs or source)


def run_around(source: Path) -> RunLayout | None:
    """Return the layout of the run folder that `source` is, or whose picks it holds; None if there is none."""
    place = Path(os.path.abspath(source))
    if RunLayout(place).holds_run():
        return RunLayout(place)
    folders = {entry.place.folder for entry in FORMATS.values()}
    files = {entry.joined_name for entry in FORMATS.values()} | {AUTOPICK}
    for folder in place.parents:
        inside = place.relative_to(folder).parts
        # A run folder may also hold files of other programs, for example if it is the folder of a whole project.
        is_of_run = inside[0] in folders or (len(inside) == 1 and inside[0] in files)
        if is_of_run and RunLayout(folder).holds_run():
            return RunLayout(folder)
    return None


def _parts_of_run(folder: Path, threshold: float | None) -> tuple[list[Part], float | None]:
    """Return all picks of a run with what its records know, and the threshold to write them with."""
    layout = RunLayout(folder)
    if layout.run.is_file():
        run = read_run_folder(folder)
        own = run.threshold
    else:
        run = RunFolder(folder, {}, {record.name: record for record in _records(layout)}, [])
        own = _only_threshold(run.records.values(), folder) if threshold is None else None
        log.warning("%s: this run is not finished; it has %d micrographs so far", folder, len(run.records))
    if not run.records:
        raise InputError(f"{folder}: no micrograph of this run is done, so there are no picks to convert.")
    parts = [_part(run, record) for record in run.records.values()]
    return parts, own if threshold is None else threshold


def _only_threshold(records: Iterable[Record], folder: Path) -> float:
    """Return the threshold that the micrographs of an unfinished run were exported with."""
    found = {None if record.quality is None else record.quality.threshold for record in records}
    if len(found) == 1 and None not in found:
        return float(found.pop() or 0.0)
    raise InputError(
        f"{folder}: this run is not finished, and its micrographs have different thresholds; give "
        f"{parameter('threshold')}, or finish the run."
    )


def _part(run: RunFolder, record: Record) -> Part:
    return Part(run.read_picks_of(record), record.relion_name, record.stem, record.optics)


def _scaled(part: Part, source: Path, scale: float) -> Part:
    """Return picks of binned micrographs in pixels of the full size."""
    boxes = to_full_size(part.boxes, source, scale=scale)
    optics = None if part.optics is None else replace(part.optics, pixel_size=boxes.pixel_size)
    return replace(part, boxes=boxes, optics=optics)


def _records(layout: RunLayout) -> list[Record]:
    """Return the records of all micrographs that were ever picked into a run folder, in the order of their names."""
    return [record for path in layout.recorded().values() if (record := read_record(path)) is not None]


def _parts_inside(source: Path, layout: RunLayout, settings: ConvertSettings) -> list[Part]:
    """Return the picks in files of a run, each with what the record of its micrograph knows."""
    read = read_all_picks(source, format=settings.source_format, keep_coordinates=True)
    records = _records(layout)
    run = RunFolder(layout.out, {}, {record.name: record for record in records}, [])
    parts = []
    for boxes, record in zip(read, _records_of(read, records, source, layout), strict=True):
        if record is None:
            parts.append(Part(boxes))
            continue
        boxes = boxes.renamed(record.name)
        known = boxes.of(shape=boxes.shape or record.shape, pixel_size=boxes.pixel_size or record.pixel_size)
        if not known.box_size_px > 0 and len(known):
            size = run.read_picks_of(record).box_size_px
            known = known.with_size(size) if size > 0 else known
        parts.append(Part(known, record.relion_name, record.stem, record.optics))
    _say_below_threshold(parts, source, layout, settings)
    return parts


def _records_of(
    read: Sequence[Boxes], records: Sequence[Record], source: Path, layout: RunLayout
) -> list[Record | None]:
    """Return the record of each set of picks: by a name that the run gave it, else as labels find micrographs."""
    inside = Path(os.path.abspath(source)).relative_to(layout.out).parts
    below = inside[1:] if source.is_dir() else inside[1:-1]
    by_name: dict[str, Record | None] = {}
    for record in records:
        for name in {record.name, record.relion_name, record.stem, without_picks_suffix(record.stem + STORE.ending)}:
            by_name[name] = None if name in by_name else record
    names = [boxes.micrograph or "" for boxes in read]
    found: list[Record | None] = [by_name.get("/".join((*below, name))) or by_name.get(name) for name in names]
    rest = [i for i, record in enumerate(found) if record is None]
    matched = match_names([record.name for record in records], [names[i] for i in rest])
    own = {record.name: record for record in records}
    for name, i in matched.items():
        found[rest[i]] = own[name]
    return found


def _say_below_threshold(parts: Sequence[Part], source: Path, layout: RunLayout, settings: ConvertSettings) -> None:
    """Warn if picks are converted that the run itself left out, because its store was given."""
    threshold = threshold_of_run(layout.out)
    if threshold is None or settings.threshold is not None:
        return
    n_below = sum(len(part.boxes) - len(part.boxes.above(threshold)) for part in parts)
    if n_below:
        log.warning(
            "%s: %d picks here lie below the run's threshold of %g, and are converted, too; give the run folder %s "
            "itself, or %s",
            source,
            n_below,
            threshold,
            layout.out,
            parameter("threshold", threshold),
        )
