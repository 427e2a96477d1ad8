"""Count the CPU cores that this process may use."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Return the number of CPU cores this process may use (its affinity mask, else all cores).

    Schedulers and containers set the affinity mask.
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
