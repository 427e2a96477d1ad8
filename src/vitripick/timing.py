"""Where the time goes: stages of one micrograph, counted where somebody asked for it and free of cost elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_seconds: ContextVar[dict[str, float] | None] = ContextVar("_seconds", default=None)


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Seconds by stage of what this thread does in the block, filled as stages end."""
    seconds: dict[str, float] = {}
    token = _seconds.set(seconds)
    try:
        yield seconds
    finally:
        _seconds.reset(token)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Count the time of this block under `name`; without that of stages inside it, which count for themselves."""
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
