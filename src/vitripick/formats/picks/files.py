"""Read and write picks and labels of every format, as `Boxes` in full-size pixels; callers use these functions for all
formats."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vitripick.encoding import check_encoding, names_in_utf8
from vitripick.errors import FormatError, InputError, UsageError, parameter
from vitripick.formats.folders import walk
from vitripick.formats.names.pairing import pair_labels
from vitripick.formats.passed_by import PassedBy, say_passed_by
from vitripick.formats.picks.listed import find_listed, read_listed_files
from vitripick.formats.picks.meant import looks_like_picks, unread_table
from vitripick.formats.picks.recentre import recentre
from vitripick.formats.picks.table import (
    format_for_writing,
    format_named,
    format_of_file,
    known_suffixes,
    sniff,
    without_picks_suffix,
)
from vitripick.formats.star.optics import OpticsGroup
from vitripick.formats.values import checked, warn_of_scores
from vitripick.geometry import Boxes
from vitripick.run_layout import STORE, RunLayout
from vitripick.text import listed as names_listed


def read_picks(
    path: str | Path,
    *,
    format: str | None = None,
    micrograph: str | None = None,
    box_size_px: float | None = None,
    shape: tuple[int, int] | None = None,
    flip_y: bool = False,
    scale: float = 1.0,
    pixel_size: float | None = None,
    keep_coordinates: bool = False,
) -> Boxes:
    """Return the picks or labels of one micrograph, with refined shifts applied.

    Parameters
    ----------
    path
        A file in any format of `FORMATS`, or a RELION table of coordinate files (`autopick.star`).
    format
        A name of `FORMATS`; by default the suffix says, and the content where formats share a suffix.
    micrograph
        The micrograph to read, where the file holds several; names match as in `pair_labels`. The boxes get this name.
    box_size_px
        Size, in full-size pixels, for boxes whose file gives none; without it their size is NaN.
    shape
        (rows, columns) of the full-size micrograph, where the caller knows it.
    flip_y
        Whether the file counts y from the last row. This needs `shape`, unless the file says it.
    scale
        Full-size pixels per pixel of the file, for picks of a downscaled image.
    pixel_size
        Å per full-size pixel, for refined shifts, where the file says none or a wrong one.
    keep_coordinates
        Leave coordinates as the file has them, even if it has refined shifts; `Boxes.alignment` then holds the shifts.

    Raises
    ------
    InputError
        If the file is not there.
    FormatError
        If the file is not what its format promises; if it holds several micrographs and `micrograph` is none of
        them or missing; if it has refined shifts and no pixel size to apply them with.
    UsageError
        If `flip_y` lacks the shape.
    """
    path = Path(path)
    parts = _read_file(path, format)
    if micrograph is None and len(parts) > 1:
        names = ", ".join(str(boxes.micrograph) for boxes in parts[:3])
        raise FormatError(
            f"{path}: this file holds the picks of {len(parts)} micrographs ({names}, ...); say which one, "
            "or use read_all_picks."
        )
    boxes = parts[0]
    if micrograph is not None and (len(parts) > 1 or boxes.micrograph is not None):
        pairs = pair_labels([micrograph], parts).pairs
        if micrograph not in pairs:
            names = ", ".join(str(part.micrograph) for part in parts[:3])
            raise FormatError(
                f"{path}: none of the {len(parts)} micrographs in this file is {micrograph}; the first are {names}."
            )
        boxes = pairs[micrograph]
    boxes = boxes.of(micrograph=micrograph)
    warn_of_scores([boxes], path)
    boxes = to_full_size(boxes, path, box_size_px=box_size_px, shape=shape, scale=scale)
    if not keep_coordinates:
        (boxes,) = recentre([boxes], path, pixel_sizes=[pixel_size])
    return to_full_size(boxes, path, flip_y=flip_y)


def read_all_picks(
    path: str | Path,
    *,
    format: str | None = None,
    box_size_px: float | None = None,
    shape: tuple[int, int] | None = None,
    flip_y: bool = False,
    scale: float = 1.0,
    pixel_size: float | None = None,
    keep_coordinates: bool = False,
) -> list[Boxes]:
    """Return the picks or labels of every micrograph in a file or below a folder, one `Boxes` each.

    A run folder of `pick` gives its stored picks (`cbox/`), unless a format is asked for. Any other folder gives every
    picks file in it and below it, also behind links, in sorted order. Two kinds of files are skipped: those without
    picks, and those that a RELION table of coordinate files in the same folder already lists. A file that looks like
    picks, but is of a kind that vitripick does not read, is logged with the reason (`passed_by_collected` gives a
    list).

    `Boxes.micrograph` is the name in the file. Where the file has none, it is the file's own path, relative to the
    folder, without suffix and `_autopick` and the like. The other options are as in `read_picks`; refined shifts are
    applied here, too.

    Raises
    ------
    InputError
        If there is no such file or folder, or no picks file in it, or none of the coordinate files that a table lists.
    """
    path = Path(path)
    if path.is_dir():
        found = _read_folder(path, format)
    else:
        found = [boxes.of(micrograph=_own_name(boxes, path.name)) for boxes in _read_file(path, format)]
    warn_of_scores(found, path)
    found = [to_full_size(boxes, path, box_size_px=box_size_px, shape=shape, scale=scale) for boxes in found]
    if not keep_coordinates:
        found = recentre(found, path, pixel_sizes=[pixel_size] * len(found))
    return [to_full_size(boxes, path, flip_y=flip_y) for boxes in found]


def write_picks(
    boxes: Boxes,
    path: str | Path,
    *,
    format: str | None = None,
    threshold: float | None = None,
    box_size_px: float | None = None,
    flip_y: bool = False,
    scale: float = 1.0,
    float_coordinates: bool = False,
) -> None:
    """Write one micrograph's picks in the format of the suffix; no boxes give a valid file without any.

    Parameters
    ----------
    boxes
        In full-size pixels.
    path
        The file to write; its folder is made if it is missing.
    format
        A name of `FORMATS`, where the suffix is not enough (`cryosparc-star`).
    threshold
        Leave out picks of a lower confidence; labels, which have none, stay.
    box_size_px
        Write square boxes of this size, in full-size pixels, instead of the boxes' own.
    flip_y
        Count y from the last row; this needs `boxes.shape`.
    scale
        File pixels per full-size pixel: 0.25 for a program that works on images binned by 4.
    float_coordinates
        Keep fractions of pixels in `.box`, which some readers refuse.

    Raises
    ------
    UsageError
        If the format needs a size, a name or a shape that the boxes do not have, or if the suffix names no format.
    """
    path = Path(path)
    entry = format_for_writing(path, format)
    if entry.write is None:
        raise UsageError(f"{path}: files of the format {entry.name} are read, not written.")
    options = {"float_coordinates": float_coordinates} if entry.takes_fractions else {}
    with names_in_utf8(path):
        entry.write([_for_file(boxes, path, threshold, box_size_px, flip_y, scale)], path, **options)


def write_joined_picks(
    parts: Sequence[Boxes],
    path: str | Path,
    *,
    format: str | None = None,
    threshold: float | None = None,
    flip_y: bool = False,
    scale: float = 1.0,
    optics: Sequence[OpticsGroup | None] | None = None,
) -> None:
    """Write several micrographs' picks into one file, in a format that can hold them.

    Parameters
    ----------
    parts
        One for each micrograph, with its name.
    path, format, threshold, flip_y, scale
        As in `write_picks`.
    optics
        An optics group for each of `parts`, for the formats that hold them; others leave them out.

    Raises
    ------
    UsageError
        If the format holds one micrograph only, or as in `write_picks`.
    """
    path = Path(path)
    entry = format_for_writing(path, format)
    if entry.write_joined is None:
        raise UsageError(f"{path}: a file of the format {entry.name} holds one micrograph; write one file for each.")
    options = {"optics": optics} if entry.takes_optics else {}
    with names_in_utf8(path):
        entry.write_joined([_for_file(boxes, path, threshold, None, flip_y, scale) for boxes in parts], path, **options)


def to_full_size(
    boxes: Boxes,
    path: Path,
    *,
    box_size_px: float | None = None,
    shape: tuple[int, int] | None = None,
    flip_y: bool = False,
    scale: float = 1.0,
) -> Boxes:
    """Convert boxes from the file's pixels and direction of y to ours, and fill in missing sizes.

    Raises
    ------
    FormatError
        If a number is impossible (a position beyond any micrograph, a size of 0, an infinite confidence), or the file
        gives another shape.
    UsageError
        If `flip_y` lacks the shape.
    """
    boxes = checked(_scaled(checked(boxes, path), scale), path)
    if shape is not None and boxes.shape is not None and boxes.shape != shape:
        raise FormatError(
            f"{path}: the file says that {boxes.micrograph} has {boxes.shape[0]} rows and {boxes.shape[1]} "
            f"columns, but the micrograph has {shape[0]} and {shape[1]}; if it was picked on downscaled images, give "
            "the scale."
        )
    boxes = boxes.of(shape=shape)
    if box_size_px is not None:
        _positive("box_size_px", box_size_px)
        unknown = np.isnan(boxes.width) | np.isnan(boxes.height)
        boxes = dataclasses.replace(
            boxes,
            width=np.where(unknown, float(box_size_px), boxes.width),
            height=np.where(unknown, float(box_size_px), boxes.height),
        )
    return _flipped(boxes, path) if flip_y else boxes


def _for_file(
    boxes: Boxes,
    path: Path,
    threshold: float | None,
    box_size_px: float | None,
    flip_y: bool,
    scale: float,
) -> Boxes:
    if threshold is not None:
        boxes = boxes.above(threshold)
    if box_size_px is not None:
        _positive("box_size_px", box_size_px)
        boxes = boxes.with_size(box_size_px)
    return _scaled(_flipped(boxes, path) if flip_y else boxes, scale)


def _scaled(boxes: Boxes, scale: float) -> Boxes:
    _positive("scale", scale)
    return boxes if scale == 1 else boxes.scaled(scale)


def _flipped(boxes: Boxes, path: Path) -> Boxes:
    if boxes.shape is None:
        raise UsageError(
            f"{path}: flipping y needs the number of rows of {boxes.micrograph or 'the micrograph'}; "
            f"give {parameter('Boxes.shape')}."
        )
    return boxes.flipped(boxes.shape[0])


def _positive(name: str, value: float) -> None:
    if not (np.isfinite(value) and value > 0):
        raise UsageError(f"{name} should be a number above zero, but it is {value}.")


def _read_file(path: Path, format: str | None) -> list[Boxes]:
    """Return all micrographs of one file, as the file has them; never an empty list."""
    entry = format_of_file(path, format)
    if entry.read is None:
        raise UsageError(f"{path}: files of the format {entry.name} are written, not read.")
    rows = None if entry.list_files is None else entry.list_files(path)
    return entry.read(path) if rows is None else read_listed_files(path, rows)


def _read_folder(folder: Path, format: str | None) -> list[Boxes]:
    given = folder
    if format is None and RunLayout(folder).holds_run():
        folder = folder / STORE.folder
    suffixes = known_suffixes() if format is None else format_named(format).suffixes
    unused: list[PassedBy] = []
    files: list[Path] = []
    for name in _names_below(folder, unused):
        file = folder / name
        if file.suffix.lower() not in suffixes or not file.is_file():
            reason = unread_table(file.name) if format is None else None
            if reason is not None:
                unused.append(PassedBy(str(file), reason))
        elif format is not None or _holds_picks(file):
            files.append(file)
        elif looks_like_picks(file):
            unused.append(PassedBy(str(file), _why_not(file)))
    say_passed_by(unused)
    listed: set[Path] = set()
    for file in files:
        list_files = format_of_file(file, format).list_files
        for _, name in (list_files(file) if list_files is not None else None) or ():
            path = find_listed(file, name)
            listed |= set() if path is None else {path.resolve()}
    found = []
    for file in files:
        if file.resolve() not in listed:
            name = file.relative_to(folder).as_posix()
            check_encoding(name)
            found += [boxes.of(micrograph=_own_name(boxes, name)) for boxes in _read_file(file, format)]
    if not found:
        instead = [f"{one.path} ({one.reason})" for one in unused]
        raise InputError(
            f"{given}: there are no picks files in this folder ({', '.join(suffixes)})."
            + (f" Found instead: {names_listed(instead, most=3)}." if instead else "")
        )
    return found


def _names_below(folder: Path, unused: list[PassedBy]) -> list[str]:
    """Return the paths of all files below a folder, from it, sorted by their parts."""
    try:
        found = [below.inside + entry.name for below in walk(str(folder), passed_by=unused) for entry in below.files]
    except OSError as error:
        raise InputError(f"{folder}: this folder cannot be searched ({error.strerror}).") from error
    return sorted(found, key=lambda name: name.split("/"))


def _holds_picks(file: Path) -> bool:
    """Return whether a file that was found by searching holds picks: tables of all kinds share suffixes."""
    entry = sniff(file)
    return entry is not None and (entry.holds_picks is None or entry.holds_picks(file))


def _why_not(file: Path) -> str:
    """Return why a file is not read: the message that reading it alone would give."""
    try:
        _read_file(file, None)
    except (InputError, UsageError) as error:
        return str(error).removeprefix(f"{file}").lstrip(":, ").rstrip(".")
    return "this table does not say that it holds picks; name the file itself to read it"


def _own_name(boxes: Boxes, file_name: str) -> str:
    if boxes.micrograph is not None:
        return boxes.micrograph
    check_encoding(file_name)
    return without_picks_suffix(file_name)
