"""Write Warp's STAR files of picks: one per micrograph, which is named by its base name ending in `.mrc`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vitripick.atomic import write_text_atomically
from vitripick.formats.names.joined import micrograph_names
from vitripick.formats.names.stems import base_name_without_suffix
from vitripick.formats.star.dialect import StarBlock, StarTable, format_star
from vitripick.formats.star.files import coordinates_table
from vitripick.geometry import Boxes


def write_warp(parts: Sequence[Boxes], path: Path) -> None:
    """Write the centres of one micrograph, in pixels of the full-size micrograph, its name in each row."""
    (boxes,) = parts
    (name,) = micrograph_names(parts, path, "_rlnMicrographName")
    coordinates = coordinates_table(boxes, path)
    rows = [[*row, f"{base_name_without_suffix(name)}.mrc"] for row in coordinates.rows]
    table = StarTable([*coordinates.labels, "rlnMicrographName"], rows)
    write_text_atomically(path, format_star([StarBlock("", table=table)]))
