"""Read `index.csv`, which describes the structure files next to it."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import TypedDict, cast

from vitripick.errors import InputError
from vitripick.settings.simulate import KINDS, Kind
from vitripick.simulation.structures.library import BUNDLED


class IndexEntry(TypedDict, total=False):
    """Holds what an `index.csv` says about a structure file."""

    kind: Kind
    mw_kda: float


def index_entry(path: Path) -> IndexEntry:
    """Return what an `index.csv` beside a structure file says about it.

    Bundled files contain this information, so for them the result is empty.

    Raises
    ------
    InputError
        If the kind is unknown, or the mass is not a number above 0.
    """
    index = path.parent / "index.csv"
    if path.parent == BUNDLED or not index.is_file():
        return {}
    entry: IndexEntry = {}
    with index.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        row = next((row for row in rows if row.get("file") == path.name), {})
        where = f"{index}, line {rows.line_num}"
    if row.get("kind"):
        if row["kind"] not in KINDS:
            raise InputError(f"{where}: {row['kind']!r} is not a kind of structure; write one of {', '.join(KINDS)}.")
        entry["kind"] = cast(Kind, row["kind"])
    if row.get("mw_kda"):
        try:
            entry["mw_kda"] = float(row["mw_kda"])
        except ValueError:
            entry["mw_kda"] = math.nan
        if not 0 < entry["mw_kda"] < math.inf:
            raise InputError(f"{where}: mw_kda should be the mass in kDa, a number above 0, not {row['mw_kda']!r}.")
    return entry
