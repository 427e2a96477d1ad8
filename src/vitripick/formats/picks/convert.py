"""Convert picks from one format to another: a file to a file, or many micrographs to a folder or a joined file."""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from vitripick.errors import InputError, UsageError, parameter
from vitripick.formats.inside import keep_inside, warn_of_outside
from vitripick.formats.micrographs.files import read_header
from vitripick.formats.micrographs.finding import MicrographFile, find_micrographs, is_star
from vitripick.formats.names.pairing import match_names
from vitripick.formats.names.stems import base_name, cryosparc_uid, has_image_suffix, without_image_suffix
from vitripick.formats.picks.files import read_all_picks, read_picks, to_full_size, write_joined_picks, write_picks
from vitripick.formats.picks.table import PicksFormat, format_for_writing, format_named, known_suffixes
from vitripick.formats.star.optics import OpticsGroup
from vitripick.geometry import Boxes, keep_sizes, remove_overlaps
from vitripick.settings import with_options
from vitripick.settings.convert import ConvertSettings

log = logging.getLogger("vitripick")


@dataclass(frozen=True)
class Converted:
    """Holds what a conversion wrote.

    Attributes
    ----------
    files
        The files, in the order of the micrographs.
    parts
        The picks of each micrograph, before the threshold, with what is known of their micrographs.
    n_picks
        Picks in the files.
    """

    files: tuple[Path, ...]
    parts: tuple[Boxes, ...]
    n_picks: int


def convert_picks(
    source: str | Path,
    target: str | Path,
    settings: ConvertSettings | None = None,
    *,
    to: str | None = None,
    micrographs: str | Path | None = None,
    **options: Any,
) -> list[Path]:
    """Convert a picks file, or every picks file below a folder, and return the files that were written.

    Parameters
    ----------
    source
        What to read, as in `read_all_picks`.
    target, to
        A file, whose suffix or `to` says the format; or a folder, which gets one file a micrograph and needs
        `to`. Several micrographs go into one file only in the formats that can hold them.
    settings
        How to read, what to keep and how to write; defaults where None.
    micrographs
        The micrograph, or the folder or RELION STAR of them, for the shapes, pixel sizes and full names; a STAR also
        for the optics groups of formats that hold them. Where pixel sizes disagree, the STAR's goes first, because a
        person gave it and `pick` takes it too, then the one in `source`, then the header's, which is often a program's
        default.
    **options
        Fields of `ConvertSettings` by name, as in `convert_picks(source, target, to="box", box_size_px=180)`.

    Raises
    ------
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
    target = Path(target)
    entry, is_folder = target_format(target, to)  # first, so that a mistake shows before thousands of files are read
    parts = [_kept(boxes, settings) for boxes in _read(source, micrographs, settings)]
    written = [boxes if settings.threshold is None else boxes.above(settings.threshold) for boxes in parts]
    if entry.only_inside:
        written = [keep_inside(boxes, target) for boxes in written]
    else:
        warn_of_outside(written, target)
    optics: list[OpticsGroup | None] = [None] * len(parts)
    if entry.takes_optics and micrographs is not None and is_star(str(micrographs)):
        optics = _optics_of(parts, micrographs)
    if entry.compares_names and (entry.takes_optics or (len(parts) > 1 and not is_folder)):
        _say_names(written, target, known=micrographs is not None)
    if is_folder:
        files = _write_folder(written, optics, target, entry, settings)
    else:
        files = _write_file(written, optics, target, entry, settings)
    return Converted(tuple(files), tuple(parts), sum(map(len, written)))


def _say_names(parts: Sequence[Boxes], target: Path, *, known: bool) -> None:
    """Warn of names that are no files' names for RELION, or are cryoSPARC's."""
    names = [boxes.micrograph or "" for boxes in parts]
    bare = [name for name in names if not has_image_suffix(base_name(name))]
    foreign = [] if known else [name for name in names if cryosparc_uid(name) is not None]
    for wrong, what in ((bare, "have no suffix, such as .mrc"), (foreign, "are cryoSPARC's")):
        if wrong:
            log.warning(
                "%s: %d of %d names of micrographs %s (first %r); RELION compares them with its own, character by "
                "character, and will find no particles there; give %s with RELION's micrographs star",
                target,
                len(wrong),
                len(names),
                what,
                wrong[0],
                parameter("Boxes.micrograph"),
            )


def _read(source: str | Path, micrographs: str | Path | None, settings: ConvertSettings) -> list[Boxes]:
    """Return the picks of `source` in full-size pixels, with what `micrographs` says of their micrographs."""
    format, scale = settings.source_format, settings.scale
    if micrographs is not None and Path(micrographs).is_file() and not is_star(str(micrographs)):
        parts = [_of_one_micrograph(Path(source), format, Path(micrographs), scale)]
    else:
        parts = read_all_picks(source, format=format, scale=scale)
        if micrographs is not None:
            parts = _of_many_micrographs(parts, micrographs)
    parts = [_moved(boxes, settings) for boxes in parts]
    return [to_full_size(boxes, Path(source), flip_y=settings.flip_y) for boxes in parts]


def _moved(boxes: Boxes, settings: ConvertSettings) -> Boxes:
    """Return the boxes with x and y swapped and moved, as the settings say."""
    if settings.swap_xy:
        boxes = dataclasses.replace(
            boxes,
            x=boxes.y,
            y=boxes.x,
            width=boxes.height,
            height=boxes.width,
            estimated_width=boxes.estimated_height,
            estimated_height=boxes.estimated_width,
        )
    by = settings.move_px
    return dataclasses.replace(boxes, x=boxes.x + by, y=boxes.y + by) if by else boxes


def _kept(boxes: Boxes, settings: ConvertSettings) -> Boxes:
    """Return the boxes that pass the limits on size and distance, with the size they are to have."""
    boxes = keep_sizes(boxes, minimum_px=settings.minimum_size_px, maximum_px=settings.maximum_size_px)
    if settings.minimum_distance_px > 0:
        boxes = remove_overlaps(boxes, minimum_distance_px=settings.minimum_distance_px)
    return boxes if settings.box_size_px is None else boxes.with_size(settings.box_size_px)


def _write_file(
    parts: Sequence[Boxes],
    optics: Sequence[OpticsGroup | None],
    target: Path,
    entry: PicksFormat,
    settings: ConvertSettings,
) -> list[Path]:
    if len(parts) > 1 and entry.write_joined is None:
        raise UsageError(
            f"{target}: {len(parts)} micrographs do not fit one file of the format {entry.name}; "
            f"give a folder instead, and {parameter('to', entry.name)}."
        )
    twice = [name for name, n in Counter(boxes.micrograph for boxes in parts).items() if n > 1]
    if twice:
        raise UsageError(
            f"{target}: there are several sets of picks of {twice[0] or 'a micrograph without a name'}, and "
            "joined every particle of it would be there several times; leave only one of them, or give a folder."
        )
    _write(parts, optics, target, entry, settings)
    return [target]


def _write_folder(
    parts: Sequence[Boxes],
    optics: Sequence[OpticsGroup | None],
    target: Path,
    entry: PicksFormat,
    settings: ConvertSettings,
) -> list[Path]:
    files: dict[Path, str | None] = {}
    for boxes in parts:
        path = target / _file_name(boxes, entry)
        if path in files:
            raise UsageError(
                f"{path}: {files[path]} and {boxes.micrograph} would both be written to this file; convert "
                "them one at a time."
            )
        files[path] = boxes.micrograph
    for path, boxes, group in zip(files, parts, optics, strict=True):
        _write([boxes], [group], path, entry, settings)
    return list(files)


def target_format(target: str | Path, to: str | None) -> tuple[PicksFormat, bool]:
    """Return the format to write, and whether `target` is a folder."""
    target = Path(target)
    is_folder = target.is_dir() or target.suffix.lower() not in known_suffixes()
    if not is_folder:
        return format_for_writing(target, to), False
    if to is None:
        raise UsageError(
            f"{target}: this is a folder, so say which format its files should have: {parameter('to')}. "
            f"For a single file, use one of the suffixes {', '.join(known_suffixes())}."
        )
    return format_named(to), True


def _write(
    parts: Sequence[Boxes],
    optics: Sequence[OpticsGroup | None],
    path: Path,
    entry: PicksFormat,
    settings: ConvertSettings,
) -> None:
    if len(parts) > 1 or entry.takes_optics:
        write_joined_picks(parts, path, format=entry.name, optics=optics)
    else:
        write_picks(parts[0], path, format=entry.name, float_coordinates=settings.float_coordinates)


def _optics_of(parts: Sequence[Boxes], star: str | Path) -> list[OpticsGroup | None]:
    """Return what the STAR's optics block says of the micrograph of each part; None for one that is not in it."""
    files = {file.name: file for file in find_micrographs([star])}
    optics: list[OpticsGroup | None] = [None] * len(parts)
    for name, i in match_names(list(files), [boxes.micrograph for boxes in parts]).items():
        optics[i] = files[name].optics
    return optics


def _file_name(boxes: Boxes, entry: PicksFormat) -> PurePosixPath:
    """Return where one micrograph's picks go below the target; its folders stay, so two of one name stay apart."""
    name = PurePosixPath(without_image_suffix(boxes.micrograph or "picks"))
    # A name comes from a file, so it may be anything; it must not lead out of the target.
    parts = [part for part in name.parts if part not in ("/", "..", ".")]
    return PurePosixPath(*parts[:-1], parts[-1] + entry.plain_ending)


def _of_one_micrograph(source: Path, source_format: str | None, micrograph: Path, scale: float) -> Boxes:
    """Return the picks of this one micrograph, whether `source` is its file, a joined one or a folder."""
    parts = read_all_picks(source, format=source_format, scale=scale)
    found = match_names([micrograph.name], [boxes.micrograph for boxes in parts])
    if found:
        boxes = parts[found[micrograph.name]]
    elif source.is_dir():
        raise InputError(f"{source}: no picks file here belongs to {micrograph}.")
    else:
        # The file may be this micrograph's under another name; if not, the error says whose picks are there.
        boxes = read_picks(source, format=source_format, micrograph=micrograph.name, scale=scale)
    boxes = _of_file(boxes, MicrographFile(micrograph.name, micrograph))
    # The name of a file says nothing of its folder, so a name that is a file's already says more.
    if boxes.micrograph is not None and has_image_suffix(base_name(boxes.micrograph)):
        return boxes
    return boxes.renamed(micrograph.name)


def _of_many_micrographs(parts: Sequence[Boxes], micrographs: str | Path) -> list[Boxes]:
    # Picks may be of any image, so none is left out.
    files = {file.name: file for file in find_micrographs([micrographs], include=["*"])}
    found = match_names(list(files), [boxes.micrograph for boxes in parts])
    if not found:
        raise InputError(
            f"{micrographs}: none of the {len(files)} micrographs here belongs to one of the {len(parts)} "
            "sets of picks; names must agree (docs/formats.md says how)."
        )
    result = list(parts)
    for name, i in found.items():
        result[i] = _named_as(_of_file(parts[i], files[name]), files[name])
    for i in set(range(len(parts))) - set(found.values()):
        log.warning(
            "%s: there is no micrograph of these picks in %s; the name stays, and RELION will find nothing under it",
            parts[i].micrograph,
            micrographs,
        )
    return result


def _of_file(boxes: Boxes, file: MicrographFile) -> Boxes:
    """Return the boxes with shape and pixel size of this micrograph."""
    header = read_header(file.path)
    boxes = to_full_size(boxes, file.path, shape=header.shape)
    return boxes.of(pixel_size=file.pixel_size or boxes.pixel_size or header.pixel_size)


def _named_as(boxes: Boxes, file: MicrographFile) -> Boxes:
    """Return the boxes under the micrograph's own name.

    RELION compares the strings, so a STAR's name is taken as it is. A folder names files from its own root; a name that
    leads to the same file from here says more, and stays.
    """
    name = boxes.micrograph
    if not file.from_star and name is not None and Path(name).is_file() and Path(name).samefile(file.path):
        return boxes
    return boxes.renamed(file.name)
