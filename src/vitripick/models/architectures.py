"""List every architecture in a table. This is a separate module, because importing the architectures imports torch."""

from __future__ import annotations

import importlib
import inspect
import json
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from vitripick.errors import UsageError, parameter
from vitripick.models.architecture_names import ARCHITECTURE_NAMES
from vitripick.models.detector import Detector
from vitripick.models.registry import REGISTERED, Architecture
from vitripick.models.released import OF_FILAMENTS
from vitripick.settings.wording import in_words

# The widest and deepest networks in use stay far below this.
_MOST = 1 << 16


def import_architectures() -> dict[str, Architecture]:
    """Import the module of every name in the list, which registers its architecture, and return the table of them all.

    Raises
    ------
    RuntimeError
        If a module registers no architecture of its name.
    """
    for name in ARCHITECTURE_NAMES:
        importlib.import_module(f"vitripick.models.{name}")
        if name not in REGISTERED:
            raise RuntimeError(f"vitripick/models/{name}.py registers no architecture {name!r}.")
    return REGISTERED


ARCHITECTURES = import_architectures()


def find_architecture(name: str) -> Architecture:
    """Return the architecture of this name.

    Raises
    ------
    UsageError
        If there is none.
    """
    if name in OF_FILAMENTS:
        raise UsageError(
            f"a model of architecture {name!r} traces filaments and finds no particles: give "
            f"{parameter('filaments', True)}, or a model of particles."
        )
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
    build = find_architecture(name).build
    types = get_type_hints(build)
    for key, value in options.items():
        try:
            TypeAdapter(types.get(key, Any)).validate_json(json.dumps(value), strict=True)
        except (ValidationError, TypeError) as error:
            reason = in_words(error.errors()[0]) if isinstance(error, ValidationError) else str(error)
            raise UsageError(f"architecture {name!r}: option {key} cannot be {value!r} ({reason}).") from None
        # Such a network does not fit into memory, and a negative or zero count makes no layer.
        if isinstance(value, int) and not isinstance(value, bool) and not 0 <= value <= _MOST:
            raise UsageError(f"architecture {name!r}: option {key} should be from 0 to {_MOST}, but it is {value}.")
    return build(**options)


def full_options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return `options` with the architecture's defaults filled in, as a bundle stores them; errors as above."""
    parameters = inspect.signature(find_architecture(name).build).parameters
    return {**{key: parameter.default for key, parameter in parameters.items()}, **options}
