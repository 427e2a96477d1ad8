"""vitripick finds the particles in cryo-EM micrographs.

The same steps as the command line, in the same order::

    model = vitripick.load_model("general")
    micrograph = vitripick.read_micrograph("grid3_0042.mrc")
    picks = vitripick.pick(micrograph, model, diameter_angstrom=130)
    vitripick.write_picks(picks, "grid3_0042.cbox")

`vitripick.sample("apoferritin")` gives a real micrograph to begin with.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vitripick.version import VERSION as __version__

# Imported on first use, because `import vitripick` and `vitripick --help` must not wait seconds for torch.
_HOME = {
    "Boxes": "vitripick.geometry",
    "Micrograph": "vitripick.geometry",
    "read_micrograph": "vitripick.formats",
    "read_picks": "vitripick.formats",
    "write_picks": "vitripick.formats",
    "load_model": "vitripick.models",
    "save_model": "vitripick.models",
    "pick": "vitripick.picking",
    "sample": "vitripick.samples",
    "train": "vitripick.training",
    "evaluate": "vitripick.evaluation",
}

__all__ = [
    "Boxes",
    "Micrograph",
    "__version__",
    "evaluate",
    "load_model",
    "pick",
    "read_micrograph",
    "read_picks",
    "sample",
    "save_model",
    "train",
    "write_picks",
]

if TYPE_CHECKING:
    from vitripick.evaluation import evaluate
    from vitripick.formats import read_micrograph, read_picks, write_picks
    from vitripick.geometry import Boxes, Micrograph
    from vitripick.models import load_model, save_model
    from vitripick.picking import pick
    from vitripick.samples import sample
    from vitripick.training import train


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'vitripick' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, also those that are not imported yet, so that completion shows them."""
    return __all__
