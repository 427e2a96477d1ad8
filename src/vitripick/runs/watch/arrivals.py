"""What is there: a folder or a growing STAR, looked at again and again without opening a single micrograph."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar

from vitripick.errors import FormatError, InputError
from vitripick.formats import MicrographFile
from vitripick.formats.micrographs.finding import folders_left_out, natural_key, star_files
from vitripick.formats.names.suffixes import suffix_of

log = logging.getLogger("vitripick")
T = TypeVar("T")

# (size in bytes, time of the last change in ns); None for a file that is not there.
Signature: TypeAlias = "tuple[int, int] | None"
# Of the files that are done, so many are looked at again in each scan: a replaced one is noticed within some scans,
# and a folder of many thousands on a slow file server is still scanned quickly.
_LOOK_AGAIN = 500
_HALF_WRITTEN = (".tmp", ".part", ".partial", ".filepart", ".crdownload")


class Source(Protocol):
    """Where micrographs arrive."""

    n_found: int

    def scan(self, done: set[str]) -> list[tuple[MicrographFile, Signature]]:
        """Every micrograph that is not in `done`, and some of those that are, each as it is on disk now."""

    def in_order(self, files: Iterable[MicrographFile]) -> list[MicrographFile]:
        """As `find_micrographs` would list them."""


class FolderSource:
    """A folder with its sub-folders.

    Hidden files and folders, names that say half-written (`.tmp`, `.part`), links to folders, and the run folder (where
    it is the watched one, its pictures) are passed over.
    """

    def __init__(self, root: Path, leave_out: Path) -> None:
        self.root = root
        self.n_found = 0
        self._left_out = folders_left_out(root, [leave_out])
        self._next_again = 0

    def scan(self, done: set[str]) -> list[tuple[MicrographFile, Signature]]:
        """See `Source.scan`; a folder that cannot be read now is passed over with a warning."""
        entries = list(self._entries(os.fspath(self.root), ""))
        self.n_found = len(entries)
        again = _some_of([e for e in entries if e[0] in done], self._next_again)
        self._next_again += _LOOK_AGAIN
        look_at = [entry for entry in entries if entry[0] not in done] + again
        return [(MicrographFile(name, Path(entry.path)), _signature(entry)) for name, entry in look_at]

    def in_order(self, files: Iterable[MicrographFile]) -> list[MicrographFile]:
        """In natural order of their names."""
        return sorted(files, key=lambda file: natural_key(file.name))

    def _entries(self, folder: str, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        try:
            with os.scandir(folder) as scan:
                entries = list(scan)
        except OSError as error:
            # A file server that is away comes back; what is done stays done.
            log.warning("%s: this folder cannot be read now (%s)", folder, error.strerror)
            return
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                if prefix + entry.name not in self._left_out:
                    yield from self._entries(entry.path, f"{prefix}{entry.name}/")
            elif is_micrograph_name(entry.name):
                yield prefix + entry.name, entry


class StarSource:
    """A RELION micrographs STAR that grows while it is watched."""

    def __init__(self, star: Path) -> None:
        self.star = star
        self.n_found = 0
        self._read_at: Signature = None
        self._files: dict[str, MicrographFile] = {}
        self._next_again = 0

    def scan(self, done: set[str]) -> list[tuple[MicrographFile, Signature]]:
        """See `Source.scan`; a STAR that is being written, or is not there yet, leaves what was read before."""
        signature = signature_of(self.star)
        if signature is not None and signature != self._read_at:
            try:
                self._files = {file.name: file for file in star_files(self.star)}
                # Read while it was written to, it is read again on the next look.
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
        """In the order of the STAR; what has left it comes last."""
        place = {name: i for i, name in enumerate(self._files)}
        return sorted(files, key=lambda file: (place.get(file.name, len(place)), natural_key(file.name)))


def source_of(path: str | Path, out: Path) -> Source:
    """The source that `path` names.

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
        raise InputError(f"{path}: neither a folder nor a RELION micrographs STAR, so nothing can arrive there.")
    return FolderSource(path, out)


def is_micrograph_name(name: str) -> bool:
    """Whether a file of this name is a micrograph, and not one that says it is half-written.

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
    """Size and time of a file as it is now."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _signature(entry: os.DirEntry[str]) -> Signature:
    # Not entry.stat(): on some systems it repeats what the folder said, which may lag behind on a file server.
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
