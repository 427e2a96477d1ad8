"""Find the width of filaments on a few micrographs, once for a folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vitripick.atomic import write_text_atomically
from vitripick.errors import UsageError, VitripickError, parameter
from vitripick.formats import MicrographFile, read_micrograph
from vitripick.json_toml import read_json_object
from vitripick.models.model import LoadedModel
from vitripick.picking.filament_width import estimate_width_px
from vitripick.settings.pick import PickSettings
from vitripick.text import count

# The file in which a folder keeps the estimated width.
WIDTH = "width.json"
# Number of micrographs that are looked at.
_MOST = 3


@dataclass(frozen=True)
class FoundWidth:
    """Holds an estimated width: the setting that it stands for, its value, and on how many micrographs it was found."""

    field: str
    value: float
    n_micrographs: int

    def __str__(self) -> str:
        unit = "Å" if self.field == "width_angstrom" else "px"
        on = count("micrograph", self.n_micrographs)
        return f"width {self.value:.4g} {unit}, estimated on {on}; {parameter(self.field)} sets another one"


def estimated_width(
    path: Path, files: Sequence[MicrographFile], model: LoadedModel, settings: PickSettings
) -> FoundWidth:
    """Return the width that was kept in a file, if it is of this model; else estimate it, and keep it there.

    Raises
    ------
    UsageError
        If no filaments stand out.
    """
    kept = _kept(path, model)
    if kept is not None:
        return kept
    some = files if len(files) <= _MOST else [files[i * (len(files) - 1) // (_MOST - 1)] for i in range(_MOST)]
    micrographs = []
    for file in some:
        try:
            size = settings.pixel_size or file.pixel_size
            one = read_micrograph(file.path, name=file.name, pixel_size=size)
            if one.image.size:
                micrographs.append(one)
        except VitripickError:
            continue  # the run itself reports what is wrong with it
    width_px = estimate_width_px(micrographs, model, invert=bool(settings.invert)) if micrographs else None
    if width_px is None:
        raise UsageError(
            f"no filaments stand out on {count('micrograph', len(micrographs))}, so their width is not known: give "
            f"{parameter('width_angstrom')} or {parameter('width_px')}."
        )
    sizes = {one.pixel_size for one in micrographs}
    size = next(iter(sizes)) if len(sizes) == 1 else None
    found = FoundWidth("width_px", round(width_px, 1), len(micrographs))
    if size is not None:
        found = FoundWidth("width_angstrom", round(width_px * size, 1), len(micrographs))
    table = {"field": found.field, "value": found.value, "micrographs": found.n_micrographs, "model": model.sha256}
    write_text_atomically(path, json.dumps(table) + "\n")
    return found


def _kept(path: Path, model: LoadedModel) -> FoundWidth | None:
    """Return what was kept; nothing if it is missing, damaged, or of another model."""
    try:
        table = read_json_object(path)
    except (OSError, ValueError):
        return None
    field, value, n = table.get("field"), table.get("value"), table.get("micrographs")
    if table.get("model") != model.sha256 or field not in ("width_px", "width_angstrom"):
        return None
    if not (isinstance(value, int | float) and value > 0 and isinstance(n, int)):
        return None
    return FoundWidth(field, float(value), n)
