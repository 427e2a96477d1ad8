"""Write cisTEM's text of particle positions: `image x y` per line, centres in Å, `#` for comments.

The first column is the image's file or its number in the project (cisTEM's import of particle positions).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vitripick.atomic import write_text_atomically
from vitripick.errors import UsageError, parameter
from vitripick.formats.inside import keep_inside
from vitripick.formats.names.joined import micrograph_names
from vitripick.formats.text import format_number
from vitripick.geometry import Boxes


def write_cistem(parts: Sequence[Boxes], path: Path) -> None:
    """Write all micrographs' centres in Å; one without picks has no line.

    Raises
    ------
    UsageError
        If a pixel size is not known, or a name has a blank, at which cisTEM would split it.
    """
    lines = ["# image x_angstrom y_angstrom\n"]
    for name, boxes in zip(micrograph_names(parts, path, "the first column"), parts, strict=True):
        if boxes.pixel_size is None:
            raise UsageError(
                f"{path}: cisTEM counts in Å, and the pixel size of {name} is not known; give "
                f"{parameter('pixel_size')} ({parameter('Boxes.pixel_size')} to convert)."
            )
        if any(character.isspace() for character in name):
            raise UsageError(f"{path}: cisTEM's text cannot hold the name {name!r} with its blank; rename the file.")
        kept = keep_inside(boxes, path)
        for x, y in zip(kept.x * boxes.pixel_size, kept.y * boxes.pixel_size, strict=True):
            lines.append(f"{name} {format_number(x, decimals=4)} {format_number(y, decimals=4)}\n")
    write_text_atomically(path, "".join(lines))
