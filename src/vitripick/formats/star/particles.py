"""Write RELION's joined particles STAR (3.1 and later): an optics block, and one row per particle."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vitripick.atomic import write_text_atomically
from vitripick.errors import FormatError
from vitripick.formats.inside import keep_inside
from vitripick.formats.names.joined import micrograph_names
from vitripick.formats.star.dialect import StarBlock, StarTable, format_star, quote
from vitripick.formats.star.number_rows import format_rows
from vitripick.formats.star.optics import OpticsGroup
from vitripick.formats.star.pixel_size import ORIGINAL, PIXEL_SIZE, pixel_size_of_row, rows_of, warn_of_original
from vitripick.formats.text import format_number, parse_number, parse_pixel_size
from vitripick.geometry import Boxes

GROUP = "rlnOpticsGroup"
GROUP_NAME = "rlnOpticsGroupName"
_NUMBERS = {
    "voltage_kv": "rlnVoltage",
    "spherical_aberration_mm": "rlnSphericalAberration",
    "amplitude_contrast": "rlnAmplitudeContrast",
    "pixel_size": PIXEL_SIZE,
    "original_pixel_size": ORIGINAL,
}
_X = "rlnCoordinateX"
COLUMNS = ("rlnMicrographName", _X, "rlnCoordinateY", "rlnAutopickFigureOfMerit", GROUP)
_VERSION = "30001"
_MOST_GROUPS = 10**6


def read_optics(tables: Sequence[StarTable], path: Path) -> dict[str, OpticsGroup]:
    """Return the optics groups of a STAR by their number as written there; empty where the STAR has none."""
    for table in tables:
        if GROUP not in table or GROUP_NAME not in table or _X in table or "rlnMicrographName" in table:
            continue
        found: dict[str, OpticsGroup] = {}
        for fields, line in rows_of(table):
            number = parse_number(fields[GROUP], what=f"_{GROUP}", path=path, line=line)
            if not (number.is_integer() and 1 <= number <= _MOST_GROUPS):
                here = f"{path}, line {line}"
                raise FormatError(f"{here}: _{GROUP} should be a whole number from 1, but it is {fields[GROUP]!r}.")
            group = optics_of_row(fields, path=path, line=line)
            found[fields[GROUP]] = dataclasses.replace(group, group=int(number), name=fields[GROUP_NAME])
        warn_of_original(table, path)
        return found
    return {}


def optics_of_row(fields: Mapping[str, str], *, path: Path, line: int) -> OpticsGroup:
    """Return the optics of one row of an optics block, or of a list of micrographs of RELION 3.0."""
    values: dict[str, Any] = {
        name: parse_number(fields[label], what=f"_{label}", path=path, line=line)
        for name, label in _NUMBERS.items()
        if label in fields and "pixel_size" not in name
    }
    original = parse_pixel_size(fields.get(ORIGINAL, ""))
    return OpticsGroup(pixel_size=pixel_size_of_row(fields), original_pixel_size=original, **values)


def write_particles_star(
    parts: Sequence[Boxes], path: str | Path, *, optics: Sequence[OpticsGroup | None] | None = None
) -> None:
    """Write one particles STAR with its optics block; a micrograph without picks has no row.

    Parameters
    ----------
    parts
        Picks of each micrograph, with its name as RELION knows it.
    path
        Where to write.
    optics
        One for each of `parts`, from the micrographs STAR. Where it is None, micrographs of one pixel size make one
        group. Values that are not known are left out; without a pixel size, a voltage or a spherical aberration RELION
        refuses the file (`optics.warn_of_unknown_optics` says so).
    """
    path = Path(path)
    names = micrograph_names(parts, path, "_rlnMicrographName")
    groups = optics_groups(parts, optics)
    rows: list[str] = []
    used: list[OpticsGroup] = []
    for name, boxes, group in zip(names, parts, groups, strict=True):
        kept = keep_inside(boxes, path)
        used += [group] if len(kept) else []
        score = np.where(np.isnan(kept.confidence), -999.0, kept.confidence)
        if len(kept):  # a name that cannot be written is refused for its rows only
            rounded = (np.round(values, 6) for values in (kept.x, kept.y, score))
            rows.append(format_rows([quote(name), *rounded, str(group.group)]))
    particles = StarBlock("particles", table=StarTable(list(COLUMNS)), rows="".join(rows))
    blocks = [optics_block(groups, used), particles]
    write_text_atomically(path, format_star(blocks, version=_VERSION))


def optics_groups(parts: Sequence[Boxes], optics: Sequence[OpticsGroup | None] | None) -> list[OpticsGroup]:
    """Return the optics group of each micrograph: the one it came with, else one for each pixel size.

    RELION refines the beam tilt of each group on its own, so groups that differ in number or name alone stay apart.
    """
    given = list(optics) if optics is not None else [None] * len(parts)
    came = []
    for boxes, group in zip(parts, given, strict=True):
        if group is None:
            group = OpticsGroup(pixel_size=boxes.pixel_size)
        elif group.pixel_size is None:
            group = dataclasses.replace(group, pixel_size=boxes.pixel_size)
        came.append(group)
    written: dict[OpticsGroup, OpticsGroup] = {}
    # Two STARs or two pixel sizes may give one number to two groups. The first keeps it; the other gets a free number.
    of_number: dict[int, OpticsGroup] = {}
    for group in dict.fromkeys(came):
        of_number.setdefault(group.group, group)
    number, names = max(of_number, default=0), {group.name for group in of_number.values()}
    for group in dict.fromkeys(came):
        if of_number[group.group] == group:
            written[group] = group
            continue
        number += 1
        # When RELION joins STARs, it takes groups of one name for one group, so a second group gets a new name.
        name = f"opticsGroup{number}" if group.name in names else group.name
        names.add(name)
        written[group] = dataclasses.replace(group, group=number, name=name)
    return [written[group] for group in came]


def optics_block(
    groups: Sequence[OpticsGroup], used: Sequence[OpticsGroup], more: dict[str, str] | None = None
) -> StarBlock:
    """Return `data_optics` of these groups, each once.

    Parameters
    ----------
    groups
        All groups, with the numbers that they are to have.
    used
        Those of particles. RELION reads a table by its columns, so a value that one of them lacks has no column at all;
        another group that lacks a value of the others is left out.
    more
        Columns with one value for all groups.
    """
    need = set(used or groups)
    known = {
        name: label
        for name, label in _NUMBERS.items()
        if need and all(getattr(group, name) is not None for group in need)
    }
    full = [group for group in groups if all(getattr(group, name) is not None for name in known)]
    once = sorted({group.group: group for group in full}.values(), key=lambda group: group.group)
    more = more or {}
    table = StarTable([GROUP, GROUP_NAME, *known.values(), *more])
    for group in once:
        numbers = [format_number(getattr(group, name)) for name in known]
        table.rows.append([str(group.group), group.name, *numbers, *more.values()])
    return StarBlock("optics", table=table)
