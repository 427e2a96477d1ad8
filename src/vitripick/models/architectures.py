"""The registry with every architecture in it; a module of its own, because importing them takes torch along."""

from __future__ import annotations

import importlib

from vitripick.models.architecture_names import ARCHITECTURE_NAMES
from vitripick.models.registry import ARCHITECTURES, Architecture, build_detector, find_architecture, full_options

__all__ = ["ARCHITECTURES", "Architecture", "build_detector", "find_architecture", "full_options"]


def import_architectures() -> None:
    """Import the module of every name in the list; each one registers its architecture, and its decoder if it has one.

    Raises
    ------
    RuntimeError
        If a module registers no architecture of its name.
    """
    for name in ARCHITECTURE_NAMES:
        importlib.import_module(f"vitripick.models.{name}")
        if name not in ARCHITECTURES:
            raise RuntimeError(f"vitripick/models/{name}.py registers no architecture {name!r}.")


import_architectures()
