"""Write picks of any format in another one: to a file, or many micrographs to a folder or a joined file.

Callers use `vitripick.runs.convert`, which also knows what a run folder says about its picks.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vitripick.errors import InputError, UsageError, parameter
from vitripick.formats.inside import keep_inside, warn_of_outside
from vitripick.formats.micrographs.files import read_header
from vitripick.formats.micrographs.finding import MicrographFile, find_micrographs, is_star
from vitripick.formats.names.pairing import match_names
from vitripick.formats.names.stems import base_name, cryosparc_uid, has_image_suffix, without_image_suffix
from vitripick.formats.picks.files import read_all_picks, read_picks, to_full_size, write_joined_picks, write_picks
from vitripick.formats.picks.recentre import recentre
from vitripick.formats.picks.table import PicksFormat, format_for_writing, format_named, known_suffixes
from vitripick.formats.star.optics import OpticsGroup, warn_of_unknown_optics, with_given_optics
from vitripick.formats.star.particles import optics_groups
from vitripick.geometry import Boxes, keep_sizes, remove_overlaps
from vitripick.settings.convert import ConvertSettings

log = logging.getLogger("vitripick")


@dataclass(frozen=True, eq=False)
class Part:
    """Holds the picks of one micrograph on their way to another format.

    Attributes
    ----------
    boxes
        The picks, with what is known about their micrograph.
    relion_name
        The name for formats of RELION, which compares it with its own; `boxes.micrograph` if None.
    stem
        What its file is called in a folder, without ending; made from `boxes.micrograph` if None.
    optics
        What RELION has to know about the microscope; None if it is not known.
    """

    boxes: Boxes
    relion_name: str | None = None
    stem: str | None = None
    optics: OpticsGroup | None = None


@dataclass(frozen=True)
class Converted:
    """Holds what a conversion wrote.

    Attributes
    ----------
    files
        The files, in the order of the micrographs.
    parts
        The picks of each micrograph, before the threshold, with what is known about their micrographs.
    n_picks
        Picks in the files.
    threshold
        Lowest confidence in the files; None if all are there.
    """

    files: tuple[Path, ...]
    parts: tuple[Boxes, ...]
    n_picks: int
    threshold: float | None = None


def read_parts(source: Path, micrographs: Path | None, settings: ConvertSettings) -> list[Part]:
    """Return the picks in a file or below a folder, in full-size pixels, with what `micrographs` says about them."""
    if micrographs is not None and _is_one_micrograph(micrographs):
        return [Part(_of_one_micrograph(source, micrographs, settings))]
    found = read_all_picks(source, format=settings.source_format, scale=settings.scale, keep_coordinates=True)
    parts = [Part(boxes) for boxes in found]
    return parts if micrographs is None else with_micrographs(parts, source, micrographs)


def with_micrographs(parts: Sequence[Part], source: Path, micrographs: Path) -> list[Part]:
    """Return picks with the names, shapes, pixel sizes and optics of `micrographs`: one, or a folder or STAR of them.

    One micrograph keeps its own picks alone.

    Raises
    ------
    InputError
        If none of the picks belongs to a micrograph.
    """
    names = [part.boxes.micrograph for part in parts]
    if _is_one_micrograph(micrographs):
        found = match_names([micrographs.name], names)
        if not found:
            raise InputError(f"{source}: no picks here belong to {micrographs}.")
        part = parts[found[micrographs.name]]
        return [dataclasses.replace(part, boxes=_of_file(part.boxes, MicrographFile(micrographs.name, micrographs)))]
    # Picks may be of any image, so none is left out.
    files = {file.name: file for file in find_micrographs([micrographs], include=["*"])}
    found = match_names(list(files), names)
    if not found:
        raise InputError(
            f"{micrographs}: none of the {len(files)} micrographs here belongs to one of the {len(parts)} "
            "sets of picks; names must agree (docs/formats.md says how)."
        )
    result = list(parts)
    for name, i in found.items():
        file = files[name]
        result[i] = Part(_named_as(_of_file(parts[i].boxes, file), file), optics=file.optics)
    alone = [name or "picks without a name" for i, name in enumerate(names) if i not in set(found.values())]
    if alone:
        others = f" (and of {len(alone) - 1} more)" if len(alone) > 1 else ""
        log.warning(
            "%s: no micrograph of this name%s is in %s; the name stays, and RELION will find no particles of it",
            alone[0],
            others,
            micrographs,
        )
    return result


def write_parts(
    parts: Sequence[Part],
    source: Path,
    target: Path,
    settings: ConvertSettings,
    *,
    to: str | None = None,
    micrographs: Path | None = None,
) -> Converted:
    """Write picks as the settings say, and return what was written.

    Parameters
    ----------
    parts
        What to write, from `read_parts`.
    source
        The file or folder that the picks come from, for messages.
    target, to
        A file, whose suffix or `to` says the format; or a folder, which gets one file per micrograph and needs `to`.
    settings
        What to flip, what to keep, and how to write.
    micrographs
        The file or folder that the names come from; None if they were not compared with those of micrographs.

    Raises
    ------
    UsageError
        If the target's format cannot hold the picks, or needs a size, shape or name that is not known.
    """
    entry, is_folder = target_format(target, to)
    parts = _where_particles_are(parts, source, settings)
    kept = [_with_boxes(part, _kept(_turned(part.boxes, source, settings), settings)) for part in parts]
    boxes_above = [part.boxes if settings.threshold is None else part.boxes.above(settings.threshold) for part in kept]
    if entry.only_inside:
        boxes_above = [keep_inside(boxes, target) for boxes in boxes_above]
    else:
        warn_of_outside(boxes_above, target)
    written = [_with_boxes(part, boxes) for part, boxes in zip(kept, boxes_above, strict=True)]
    if entry.takes_optics:
        written = [dataclasses.replace(part, optics=with_given_optics(part.optics, settings)) for part in written]
        some = [part for part in written if len(part.boxes)]
        groups = optics_groups([part.boxes for part in some], [part.optics for part in some])
        warn_of_unknown_optics(groups, target, pixel_size_by=parameter("Boxes.pixel_size"))
    holds_names = entry.takes_optics or (len(parts) > 1 and not is_folder)
    if entry.compares_names and holds_names:
        written = [_with_boxes(part, part.boxes.of(micrograph=part.relion_name)) for part in written]
    if entry.compares_names and (holds_names or is_folder):
        names = [part.boxes.micrograph or "" for part in written]
        _say_names(names, target, known=micrographs is not None, need_suffix=holds_names)
    write = _write_folder if is_folder else _write_file
    files = write(written, target, entry, settings)
    return Converted(
        tuple(files), tuple(part.boxes for part in kept), sum(len(part.boxes) for part in written), settings.threshold
    )


def _where_particles_are(parts: Sequence[Part], source: Path, settings: ConvertSettings) -> list[Part]:
    """Return the parts with the pixel size that is given and, unless coordinates stay, with refined shifts applied."""
    boxes = [part.boxes.of(pixel_size=settings.pixel_size) for part in parts]
    if not settings.keep_coordinates:
        boxes = recentre(boxes, source)
    return [_with_boxes(part, own) for part, own in zip(parts, boxes, strict=True)]


def _with_boxes(part: Part, boxes: Boxes) -> Part:
    return dataclasses.replace(part, boxes=boxes)


def _is_one_micrograph(micrographs: Path) -> bool:
    return micrographs.is_file() and not is_star(str(micrographs))


def _say_names(names: Sequence[str], target: Path, *, known: bool, need_suffix: bool) -> None:
    """Warn of names that are not files' names for RELION, or are cryoSPARC's.

    Files of single micrographs hold no names; RELION finds them by their own, which need no suffix of an image.
    """
    bare = [name for name in names if need_suffix and not has_image_suffix(base_name(name))]
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


def _turned(boxes: Boxes, source: Path, settings: ConvertSettings) -> Boxes:
    """Return the boxes in our frame, as the settings say how the source's differs."""
    return to_full_size(_moved(boxes, settings), source, flip_y=settings.flip_y)


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


def _write_file(parts: Sequence[Part], target: Path, entry: PicksFormat, settings: ConvertSettings) -> list[Path]:
    if len(parts) > 1 and entry.write_joined is None:
        raise UsageError(
            f"{target}: {len(parts)} micrographs do not fit one file of the format {entry.name}; "
            f"give a folder instead, and {parameter('to', entry.name)}."
        )
    twice = [name for name, n in Counter(part.boxes.micrograph for part in parts).items() if n > 1]
    if twice:
        raise UsageError(
            f"{target}: there are several sets of picks of {twice[0] or 'a micrograph without a name'}. "
            "Joined, each of its particles would be listed several times; leave only one set, or give a folder."
        )
    _write(parts, target, entry, settings)
    return [target]


def _write_folder(parts: Sequence[Part], target: Path, entry: PicksFormat, settings: ConvertSettings) -> list[Path]:
    files: dict[Path, str | None] = {}
    for part in parts:
        path = target / _file_name(part, entry)
        if path in files:
            raise UsageError(
                f"{path}: {files[path]} and {part.boxes.micrograph} would both be written to this file; convert "
                "them one at a time."
            )
        files[path] = part.boxes.micrograph
    for path, part in zip(files, parts, strict=True):
        _write([part], path, entry, settings)
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


def _write(parts: Sequence[Part], path: Path, entry: PicksFormat, settings: ConvertSettings) -> None:
    if len(parts) > 1 or entry.takes_optics:
        optics = [part.optics for part in parts]
        write_joined_picks([part.boxes for part in parts], path, format=entry.name, optics=optics)
    else:
        write_picks(parts[0].boxes, path, format=entry.name, float_coordinates=settings.float_coordinates)


def _file_name(part: Part, entry: PicksFormat) -> PurePosixPath:
    """Return where one micrograph's picks go below the target; its folders stay, so two of one name stay apart."""
    stem = part.stem if part.stem is not None else without_image_suffix(part.boxes.micrograph or "picks")
    # A name comes from a file, so it may be anything; it must not lead out of the target.
    parts = [one for one in PurePosixPath(stem).parts if one not in ("/", "..", ".")]
    return PurePosixPath(*parts[:-1], parts[-1] + entry.plain_ending)


def _of_one_micrograph(source: Path, micrograph: Path, settings: ConvertSettings) -> Boxes:
    """Return the picks of this one micrograph, whether `source` is its file, a joined one or a folder."""
    parts = read_all_picks(source, format=settings.source_format, scale=settings.scale, keep_coordinates=True)
    found = match_names([micrograph.name], [boxes.micrograph for boxes in parts])
    if found:
        boxes = parts[found[micrograph.name]]
    elif source.is_dir():
        raise InputError(f"{source}: no picks file here belongs to {micrograph}.")
    else:
        # The file may be this micrograph's under another name; if not, the error says whose picks are there.
        boxes = read_picks(
            source,
            format=settings.source_format,
            micrograph=micrograph.name,
            scale=settings.scale,
            keep_coordinates=True,
        )
    boxes = _of_file(boxes, MicrographFile(micrograph.name, micrograph))
    # A name that is the path of a file says more than the bare name, so it is kept.
    if boxes.micrograph is not None and has_image_suffix(base_name(boxes.micrograph)):
        return boxes
    return boxes.renamed(micrograph.name)


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
