"""Measure the time of each stage of a micrograph; it costs nothing unless a caller uses `timed`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_seconds: ContextVar[dict[str, float] | None] = ContextVar("_seconds", default=None)


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Yield the seconds by stage of what this thread does in the block; the dictionary fills as stages end."""
    seconds: dict[str, float] = {}
    token = _seconds.set(seconds)
    try:
        yield seconds
    finally:
        _seconds.reset(token)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Count the time of this block under `name`, without that of the stages inside it, which are counted separately."""
    seconds = _seconds.get()
    if seconds is None:
        yield
        return
    before = sum(seconds.values())
    started = time.perf_counter()
    try:
        yield
    finally:
        took = time.perf_counter() - started
        inside = sum(seconds.values()) - before
        seconds[name] = seconds.get(name, 0.0) + took - inside
