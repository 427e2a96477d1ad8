"""List the micrographs of a folder or a growing STAR, again and again, without opening any of them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar

from vitripick.encoding import encoding_problem
from vitripick.errors import FormatError, InputError
from vitripick.formats import MicrographFile
from vitripick.formats.folders import walk
from vitripick.formats.micrographs.derived import left_out_images
from vitripick.formats.micrographs.finding import folders_left_out, has_picks, natural_key, star_files
from vitripick.formats.names.suffixes import suffix_of, unread_image
from vitripick.formats.passed_by import PassedBy, say_passed_by

log = logging.getLogger("vitripick")
T = TypeVar("T")

# (size in bytes, time of the last change in ns); None for a file that is not there.
Signature: TypeAlias = "tuple[int, int] | None"
# Each scan looks again at this number of files that are done. So a replaced file is noticed within some scans, and a
# folder of many thousands on a slow file server is still scanned quickly.
_LOOK_AGAIN = 500
_HALF_WRITTEN = (".tmp", ".part", ".partial", ".filepart", ".crdownload")


class Source(Protocol):
    """Describes a place where micrographs arrive."""

    n_found: int
    passed_by: list[PassedBy]

    def scan(self, done: set[str]) -> list[tuple[MicrographFile, Signature]]:
        """Return every micrograph that is not in `done`, and some of those that are, each as it is on disk now."""

    def in_order(self, files: Iterable[MicrographFile]) -> list[MicrographFile]:
        """Return `files` in the order of `find_micrographs`."""


class FolderSource:
    """Watches a folder with its sub-folders.

    It follows links to folders. It skips hidden files and folders, and names of half-written files (`.tmp`, `.part`).
    It also skips the run folder; if the run folder is the watched one, only its pictures.

    Of several images of one exposure, the best one by `derived.py` that has arrived is given. As soon as one of them
    has picks, in this watch or in an earlier one, no other image of the exposure is given any more. So a sibling that
    arrives later does not lead to picks of the same particles.

    Parameters
    ----------
    root
        The folder.
    leave_out
        The run folder.
    include
        As in `find_micrographs`.

    Attributes
    ----------
    passed_by
        Files that the last scan did not use. The first file of each kind is logged as well.
    """

    def __init__(self, root: Path, leave_out: Path, include: Sequence[str] = ()) -> None:
        self.root = root
        self.n_found = 0
        self.passed_by: list[PassedBy] = []
        self._include = include
        self._run_folder = leave_out
        self._picked: set[str] = set()
        self._said: set[str] = set()
        self._next_again = 0

    def scan(self, done: set[str]) -> list[tuple[MicrographFile, Signature]]:
        """Scan as `Source.scan` does; a folder that cannot be read now is passed over with a warning."""
        entries = self._entries(done)
        self.n_found = len(entries)
        again = _some_of([e for e in entries if e[0] in done], self._next_again)
        self._next_again += _LOOK_AGAIN
        look_at = [entry for entry in entries if entry[0] not in done] + again
        return [(MicrographFile(name, Path(entry.path)), _signature(entry)) for name, entry in look_at]

    def in_order(self, files: Iterable[MicrographFile]) -> list[MicrographFile]:
        """Return `files` in natural order of their names."""
        return sorted(files, key=lambda file: natural_key(file.name))

    def _entries(self, done: set[str]) -> list[tuple[str, os.DirEntry[str]]]:
        unused: list[PassedBy] = []
        found: dict[str, os.DirEntry[str]] = {}
        try:
            for folder in walk(os.fspath(self.root), left_out=self._left_out(), passed_by=unused):
                for entry in folder.files:
                    name = folder.inside + entry.name
                    if is_micrograph_name(entry.name):
                        problem = encoding_problem(entry.path)
                        if problem is None:
                            found[name] = entry
                        else:
                            unused.append(PassedBy(entry.path, problem))
                    elif (reason := unread_image(entry.name)) is not None:
                        unused.append(PassedBy(entry.path, reason))
        except OSError as error:
            # The file server may come back, so this is not an error; what is done stays done.
            log.warning("%s: this folder cannot be read now (%s)", error.filename, error.strerror)
            return []

        def picked_before(name: str) -> bool:
            if name in done or name in self._picked:
                return True
            if has_picks(name, [self._run_folder]):
                self._picked.add(name)
                return True
            return False

        left_out = left_out_images(found, include=self._include, picked_before=picked_before)
        unused += [PassedBy(found[name].path, reason, derived=True) for name, reason in left_out.items()]
        # There may be one for each micrograph, for days, so only the first of each kind is logged.
        say_passed_by([one for one in unused if one.reason not in self._said])
        self._said.update(one.reason for one in unused)
        self.passed_by = unused
        return [(name, entry) for name, entry in found.items() if name not in left_out]

    def _left_out(self) -> set[str]:
        # The run folder may be made, or become a link, while we watch.
        return folders_left_out(self.root, [self._run_folder])


class StarSource:
    """Watches a RELION micrographs STAR that grows."""

    def __init__(self, star: Path) -> None:
        self.star = star
        self.n_found = 0
        self.passed_by: list[PassedBy] = []
        self._read_at: Signature = None
        self._files: dict[str, MicrographFile] = {}
        self._next_again = 0

    def scan(self, done: set[str]) -> list[tuple[MicrographFile, Signature]]:
        """Scan as `Source.scan` does; while the STAR is missing or being written, what was read before counts."""
        signature = signature_of(self.star)
        if signature is not None and signature != self._read_at:
            try:
                self._files = {file.name: file for file in star_files(self.star)}
                # If it changed while it was read, the next scan reads it again.
                self._read_at = signature if signature_of(self.star) == signature else None
            except (FormatError, InputError) as error:
                log.info("%s", error)
        self.n_found = len(self._files)
        files = list(self._files.values())
        again = _some_of([file for file in files if file.name in done], self._next_again)
        self._next_again += _LOOK_AGAIN
        look_at = [file for file in files if file.name not in done] + again
        return [(file, signature_of(file.path)) for file in look_at]

    def in_order(self, files: Iterable[MicrographFile]) -> list[MicrographFile]:
        """Return `files` in the order of the STAR; those that are no longer in it come last."""
        place = {name: i for i, name in enumerate(self._files)}
        return sorted(files, key=lambda file: (place.get(file.name, len(place)), natural_key(file.name)))


def source_of(path: str | Path, out: Path, include: Sequence[str] = ()) -> Source:
    """Return the source that `path` names; `include` as in `find_micrographs`.

    Raises
    ------
    InputError
        If it is neither a folder nor a STAR.
    """
    path = Path(path)
    if path.suffix.lower() == ".star":
        if not path.parent.is_dir():
            raise InputError(f"{path}: there is no folder {path.parent} for this STAR to appear in.")
        return StarSource(path)
    if not path.is_dir():
        raise InputError(
            f"{path}: this is neither a folder nor a RELION micrographs STAR, so it cannot be watched. Give one of "
            "them."
        )
    return FolderSource(path, out, include)


def is_micrograph_name(name: str) -> bool:
    """Return whether a file of this name is a micrograph, and its name is not that of a half-written file.

    Examples
    --------
    >>> is_micrograph_name("a.mrc"), is_micrograph_name(".a.mrc"), is_micrograph_name("a.tmp.mrc")
    (True, False, False)
    """
    suffix = suffix_of(name)
    if suffix is None or name.startswith("."):
        return False
    return not name[: -len(suffix)].lower().endswith(_HALF_WRITTEN)


def signature_of(path: Path) -> Signature:
    """Return size and time of a file as it is now; None if it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _signature(entry: os.DirEntry[str]) -> Signature:
    # On some systems entry.stat() repeats the folder's listing, which may be old on a file server: hence os.stat.
    try:
        status = os.stat(entry.path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _some_of(items: Sequence[T], start: int) -> list[T]:
    if len(items) <= _LOOK_AGAIN:
        return list(items)
    start %= len(items)
    return [*items, *items][start : start + _LOOK_AGAIN]
