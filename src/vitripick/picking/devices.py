"""Work through a list on several devices at once, one thread each; results come in the order of the list."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

from vitripick.errors import InputError, UsageError
from vitripick.models import choose_device

T = TypeVar("T")
R = TypeVar("R")


def choose_devices(name: str) -> list[str]:
    """`cpu`, `cuda:1`, `auto` as in `choose_device`; `cuda:0,cuda:1`; or `all`: every CUDA device there is.

    Raises
    ------
    InputError
        If one of them is not there.
    UsageError
        If the list is empty.
    """
    import torch

    if name.strip() == "all":
        count = torch.cuda.device_count()
        if not count:
            raise InputError("--device all: torch sees no CUDA device here; run `vitripick doctor`, or use cpu.")
        return [f"cuda:{index}" for index in range(count)]
    names = [part.strip() for part in name.split(",") if part.strip()]
    if not names:
        raise UsageError("--device names no device; give cpu, cuda, cuda:0,cuda:1 …, all or auto.")
    return [str(choose_device(part)) for part in names]


def on_devices(items: Sequence[T], workers: Sequence[Callable[[T], R]]) -> Generator[R, None, None]:
    """`worker(item)` for each item, each worker busy with one item at a time.

    Parameters
    ----------
    items
        In any number.
    workers
        One for each device. With a single one everything happens in this thread.

    Yields
    ------
    R
        In the order of `items`. An exception comes out where its result would; items not begun are then left.
    """
    if len(workers) == 1:
        yield from map(workers[0], items)
        return
    idle: SimpleQueue[Callable[[T], R]] = SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def work(item: T) -> R:
        worker = idle.get()
        try:
            return worker(item)
        finally:
            idle.put(worker)

    with ThreadPoolExecutor(len(workers), thread_name_prefix="device") as pool:
        pending: list[Future[R]] = [pool.submit(work, item) for item in items]
        try:
            for future in pending:
                yield future.result()
        finally:
            for future in pending:
                future.cancel()
