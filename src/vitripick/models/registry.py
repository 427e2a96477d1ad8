"""The table of architectures: a name and a function that gives a detector."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from vitripick.errors import UsageError
from vitripick.models.detector import Detector

Architecture = Callable[..., Detector]

ARCHITECTURES: dict[str, Architecture] = {}


def register(architecture: Architecture) -> Architecture:
    """Add an architecture under its function's name; a second one of the same name is a `ValueError`."""
    name = architecture.__name__
    if name in ARCHITECTURES:
        raise ValueError(f"an architecture named {name!r} is registered already: {ARCHITECTURES[name]!r}")
    ARCHITECTURES[name] = architecture
    return architecture


def build_detector(name: str, options: dict[str, Any] | None = None) -> Detector:
    """A fresh detector of this architecture.

    Raises
    ------
    UsageError
        If there is no such architecture, or it does not know one of the options.
    """
    options = options or {}
    known = full_options(name, {})
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise UsageError(
            f"architecture {name!r} has no option {', '.join(unknown)}; it knows: {', '.join(known) or 'none'}."
        )
    return ARCHITECTURES[name](**options)


def full_options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """`options` with the architecture's defaults filled in: what a bundle writes down; `UsageError` as above."""
    if name not in ARCHITECTURES:
        raise UsageError(f"no architecture is called {name!r}; there are: {', '.join(sorted(ARCHITECTURES))}.")
    defaults = {key: p.default for key, p in inspect.signature(ARCHITECTURES[name]).parameters.items()}
    return {**defaults, **options}
