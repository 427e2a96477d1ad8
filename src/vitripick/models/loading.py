"""Import an engine; if it is installed but broken, say why in one sentence."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
from typing import Any

from vitripick.cores import calm_torch
from vitripick.errors import ResourceError, UsageError, used_up

log = logging.getLogger("vitripick")

# ONNX Runtime (seen with 1.32 on Linux) reports its use to its makers, under an identifier that it keeps in the user's
# home. The user has not agreed to that, and nodes of clusters have no network. It reads this when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Broken packages raise these on import: libraries are missing or too old, parts were built for another numpy, or an
# update left files behind.
BROKEN = (ImportError, OSError, RuntimeError, AttributeError, TypeError, ValueError, SystemError)

_said: set[str] = set()


# The command that installs torch, with `onnx`, which it needs to make graphs.
INSTALL_TORCH = "pip install 'vitripick[train]'"


class EngineLoadError(UsageError):
    """Says that an engine is installed, but does not start here."""


class MissingPackageError(UsageError):
    """Says that a package is needed that vitripick installs with one of its extras only."""


def is_installed(name: str) -> bool:
    """Return whether the package is there; whether it starts is another question."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # a parent package or a half-made module is broken
        return True


def import_engine(name: str) -> Any:
    """Return the package of an engine.

    Raises
    ------
    EngineLoadError
        If it cannot be imported.
    ResourceError
        If that is for lack of memory.
    """
    try:
        return importlib.import_module(name)
    except BROKEN as error:
        raise cannot_load(name, error) from error


def import_torch(what: str) -> Any:
    """Return torch, which a plain installation leaves out.

    Parameters
    ----------
    what
        What needs it, as the message begins: "training".

    Raises
    ------
    MissingPackageError
        If it is not installed.
    EngineLoadError
        If it is installed and cannot be imported.
    ResourceError
        If that is for lack of memory.
    """
    if not is_installed("torch"):
        raise MissingPackageError(f"{what} needs torch, which is not installed: {INSTALL_TORCH}.")
    calm_torch()
    try:
        return import_engine("torch")
    except EngineLoadError as error:
        raise EngineLoadError(f"{what} needs torch: {error}; `vitripick doctor` looks at it, too.") from error


def cannot_load(name: str, error: Exception) -> EngineLoadError:
    """Return the error that says which engine does not start, and why.

    Raises
    ------
    ResourceError
        If memory has run out; then another engine would not start, either.
    """
    lacking = used_up(error)
    if lacking is not None:
        raise ResourceError(f"{lacking} while loading {name}; run again with fewer jobs or more memory.") from error
    return EngineLoadError(f"{name} is installed, but cannot be loaded ({first_line(error)})")


def first_line(error: BaseException) -> str:
    """Return the kind of an error and the first line of its text."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].strip()[:200]}" if lines else type(error).__name__


def say_once(line: str) -> None:
    """Log a warning; a line that this process has logged already is not repeated."""
    if line not in _said:
        _said.add(line)
        log.warning("%s", line)
