"""From our micrographs' names to those another program knows them by, by declared steps, never by guessing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vitripick.errors import FormatError, InputError
from vitripick.formats.micrographs.finding import find_micrographs
from vitripick.formats.names.stems import base_name, without_image_suffix
from vitripick.formats.picks.cs import load_cs
from vitripick.formats.star.files import read_micrographs_star
from vitripick.formats.text import read_lines

_UID = re.compile(r"^\d{21}_(?=.)")
_PATH_FIELDS = ("micrograph_blob/path", "location/micrograph_path", "movie_blob/path")


@dataclass(frozen=True)
class NameMapping:
    """Steps on a base name, in this order; those on the end leave the suffix (`.mrc`) where it is.

    Attributes
    ----------
    strip_uid
        Take off the 21 digits and the underscore that cryoSPARC puts in front.
    strip_prefix, strip_suffix
        Take this off the start and the end of the stem, where it is there.
    add_prefix, add_suffix
        Put this there.
    """

    strip_uid: bool = False
    strip_prefix: str = ""
    strip_suffix: str = ""
    add_prefix: str = ""
    add_suffix: str = ""

    def apply(self, name: str) -> str:
        """The name that `name` becomes.

        Examples
        --------
        >>> mapping = NameMapping(strip_uid=True, strip_suffix="_DW")
        >>> mapping.apply("grid1/000123456789012345678_mic7_DW.mrc")
        'mic7.mrc'
        """
        base = base_name(name)
        stem = without_image_suffix(base)
        ending = base[len(stem) :]
        if self.strip_uid:
            stem = _UID.sub("", stem)
        if len(stem) > len(self.strip_prefix):
            stem = stem.removeprefix(self.strip_prefix)
        if len(stem) > len(self.strip_suffix):
            stem = stem.removesuffix(self.strip_suffix)
        return f"{self.add_prefix}{stem}{self.add_suffix}{ending}"


@dataclass(frozen=True)
class Exposure:
    """A micrograph as the other program has it: its path there, and (cryoSPARC) its number."""

    path: str
    uid: int | None = None


@dataclass(frozen=True)
class MappedName:
    """One micrograph: our name, the one that is written, and what it is on the other side (None: nothing there)."""

    name: str
    written: str
    exposure: Exposure | None = None


def map_names(
    names: Sequence[str],
    mapping: NameMapping,
    exposures: Sequence[Exposure] = (),
    *,
    source: str | Path | None = None,
) -> list[MappedName]:
    """Each name with what it becomes, and the exposure of exactly that base name.

    Raises
    ------
    InputError
        If a name becomes the base name of two exposures; `source`, where they come from, is told.
    """
    by_base: dict[str, dict[Exposure, None]] = {}
    for exposure in exposures:
        by_base.setdefault(base_name(exposure.path), {})[exposure] = None
    mapped = []
    for name in names:
        written = mapping.apply(name)
        found = list(by_base.get(written, ()))
        if len(found) > 1:
            raise InputError(
                f"{source or 'the exposures'}: {found[0].path} and {found[1].path} have the same base name, by which "
                f"the picks of {name} belong to both; give only the one that was picked."
            )
        mapped.append(MappedName(name, written, found[0] if found else None))
    return mapped


def read_exposures(path: str | Path) -> list[Exposure]:
    """What micrographs the other program has: a `.cs` of exposures, a STAR, a text with a name a line, or a folder.

    Raises
    ------
    InputError
        If it names none.
    """
    path = Path(path)
    if path.is_dir():
        return [Exposure(file.name) for file in find_micrographs([path])]
    if path.suffix.lower() == ".star":
        return [Exposure(name) for name in read_micrographs_star(path)]
    if path.suffix.lower() == ".cs":
        return _from_cs(path)
    names = [line.strip() for line in read_lines(path) if line.strip() and not line.startswith("#")]
    if not names:
        raise InputError(f"{path}: there is no name in this file; give one a line.")
    return [Exposure(name) for name in names]


def _from_cs(path: Path) -> list[Exposure]:
    rows = load_cs(path)
    fields: tuple[Any, ...] = rows.dtype.names or ()
    field = next((name for name in _PATH_FIELDS if name in fields), None)
    if field is None:
        raise FormatError(f"{path}: this .cs file has none of {', '.join(_PATH_FIELDS)}, so it names no micrographs.")
    # The exposures' own number; in a file of particles `uid` is the particle's.
    number = "location/micrograph_uid" if field.startswith("location/") else "uid"
    uids = rows[number] if number in fields else np.zeros(len(rows), np.uint64)
    found = {
        text.decode("utf-8", errors="replace") if isinstance(text, bytes) else str(text): int(uid) or None
        for text, uid in zip(rows[field].tolist(), uids.tolist(), strict=True)
    }
    return [Exposure(name, uid) for name, uid in found.items()]
