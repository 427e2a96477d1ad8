"""Find the micrographs that a user names (files, globs, folders, a RELION STAR), each with an identity."""

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
    """Holds the name and place of a micrograph that was asked for, before its file is opened.

    Attributes
    ----------
    name
        Its identity, unique in the list: the path relative to the input root, or the STAR's string verbatim.
    path
        Path of the file, as the user typed it; links are not resolved.
    from_star
        Whether `name` is a STAR's string, which RELION compares character for character.
    optics
        What a STAR's optics block says about it; None for other inputs and older STARs.
    """

    name: str
    path: Path
    from_star: bool = False
    optics: OpticsGroup | None = None

    @property
    def pixel_size(self) -> float | None:
        """Return Å per pixel as a STAR has it, which overrides the header's; None where no STAR says it."""
        return None if self.optics is None else self.optics.pixel_size


def find_micrographs(inputs: Sequence[str | Path], *, leave_out: Sequence[str | Path] = ()) -> list[MicrographFile]:
    """Return the micrographs that `inputs` name, each once, in natural order (`mic2` before `mic10`).

    Parameters
    ----------
    inputs
        Each one is a file, a glob pattern, a folder or a RELION micrographs STAR. A folder is searched with its
        subfolders for what we read; hidden files and folders, and links to folders, are skipped. Micrographs of a STAR
        come first, in its order. A name in a STAR is looked for in the working folder, then in the STAR's folder and
        each one above it.
    leave_out
        Run folders; micrographs in them are not found by searching or by a glob, see `folders_left_out`.

    Returns
    -------
    list of MicrographFile
        Names are relative to the input root. The root is the folder that was given, a glob's folder before its first
        wildcard, or a file's folder; for several inputs it is what these have in common. A missing file stays in the
        list, and only its own reading fails.

    Raises
    ------
    InputError
        If an input matches nothing or has no micrograph's suffix, if no file is there, or if two micrographs would have
        one name.
    """
    if not inputs:
        raise InputError("no micrographs were given; name files, a folder, a glob or a RELION micrographs star.")
    paths: dict[str, Path] = {}  # the keys are absolute paths, so each file comes once
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
    # RELION needs the names of its STAR, so these come first.
    files = _each_once([*listed, *sorted(named, key=lambda file: natural_key(file.name))])
    if not any(os.path.lexists(file.path) for file in files):
        raise InputError(
            f"none of the {len(files)} micrographs is there; the first is {files[0].path}. Run this in the "
            "folder that the names start from."
        )
    return files


def folders_left_out(root: str | Path, run_folders: Sequence[str | Path]) -> set[str]:
    """Return the folders, as paths from `root`, in which a search of `root` looks for no micrographs.

    A run folder below `root` is left out. One that is `root` or lies above it may hold the micrographs themselves, so
    only its folders of pictures are left out.
    """
    left_out = set()
    for run_folder in run_folders:
        for folder in (run_folder, *(os.path.join(run_folder, name) for name in PICTURE_FOLDERS)):
            # A glob names its finds by the links on the way, so both kinds of path are compared.
            for place in (os.path.abspath, os.path.realpath):
                inside = PurePath(place(folder))
                if inside != PurePath(place(root)) and inside.is_relative_to(place(root)):
                    left_out.add(inside.relative_to(place(root)).as_posix())
    return left_out


def star_files(star: Path) -> list[MicrographFile]:
    """Return the micrographs that a RELION STAR lists, in its order, whether they are there or not."""
    folders = [Path(), *Path(os.path.abspath(star)).parents]
    files = []
    for name, optics in read_micrographs_star_with_optics(star):
        places = [folder / name for folder in folders]  # an absolute name gives the same place in each
        path = next((place for place in places if os.path.lexists(place)), places[0])
        files.append(MicrographFile(name, path, from_star=True, optics=optics))
    return files


def output_stems(files: Iterable[MicrographFile]) -> dict[str, str]:
    """Return where the outputs of each micrograph go, below the output folder and without a suffix.

    This is the name without suffix, or the whole name for those that would share a stem (`a.mrc` and `a.tif`). A name
    in a STAR may lead outside (`/data/a.mrc`, `../a.mrc`); its outputs still go inside.

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
            # Only names of a STAR can still share a stem (`../a.mrc` and `a.mrc`); the number follows their order.
            stem = _free(whole[name], taken)
            taken.add(stem)
        stems[name] = stem
    return stems


def is_star(text: str) -> bool:
    """Return whether this input is a RELION STAR of micrographs, by its suffix."""
    return text.lower().endswith(".star") and not os.path.isdir(text)


def _from_disk(text: str, run_folders: Sequence[str | Path]) -> tuple[str, list[Path]]:
    """Return the root and the files of one input that is no STAR."""
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

    # A link to a folder above would never end, and one to a folder beside would give all twice, so none is followed.
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
    """Return a sort key in which numbers count as numbers, folder by folder; between equals the name decides."""
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
    """Return a relative path that never climbs: no root, no `.`, and `__` for `..`."""
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
