"""Choose the device, without torch if possible."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

from vitripick.errors import parameter
from vitripick.models.loading import EngineLoadError, MissingPackageError, import_torch, say_once


def device_name(name: str) -> str:
    """Return the device for `cpu`, `cuda`, `cuda:1` … or `auto`; torch is asked only where there may be a GPU.

    Raises
    ------
    InputError
        If the device asked for is not there.
    MissingPackageError, EngineLoadError
        If torch, which runs networks on a GPU, is not installed or does not start. `auto` takes the CPU then, and a
        warning says so.
    """
    if name == "cpu" or (name == "auto" and not may_have_gpu()):
        return "cpu"
    try:
        import_torch(parameter("device", "cuda" if name == "auto" else name))
    except (MissingPackageError, EngineLoadError) as error:
        if name != "auto":
            raise
        say_once(f"there may be a GPU here, but the CPU does the work: {error}")
        return "cpu"
    from vitripick.models.bundle import choose_device

    return str(choose_device(name))


def may_have_gpu() -> bool:
    """Return whether a driver for NVIDIA's or AMD's GPUs is installed; without one, torch could use no GPU."""
    if Path("/dev/kfd").exists():
        return True
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True
