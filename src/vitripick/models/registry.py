"""Register architectures: a function that returns a detector, and what else the architecture decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from vitripick.models.detector import Detector

Build = Callable[..., Detector]
B = TypeVar("B", bound=Build)


@dataclass(frozen=True)
class Architecture:
    """Holds what the package knows about an architecture before a detector is built.

    Attributes
    ----------
    build
        Returns a detector; its keyword arguments are the options that a bundle stores.
    recipe
        How it is trained unless a user chooses otherwise: fields of `vitripick.training.TrainSettings` and their
        values, those of the augmentation as a mapping of their own. Fields that are not named keep their general
        defaults.
    bf16_on_cpu
        Whether it can be trained in bfloat16 on a CPU.
    """

    build: Build
    recipe: Mapping[str, Any]
    bf16_on_cpu: bool


# Architectures by name, as far as their modules were imported; `architectures.py` lists all.
REGISTERED: dict[str, Architecture] = {}


@overload
def register(build: B) -> B: ...
@overload
def register(*, recipe: Mapping[str, Any] = ..., bf16_on_cpu: bool = ...) -> Callable[[B], B]: ...
def register(
    build: B | None = None, *, recipe: Mapping[str, Any] | None = None, bf16_on_cpu: bool = True
) -> B | Callable[[B], B]:
    """Add an architecture under its function's name, as `@register` or `@register(recipe=…)`.

    Parameters
    ----------
    build, recipe, bf16_on_cpu
        As in `Architecture`.

    Raises
    ------
    ValueError
        If there is an architecture of this name already.
    """

    def add(build: B) -> B:
        name = build.__name__
        if name in REGISTERED:
            raise ValueError(f"an architecture named {name!r} is registered already: {REGISTERED[name].build!r}")
        REGISTERED[name] = Architecture(build, recipe or {}, bf16_on_cpu)
        return build

    return add if build is None else add(build)
