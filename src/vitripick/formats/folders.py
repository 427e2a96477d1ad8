"""Walk through folders for every search. Links are followed, and each real folder is searched once."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath

from vitripick.formats.passed_by import PassedBy


@lru_cache(maxsize=1 << 12)
def _real_of(folder: str, working_folder: str) -> str:
    return os.path.realpath(folder)


def real_folder(folder: str) -> str:
    """Return the path of a folder without links, as it was when it was first asked for."""
    return _real_of(folder, os.getcwd())


def forget_links() -> None:
    """Look at all links again, because they may have changed."""
    _real_of.cache_clear()


@dataclass(frozen=True)
class Folder:
    """Holds one folder of a walk.

    Attributes
    ----------
    inside
        Its path from the root of the walk, with `/` at its end; empty for the root.
    real
        Its path without links.
    files
        What it holds besides folders, sorted by name.
    """

    inside: str
    real: str
    files: list[os.DirEntry[str]]


def walk(
    root: str, *, left_out: Collection[str] = (), hidden: bool = False, passed_by: list[PassedBy]
) -> Iterator[Folder]:
    """Yield `root` and every folder below it.

    Folders that are reached without a link come first, then those behind links in the order of their paths. So a
    folder that can be reached in several ways keeps its plain path. A link to a folder above would lead out of `root`,
    so it is not followed.

    Parameters
    ----------
    root
        Where to begin; it may be a link.
    left_out
        Real paths of folders that are not entered.
    hidden
        Whether to enter hidden folders and give hidden files.
    passed_by
        Gets folders that cannot be read, and links that lead to a folder above.

    Raises
    ------
    OSError
        If `root` itself cannot be read.
    """
    start = os.path.realpath(root)
    plain: list[tuple[str, str, str]] = [("", root, start)]
    linked: list[tuple[str, str, str]] = []
    seen: set[str] = set()
    while plain or linked:
        if not plain:
            linked.sort()
        inside, path, real = plain.pop() if plain else linked.pop(0)
        if real in seen or real in left_out:
            continue
        seen.add(real)
        try:
            with os.scandir(path) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            if not inside:
                raise
            passed_by.append(PassedBy(path, f"this folder cannot be read: {error.strerror}"))
            continue
        files = []
        for entry in entries:
            if entry.name.startswith(".") and not hidden:
                continue
            below = f"{inside}{entry.name}/"
            if entry.is_dir(follow_symlinks=False):
                plain.append((below, entry.path, os.path.join(real, entry.name)))
            elif entry.is_symlink() and os.path.isdir(entry.path):  # entry.is_dir() fails for a link to itself
                target = os.path.realpath(entry.path)
                if not _is_above(target, real) and not _is_above(target, start):
                    linked.append((below, entry.path, target))
                elif target not in seen:
                    passed_by.append(PassedBy(entry.path, "this link leads to a folder above"))
            else:
                files.append(entry)
        yield Folder(inside, real, files)


def is_dangling(entry: os.DirEntry[str]) -> bool:
    """Return whether this is a link that leads nowhere."""
    return entry.is_symlink() and not os.path.exists(entry.path)


def _is_above(folder: str, place: str) -> bool:
    return PurePath(place).is_relative_to(folder)
