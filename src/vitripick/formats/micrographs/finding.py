"""From what a user types (files, globs, folders, a RELION star) to micrographs with an identity each."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from vitripick.errors import InputError
from vitripick.formats.names.suffixes import suffix_of, suffixes_in_words
from vitripick.formats.star.files import read_micrographs_star_with_optics
from vitripick.formats.star.optics import OpticsGroup
from vitripick.run_layout import PICTURE_FOLDERS

_WILDCARD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class MicrographFile:
    """A micrograph that was asked for; nobody has opened it yet.

    Attributes
    ----------
    name
        Its identity, unique in the list: the path relative to the input root, or the star's string verbatim.
    path
        Where it lies, as the user typed it; links are not resolved.
    from_star
        Whether `name` is a star's string, which RELION compares character for character.
    optics
        What a star's optics block says of it; None for other inputs and older stars.
    """

    name: str
    path: Path
    from_star: bool = False
    optics: OpticsGroup | None = None

    @property
    def pixel_size(self) -> float | None:
        """Å per pixel as a star has it, which goes before the header's; None where none says."""
        return None if self.optics is None else self.optics.pixel_size


def find_micrographs(inputs: Sequence[str | Path], *, leave_out: Sequence[str | Path] = ()) -> list[MicrographFile]:
    """The micrographs that `inputs` name, each once, in natural order (`mic2` before `mic10`).

    Parameters
    ----------
    inputs
        Each one a file, a glob pattern, a folder (searched with its subfolders for what we read; hidden
        files and folders, and links to folders, are passed over), or a RELION micrographs star (its order is
        kept, and it goes first). A name in a star is looked for in the working folder, then in the star's
        folder and each one above it.
    leave_out
        Run folders, in which nothing is found by searching or by a glob; see `folders_left_out`.

    Returns
    -------
    list of MicrographFile
        Names are relative to the input root: the folder that was given; a glob's folder before its first
        wildcard; a file's folder; for several of these, what they have in common. A missing file stays
        in the list, and fails alone when it is read.

    Raises
    ------
    InputError
        If an input matches nothing, is no micrograph by its suffix, or if not a single file is there; if two
        micrographs would have one name.
    """
    if not inputs:
        raise InputError("no micrographs were given; name files, a folder, a glob or a RELION micrographs star.")
    paths: dict[str, Path] = {}  # by absolute path, so that each comes once
    roots: list[str] = []
    listed: list[MicrographFile] = []
    for given in inputs:
        text = os.fspath(given)
        if is_star(text):
            listed += star_files(Path(text))
            continue
        root, found = _from_disk(text, leave_out)
        roots.append(os.path.abspath(root))
        for path in found:
            paths.setdefault(os.path.abspath(path), path)
    root = os.path.commonpath(roots) if roots else ""
    named = [MicrographFile(_relative(absolute, root), path) for absolute, path in paths.items()]
    # A star's names go before: RELION needs them.
    files = _each_once([*listed, *sorted(named, key=lambda file: natural_key(file.name))])
    if not any(os.path.lexists(file.path) for file in files):
        raise InputError(
            f"none of the {len(files)} micrographs is there; the first is {files[0].path}. Run this in the "
            "folder that the names start from."
        )
    return files


def folders_left_out(root: str | Path, run_folders: Sequence[str | Path]) -> set[str]:
    """Folders, as paths from `root`, in which a search of `root` looks for no micrographs.

    A run folder that lies below `root`; of one that is `root` or lies above it, only its folders of pictures: the
    micrographs themselves may lie in it.
    """
    left_out = set()
    for run_folder in run_folders:
        for folder in (run_folder, *(os.path.join(run_folder, name) for name in PICTURE_FOLDERS)):
            # A glob names what it finds by the links on the way.
            for place in (os.path.abspath, os.path.realpath):
                inside = PurePath(place(folder))
                if inside != PurePath(place(root)) and inside.is_relative_to(place(root)):
                    left_out.add(inside.relative_to(place(root)).as_posix())
    return left_out


def star_files(star: Path) -> list[MicrographFile]:
    """The micrographs that a RELION star lists, in its order, whether they are there or not."""
    folders = [Path(), *Path(os.path.abspath(star)).parents]
    files = []
    for name, optics in read_micrographs_star_with_optics(star):
        places = [folder / name for folder in folders]  # an absolute name stays itself in each
        path = next((place for place in places if os.path.lexists(place)), places[0])
        files.append(MicrographFile(name, path, from_star=True, optics=optics))
    return files


def output_stems(files: Iterable[MicrographFile]) -> dict[str, str]:
    """Where the outputs of each micrograph go, below the output folder and without a suffix.

    The name without suffix; the whole name for those that would share a stem (`a.mrc` and `a.tif`). A name
    that leads outside, as a star's may (`/data/a.mrc`, `../a.mrc`), is led back in.

    Examples
    --------
    >>> output_stems([MicrographFile("grid1/a.mrc", Path("grid1/a.mrc"))])
    {'grid1/a.mrc': 'grid1/a'}
    """
    whole = {file.name: whole_stem(file.name) for file in files}
    bare = {name: _without_suffix(inside) for name, inside in whole.items()}
    shared = Counter(bare.values())
    stems: dict[str, str] = {}
    taken = {stem for stem, n_names in shared.items() if n_names == 1}
    for name, stem in bare.items():
        if shared[stem] > 1:
            # Only stars get here twice (`../a.mrc` and `a.mrc`); the number follows their order.
            stem = _free(whole[name], taken)
            taken.add(stem)
        stems[name] = stem
    return stems


def is_star(text: str) -> bool:
    """Whether this input is a RELION star of micrographs, by its suffix."""
    return text.lower().endswith(".star") and not os.path.isdir(text)


def _from_disk(text: str, run_folders: Sequence[str | Path]) -> tuple[str, list[Path]]:
    """The root and the files of one input that is no star."""
    if os.path.isdir(text):
        found = list(_in_folder(text, text, folders_left_out(text, run_folders)))
        if not found:
            raise InputError(f"{text}: there are no micrographs in this folder; we read {suffixes_in_words()}.")
        return text, found
    if os.path.lexists(text) or not _WILDCARD.search(text):
        if suffix_of(text) is not None:
            return os.path.dirname(text) or ".", [Path(text)]
        if os.path.lexists(text):
            raise InputError(f"{text}: this is no micrograph by its suffix; we read {suffixes_in_words()}.")
        raise InputError(f"{text}: there is no such file or folder.")
    found = []
    root = os.path.dirname(text[: _first_wildcard(text)]) or "."
    skipped = folders_left_out(root, run_folders)
    for match in glob.iglob(text, recursive=True):
        place = PurePosixPath(_relative(match, root))
        if skipped.intersection(map(str, (place, *place.parents))):
            continue
        if os.path.isdir(match):
            found += list(_in_folder(match, root, skipped))
        elif suffix_of(match) is not None:
            found.append(Path(match))
    if not found:
        raise InputError(f"{text}: no micrograph matches this pattern; we read {suffixes_in_words()}.")
    return root, found


def _first_wildcard(text: str) -> int:
    match = _WILDCARD.search(text)
    return match.start() if match else len(text)


def _in_folder(folder: str, root: str, skipped: set[str]) -> Iterator[Path]:
    def complain(error: OSError) -> None:
        raise InputError(f"{error.filename}: this folder cannot be searched ({error.strerror}).") from error

    # Links to folders are not followed: one to a folder above would never end, one beside would give all twice.
    for parent, folders, names in os.walk(folder, onerror=complain):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and _relative(os.path.join(parent, name), root) not in skipped
        ]
        for name in names:
            if not name.startswith(".") and suffix_of(name) is not None:
                yield Path(parent, name)


def _relative(path: str, root: str) -> str:
    return Path(os.path.relpath(path, root)).as_posix()


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key in which numbers count as numbers, folder by folder; between equals the name decides."""
    parts = re.split(r"(\d+)", name.replace("/", "\0").lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part], name


def _each_once(files: Iterable[MicrographFile]) -> list[MicrographFile]:
    by_name: dict[str, MicrographFile] = {}
    seen: set[str] = set()
    for file in files:
        absolute = os.path.abspath(file.path)
        if absolute in seen:
            continue
        seen.add(absolute)
        other = by_name.setdefault(file.name, file)
        if other is not file:
            raise InputError(
                f"{other.path} and {file.path} would both be called {file.name}; pick them in separate runs."
            )
    return list(by_name.values())


def whole_stem(name: str) -> str:
    """A relative path that never climbs: no root, no `.`, and `__` for `..`."""
    parts = [part for part in PurePosixPath(name).parts if part.strip("/")]
    return "/".join("__" if part == ".." else part for part in parts) or "micrograph"


def _without_suffix(name: str) -> str:
    suffix = suffix_of(name)
    return name if suffix is None else name[: -len(suffix)]


def _free(stem: str, taken: set[str]) -> str:
    candidate, number = stem, 2
    while candidate in taken:
        candidate, number = f"{stem}_{number}", number + 1
    return candidate
