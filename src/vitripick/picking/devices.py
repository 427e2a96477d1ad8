"""Choose the devices that share the micrographs of a run."""

from __future__ import annotations

from vitripick.errors import InputError, UsageError, parameter
from vitripick.models import device_name
from vitripick.models.loading import import_torch


def choose_devices(name: str) -> list[str]:
    """Return the devices that `name` lists: one as in `device_name`, several (`cuda:0,cuda:1`), or `all` CUDA devices.

    Raises
    ------
    InputError
        If one of them does not exist.
    MissingPackageError
        If torch, which runs networks on a GPU, is not installed.
    UsageError
        If the list is empty.
    """
    if name.strip() == "all":
        count = import_torch(parameter("device", "all")).cuda.device_count()
        if not count:
            raise InputError(
                f"{parameter('device', 'all')}: torch sees no CUDA device here; run `vitripick doctor`, or use cpu."
            )
        return [f"cuda:{index}" for index in range(count)]
    names = [part.strip() for part in name.split(",") if part.strip()]
    if not names:
        raise UsageError(f"{parameter('device')} names no device; give cpu, cuda, cuda:0,cuda:1 …, all or auto.")
    return [device_name(part) for part in names]
