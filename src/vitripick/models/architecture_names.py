"""The list of architectures: one line each, without torch, so that help texts need not wait for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

# The name is that of a module of this package and of the function in it. The value says how the network scales a
# micrograph, as in `Preparation.scale_by`; it decides which options an architecture has.
ARCHITECTURE_NAMES: dict[str, Literal["particle", "long_side"]] = {
    "heatmap": "particle",
    "yolo": "long_side",
    "inception_resnet": "long_side",
}


def names_that_scale_by(scale_by: Literal["particle", "long_side"]) -> str:
    """Return the architectures that scale micrographs in this way, as a help text lists them."""
    return ", ".join(name for name, own in ARCHITECTURE_NAMES.items() if own == scale_by)


def in_a_row(names: Iterable[str]) -> str:
    """Return the names as a help text lists them: `"a, b or c"`."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last
