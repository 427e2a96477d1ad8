"""The table of architectures: a name, a function that gives a detector, and what else the architecture decides."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from vitripick.errors import UsageError
from vitripick.models.detector import Detector

Build = Callable[..., Detector]
B = TypeVar("B", bound=Build)


@dataclass(frozen=True)
class Architecture:
    """What the package knows of an architecture before a detector is built.

    Attributes
    ----------
    build
        Gives a detector; its keyword arguments are the options that a bundle stores.
    recipe
        How it is trained unless a user chooses otherwise: fields of `vitripick.training.TrainSettings` and their
        values, those of the augmentation as a mapping of their own. What is not named keeps its general default.
    bf16_on_cpu
        Whether it can be trained in bfloat16 on a CPU.
    """

    build: Build
    recipe: Mapping[str, Any]
    bf16_on_cpu: bool


ARCHITECTURES: dict[str, Architecture] = {}


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
        if name in ARCHITECTURES:
            raise ValueError(f"an architecture named {name!r} is registered already: {ARCHITECTURES[name].build!r}")
        ARCHITECTURES[name] = Architecture(build, recipe or {}, bf16_on_cpu)
        return build

    return add if build is None else add(build)


def find_architecture(name: str) -> Architecture:
    """Return the architecture of this name.

    Raises
    ------
    UsageError
        If there is none.
    """
    if name not in ARCHITECTURES:
        raise UsageError(f"no architecture is called {name!r}; there are: {', '.join(sorted(ARCHITECTURES))}.")
    return ARCHITECTURES[name]


def build_detector(name: str, options: dict[str, Any] | None = None) -> Detector:
    """Return a fresh detector of this architecture.

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
    return find_architecture(name).build(**options)


def full_options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return `options` with the architecture's defaults filled in, as a bundle stores them; errors as above."""
    parameters = inspect.signature(find_architecture(name).build).parameters
    return {**{key: parameter.default for key, parameter in parameters.items()}, **options}
