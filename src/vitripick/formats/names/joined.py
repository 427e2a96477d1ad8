"""Find the names of micrographs for a file that holds the picks of several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vitripick.errors import UsageError, parameter
from vitripick.geometry import Boxes


def micrograph_names(parts: Sequence[Boxes], path: Path, column: str) -> list[str]:
    """Return the name of every part's micrograph, or raise a `UsageError` if one has none."""
    names = []
    for boxes in parts:
        if boxes.micrograph is None:
            raise UsageError(f"{path}: {column} needs the micrograph's name; give {parameter('Boxes.micrograph')}.")
        names.append(boxes.micrograph)
    return names


def refuse_twins(names: Sequence[str], parts: Sequence[Boxes], path: Path) -> None:
    """Raise a `UsageError` where two micrographs would share one name in the file."""
    seen: dict[str, str | None] = {}
    for name, boxes in zip(names, parts, strict=True):
        if name in seen:
            raise UsageError(
                f"{path}: this format knows micrographs by base name, and {seen[name]} and {boxes.micrograph} share "
                f"{name!r}; write them to separate files."
            )
        seen[name] = boxes.micrograph
