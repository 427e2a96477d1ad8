"""Read and write what a folder of filaments keeps of each micrograph, beside its polylines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitripick.atomic import write_text_atomically
from vitripick.formats.filaments import read_filaments, write_filaments
from vitripick.geometry import Filaments
from vitripick.json_toml import is_number, read_json_object
from vitripick.picking.filament_quality import FilamentQuality, assess_filaments
from vitripick.run_layout import FILAMENT_RECORDS

# The folder of the polylines, from which every other file is made.
_STORE = "filaments"
_KEYS = {"micrograph", "file", "made_with", "shape", "pixel_size", "width_px", "warnings"}


@dataclass(frozen=True, eq=False)
class Stored:
    """Holds the filaments of one micrograph as the folder keeps them.

    Attributes
    ----------
    filaments
        In full-size pixels.
    width_px
        The width that they were traced at.
    path
        Of the micrograph.
    warnings
        Faults of the file that were tolerated.
    seen_widths_px
        The width that the network sees, one for each filament; empty if another version traced them.
    edge_length_px
        Length of the lines that were left out as edges of something dark; None if another version traced them.
    seconds
        What tracing took; None if another version traced them.
    notes
        What this call changed beside that, for the user.
    skipped
        Whether they were there before.
    """

    filaments: Filaments
    width_px: float
    path: str
    warnings: tuple[str, ...] = ()
    seen_widths_px: tuple[float, ...] = ()
    edge_length_px: float | None = None
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    skipped: bool = False

    @property
    def name(self) -> str:
        """Return the micrograph's name."""
        return str(self.filaments.micrograph)

    def quality(self) -> FilamentQuality:
        """Return what the filaments show about their micrograph."""
        return assess_filaments(
            self.filaments,
            width_px=self.width_px,
            seen_widths_px=self.seen_widths_px,
            edge_length_px=self.edge_length_px,
        )


def record_path(out: Path, stem: str) -> Path:
    """Return where the record of one micrograph lies."""
    return out / FILAMENT_RECORDS / f"{stem}.json"


def read_record(path: Path) -> dict[str, Any]:
    """Return what was kept of a micrograph; nothing if it is missing, damaged, or its polylines are gone."""
    try:
        found = read_json_object(path)
    except (OSError, ValueError):
        return {}
    store = path.parent.parent / _STORE / f"{path.stem}.csv"
    return found if set(found) >= _KEYS and store.is_file() else {}


def read_stored(out: Path, stem: str, record: dict[str, Any]) -> Stored:
    """Return the filaments of a micrograph from its polylines and its record.

    Raises
    ------
    FormatError
        If the polylines are damaged.
    """
    (one,) = read_filaments(out / _STORE / f"{stem}.csv", pixel_size=record["pixel_size"])
    known = (record["micrograph"], tuple(record["shape"]), record["pixel_size"])
    seen, edges, seconds = (record.get(name) for name in ("seen_widths_px", "edge_length_px", "seconds"))
    fits = isinstance(seen, list) and len(seen) == len(one) and all(map(is_number, seen))
    return Stored(
        Filaments(one.filaments, *known),
        record["width_px"],
        str(record["file"][0]),
        tuple(record["warnings"]),
        tuple(seen) if fits and seen else (),
        float(edges) if edges is not None and is_number(edges) else None,
        float(seconds) if seconds is not None and is_number(seconds) else None,
        skipped=True,
    )


def write_stored(out: Path, stem: str, stored: Stored, *, file: list[Any], made_with: str) -> None:
    """Write the polylines of a micrograph, and then its record.

    Parameters
    ----------
    out, stem
        The folder, and what the outputs of the micrograph are called.
    stored
        Its filaments.
    file
        What tells the micrograph's file from another one of its name.
    made_with
        What tells the model and the settings from others.
    """
    one = stored.filaments
    write_filaments(one, out / _STORE / f"{stem}.csv", format="csv")
    facts = {
        "micrograph": one.micrograph,
        "file": file,
        "made_with": made_with,
        "shape": None if one.shape is None else list(one.shape),
        "pixel_size": one.pixel_size,
        "width_px": stored.width_px,
        "warnings": list(stored.warnings),
        "seen_widths_px": [round(width, 2) for width in stored.seen_widths_px],
        "edge_length_px": stored.edge_length_px,
        "seconds": None if stored.seconds is None else round(stored.seconds, 3),
    }
    write_text_atomically(record_path(out, stem), json.dumps(facts, ensure_ascii=False) + "\n")


def records_of(out: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield stem and record of each micrograph in a folder, in the order of their stems."""
    for path in sorted((out / FILAMENT_RECORDS).glob("*.json")):
        if record := read_record(path):
            yield path.stem, record
