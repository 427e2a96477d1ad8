"""Change our micrographs' names into those of another program, by steps that the user gives, without guessing."""

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
from vitripick.formats.picks.cs_table import load_cs
from vitripick.formats.star.files import read_micrographs_star
from vitripick.formats.text import read_lines

_UID = re.compile(r"^\d{21}_(?=.)")
_PATH_FIELDS = ("micrograph_blob/path", "location/micrograph_path", "movie_blob/path")


@dataclass(frozen=True)
class NameMapping:
    """Changes a base name by these steps, in this order; the suffix (`.mrc`) stays at the end.

    Attributes
    ----------
    strip_uid
        Take off the 21 digits and the underscore that cryoSPARC puts in front.
    strip_prefix, strip_suffix
        Take this off the start and the end of the stem, if the stem has it.
    add_prefix, add_suffix
        Add this at the start and the end of the stem.
    """

    strip_uid: bool = False
    strip_prefix: str = ""
    strip_suffix: str = ""
    add_prefix: str = ""
    add_suffix: str = ""

    def apply(self, name: str) -> str:
        """Return the name that `name` becomes.

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
    """Names a micrograph as the other program does: by its path there, and (cryoSPARC) its number."""

    path: str
    uid: int | None = None


@dataclass(frozen=True)
class MappedName:
    """Holds our name of a micrograph, the name to write, and the exposure of that name (None if there is none)."""

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
    """Return each name with the name it becomes, and the exposure with exactly that base name.

    Raises
    ------
    InputError
        If a name becomes the base name of two exposures; the message names `source`, where they come from.
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
                f"{source or 'the exposures'}: {found[0].path} and {found[1].path} have the same base name, so "
                f"the picks of {name} could belong to both; give only the one that was picked."
            )
        mapped.append(MappedName(name, written, found[0] if found else None))
    return mapped


def read_exposures(path: str | Path) -> list[Exposure]:
    """Return the micrographs of the other program, from a `.cs`, a STAR, a text with one name per line, or a folder.

    Raises
    ------
    InputError
        If it names no micrographs.
    """
    path = Path(path)
    if path.is_dir():
        return [Exposure(file.name) for file in find_micrographs([path], include=["*"])]
    if path.suffix.lower() == ".star":
        return [Exposure(name) for name in read_micrographs_star(path)]
    if path.suffix.lower() == ".cs":
        return _from_cs(path)
    names = [line.strip() for line in read_lines(path) if line.strip() and not line.startswith("#")]
    if not names:
        raise InputError(f"{path}: there is no name in this file; write one name on each line.")
    return [Exposure(name) for name in names]


def _from_cs(path: Path) -> list[Exposure]:
    rows = load_cs(path)
    fields: tuple[Any, ...] = rows.dtype.names or ()
    field = next((name for name in _PATH_FIELDS if name in fields), None)
    if field is None:
        raise FormatError(f"{path}: this .cs file has none of {', '.join(_PATH_FIELDS)}, so it names no micrographs.")
    if rows.dtype[field].kind not in "SU":
        raise FormatError(f"{path}: {field} should hold names, but it holds {rows.dtype[field]}.")
    # In a file of particles `uid` is the particle's number, so the micrograph's own number is read.
    number = "location/micrograph_uid" if field.startswith("location/") else "uid"
    known = number in fields and rows.dtype[number].kind in "iu" and not rows.dtype[number].shape
    uids = rows[number] if known else np.zeros(len(rows), np.uint64)
    found = {
        text.decode("utf-8", errors="replace") if isinstance(text, bytes) else str(text): int(uid) or None
        for text, uid in zip(rows[field].tolist(), uids.tolist(), strict=True)
        if text  # rows that name no micrograph
    }
    if not found:
        raise InputError(f"{path}: no row of this file names its micrograph ({field}).")
    return [Exposure(name, uid) for name, uid in found.items()]
