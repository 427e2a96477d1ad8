"""Find the micrographs that a user names (files, globs, folders, a RELION STAR), each with an identity."""

from __future__ import annotations

import fnmatch
import glob
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from vitripick.encoding import check_encoding
from vitripick.errors import InputError, parameter
from vitripick.formats.folders import forget_links, is_dangling, real_folder, walk
from vitripick.formats.micrographs.derived import derived_kind, left_out_images
from vitripick.formats.names.suffixes import suffix_of, suffixes_in_words, unread_image
from vitripick.formats.passed_by import PassedBy, say_passed_by
from vitripick.formats.star.defocus import Defocus
from vitripick.formats.star.files import read_listed_micrographs
from vitripick.formats.star.optics import OpticsGroup
from vitripick.run_layout import LABEL_HISTORY, PICTURE_FOLDERS, RunLayout
from vitripick.text import count, listed

log = logging.getLogger("vitripick")

_WILDCARD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class MicrographFile:
    """Holds the name and place of a micrograph that was asked for, before its file is opened.

    Attributes
    ----------
    name
        Its identity, unique in the list: the path relative to the input root, or the string of the STAR as it is.
    path
        Path of the file, as the user typed it; links are not resolved.
    from_star
        Whether `name` is a STAR's string, which RELION compares character for character.
    optics, defocus
        Its optics group and its defocus as its STAR has them; None for other inputs and where the STAR says nothing.
    """

    name: str
    path: Path
    from_star: bool = False
    optics: OpticsGroup | None = None
    defocus: Defocus | None = None

    @property
    def pixel_size(self) -> float | None:
        """Return Å per pixel from the STAR, which overrides the header; None if no STAR gives it."""
        return None if self.optics is None else self.optics.pixel_size

    @property
    def relion_name(self) -> str:
        """Return the string by which RELION finds it: the name in its STAR verbatim, else the path as typed."""
        return self.name if self.from_star else str(self.path)


def find_micrographs(
    inputs: Sequence[str | Path],
    *,
    leave_out: Sequence[str | Path] = (),
    include: Sequence[str] = (),
) -> list[MicrographFile]:
    """Return the micrographs that `inputs` name, each once, in natural order (`mic2` before `mic10`).

    Parameters
    ----------
    inputs
        Each one is a file, a glob pattern, a folder or a RELION micrographs STAR. A folder is searched for files that
        vitripick reads, with its subfolders and those behind links; hidden files and folders are skipped. A search
        takes one image of each exposure, see `derived.py`; files that are not used are logged (`passed_by_collected`
        gives a list). Micrographs of a STAR come first, in its order. A name in a STAR is looked for in the working
        folder, then in the STAR's folder and each one above it.
    leave_out
        Run folders; micrographs in them are not found by searching or by a glob, see `folders_left_out`. An image that
        has picks in one of them is taken, even if a better image of its exposure has come since.
    include
        Patterns (`*_EVN.mrc`) or endings (`_EVN`) of names; such images are taken, too. `*` takes all.

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
    UsageError
        If a name cannot be written as it is in this locale.
    """
    if not inputs:
        raise InputError("no micrographs were given; name files, a folder, a glob or a RELION micrographs star.")
    forget_links()
    paths: dict[str, Path] = {}  # the keys are paths whose folder has no links, so each file comes once
    roots: list[str] = []
    named: set[str] = set()  # keys of files that were named one by one
    asked: set[str] = set()  # keys of files that a pattern such as "*_EVN.mrc" asked for
    unused: list[PassedBy] = []
    listed_in_star: list[MicrographFile] = []
    for given in inputs:
        text = os.fspath(given)
        if is_star(text):
            listed_in_star += star_files(Path(text))
            continue
        root, found = _from_disk(text, leave_out, unused)
        roots.append(os.path.abspath(root))
        keys = [os.path.join(real_folder(os.path.dirname(path)), path.name) for path in found]
        paths.update((key, path) for key, path in zip(keys, found, strict=True) if key not in paths)
        if not os.path.isdir(text):
            if os.path.lexists(text) or not _WILDCARD.search(text):
                named.update(keys)
            elif derived_kind(PurePath(text).name) is not None:
                asked.update(keys)
    root = os.path.commonpath(roots) if roots else ""
    found_as = {_relative(os.path.abspath(path), root): (key, path) for key, path in paths.items()}
    left_out = left_out_images(
        (name for name, (key, _) in found_as.items() if key not in asked),
        include=include,
        picked_before=lambda name: has_picks(name, leave_out),
    )
    _doubt([name for name in left_out if found_as[name][0] in named])
    images = []
    for name, (key, path) in found_as.items():
        if name in left_out and key not in named:
            unused.append(PassedBy(str(path), left_out[name], derived=True))
        else:
            images.append(MicrographFile(name, path))
    # Two patterns may meet the same folder.
    say_passed_by(list(dict.fromkeys(unused)))
    if not images and not listed_in_star:
        raise InputError(_only_derived(inputs, unused))
    # RELION needs the names of its STAR, so these come first.
    files = _each_once([*listed_in_star, *sorted(images, key=lambda file: natural_key(file.name))])
    for file in files:
        check_encoding(str(file.path))
    if not any(os.path.lexists(file.path) for file in files):
        raise InputError(
            f"none of the {len(files)} micrographs exists; the first is {files[0].path}. Run this in the "
            "folder that their paths start from."
        )
    return files


def folders_left_out(root: str | Path, run_folders: Sequence[str | Path]) -> set[str]:
    """Return the real paths of the folders in which a search of `root` looks for no micrographs.

    A run folder below `root` is left out. One that is `root` or lies above it may hold the micrographs themselves, so
    only its folders of pictures are left out.
    """
    left_out = set()
    start = PurePath(os.path.realpath(root))
    for run_folder in run_folders:
        for folder in (run_folder, *(os.path.join(run_folder, name) for name in PICTURE_FOLDERS)):
            real = os.path.realpath(folder)
            if not start.is_relative_to(real):
                left_out.add(real)
    return left_out


def star_files(star: Path) -> list[MicrographFile]:
    """Return the micrographs that a RELION STAR lists, in its order, whether they are there or not."""
    folders = [Path(), *Path(os.path.abspath(star)).parents]
    files = []
    for one in read_listed_micrographs(star):
        places = [folder / one.name for folder in folders]  # an absolute name gives the same place in each
        path = next((place for place in places if os.path.lexists(place)), places[0])
        files.append(MicrographFile(one.name, path, True, one.optics, one.defocus))
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


def _from_disk(text: str, run_folders: Sequence[str | Path], unused: list[PassedBy]) -> tuple[str, list[Path]]:
    """Return the root and the files of one input that is not a STAR."""
    if os.path.isdir(text):
        found = _in_folder(text, folders_left_out(text, run_folders), unused)
        if not found:
            raise InputError(
                f"{text}: there are no micrographs in this folder; vitripick reads "
                f"{suffixes_in_words()}.{_instead(unused)}"
            )
        return text, found
    if os.path.lexists(text) or not _WILDCARD.search(text):
        if suffix_of(text) is not None:
            return os.path.dirname(text) or ".", [Path(text)]
        if os.path.lexists(text):
            reason = unread_image(text)
            raise InputError(
                f"{text}: its suffix is not that of a micrograph; vitripick reads {suffixes_in_words()}."
                + ("" if reason is None else f" This one is {reason}.")
            )
        raise InputError(f"{text}: there is no such file or folder.")
    root = os.path.dirname(text[: _first_wildcard(text)]) or "."
    skipped = folders_left_out(root, run_folders)
    found = []
    for match in _matches(text, root, skipped, unused):
        if os.path.isdir(match):
            folder = os.path.realpath(match)
            if not _is_within(folder, skipped):
                found += _in_folder(match, skipped, unused)
        elif not _is_within(real_folder(os.path.dirname(match)), skipped):
            _sort_out(match, found, unused, dangling=False)
    found.sort(key=_by_plain_path)
    if not found:
        raise InputError(
            f"{text}: no micrograph matches this pattern; vitripick reads {suffixes_in_words()}.{_instead(unused)}"
        )
    return root, found


def _matches(pattern: str, root: str, skipped: set[str], unused: list[PassedBy]) -> Iterator[str]:
    """Yield files and folders that a glob pattern names; `**` follows links, each real folder once."""
    inside = pattern[_first_wildcard(pattern) :]
    inside = pattern[pattern.rfind("/", 0, len(pattern) - len(inside)) + 1 :]
    parts = [part for part in inside.replace(os.sep, "/").split("/") if part]
    if "**" not in parts:
        yield from glob.iglob(pattern)
        return
    hidden = any(part.startswith(".") for part in parts)
    if not os.path.isdir(root):
        return
    for folder in walk(root, left_out=skipped, hidden=hidden, passed_by=unused):
        above = folder.inside.split("/")[:-1]
        for entry in folder.files:
            if _fits([*above, entry.name], parts):
                # glob writes `a.mrc` where the pattern has no folder, and `./a.mrc` where it has.
                yield folder.inside + entry.name if not os.path.dirname(pattern) else entry.path
        if above and folder.inside and _fits(above, parts) and not pattern.endswith("**"):
            yield os.path.join(root, folder.inside[:-1])


def _fits(names: list[str], parts: list[str]) -> bool:
    """Return whether the parts of a path fit those of a pattern, in which `**` stands for any folders."""
    if not parts:
        return not names
    if parts[0] == "**":
        if len(parts) == 1:
            return True
        return any(_fits(names[i:], parts[1:]) for i in range(len(names)))
    if not names or (names[0].startswith(".") and not parts[0].startswith(".")):
        return False
    return fnmatch.fnmatch(names[0], parts[0]) and _fits(names[1:], parts[1:])


def _by_plain_path(path: Path) -> tuple[bool, str]:
    """Return a sort key by which paths without linked folders come first."""
    folder = os.path.dirname(path)
    return os.path.abspath(folder) != real_folder(folder), str(path)


def _first_wildcard(text: str) -> int:
    match = _WILDCARD.search(text)
    return match.start() if match else len(text)


def _in_folder(folder: str, skipped: set[str], unused: list[PassedBy]) -> list[Path]:
    """Return the files of a folder and those below it that are micrographs by their suffix."""
    found: list[Path] = []
    try:
        for below in walk(folder, left_out=skipped, passed_by=unused):
            for entry in below.files:
                _sort_out(entry.path, found, unused, dangling=suffix_of(entry.name) is None and is_dangling(entry))
    except OSError as error:
        raise InputError(f"{error.filename}: this folder cannot be searched ({error.strerror}).") from error
    return found


def _sort_out(path: str, found: list[Path], unused: list[PassedBy], *, dangling: bool) -> None:
    if suffix_of(path) is not None:
        found.append(Path(path))
    elif dangling:
        unused.append(PassedBy(path, "this link leads nowhere"))
    elif (reason := unread_image(path)) is not None:
        unused.append(PassedBy(path, reason))


def _doubt(names: Sequence[str]) -> None:
    """Log which of the named files a search would have left out."""
    if names:
        log.warning(
            "%s of those that were named may not be micrographs, or may show the same exposure as another "
            "one: %s; all are taken, because they were named",
            count("image", len(names)),
            listed(names, most=3),
        )


def has_picks(name: str, run_folders: Sequence[str | Path]) -> bool:
    """Return whether one of these folders has picks of the micrograph of this name, or labels of a project."""
    stem = whole_stem(name)
    for folder in map(Path, run_folders):
        for one in {stem, _without_suffix(stem)}:
            if RunLayout(folder).record(one).is_file() or (folder / LABEL_HISTORY / f"{one}.jsonl").is_file():
                return True
    return False


def _only_derived(inputs: Sequence[str | Path], unused: list[PassedBy]) -> str:
    kinds = sorted({one.reason for one in unused if one.derived})
    n = sum(one.derived for one in unused)
    return (
        f"{listed([os.fspath(one) for one in inputs], most=3)}: {count('image', n)} here, but no micrograph by their "
        f"names ({', '.join(kinds)}). If they are to be picked, give {parameter('include', '*')}."
    )


def _instead(unused: list[PassedBy]) -> str:
    """Return a sentence on what was found instead of micrographs, with a blank in front; an empty text if there is
    nothing."""
    if not unused:
        return ""
    return f" Found instead: {listed([f'{one.path} ({one.reason})' for one in unused], most=3)}."


def _is_within(folder: str, skipped: set[str]) -> bool:
    return bool(skipped) and bool(skipped.intersection(map(str, (PurePath(folder), *PurePath(folder).parents))))


def _relative(path: str, root: str) -> str:
    return Path(os.path.relpath(path, root)).as_posix()


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Return a sort key that compares numbers as numbers, folder by folder; if all is equal, the name decides."""
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
    """Return a relative path that stays inside its folder: no root, no `.`, and `__` for `..`."""
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
