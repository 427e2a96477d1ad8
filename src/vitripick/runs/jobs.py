"""Work through a list with several at once, one thread each; results come in the order of the list.

Threads are enough: reading, averaging and the network run outside of Python's lock. Each micrograph goes its whole
way, from file to files, in one thread; nothing is handed over, and as much memory is used as jobs have in hand.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from itertools import islice
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(
    items: Sequence[T], workers: Sequence[Callable[[T], R]], *, stop: Callable[[], bool] | None = None
) -> Generator[R, None, None]:
    """`worker(item)` for each item by one of `workers`, each of which is busy with one item at a time.

    When `stop` says so, when the caller stops early, or Ctrl-C interrupts it, what is in flight is finished and no
    other item is begun.

    Yields
    ------
    R
        In the order of `items`. An exception comes out where its result would; so does `CancelledError`, for the first
        item that was not begun.
    """
    waiting = iter(items)
    pending: deque[Future[R]] = deque()
    over = threading.Event()
    idle: SimpleQueue[Callable[[T], R]] = SimpleQueue()
    for worker in workers:
        idle.put(worker)
    jobs = len(workers)

    def attempt(item: T) -> R:
        if over.is_set() or (stop is not None and stop()):
            over.set()
            raise CancelledError
        worker = idle.get()
        try:
            return worker(item)
        except BaseException:
            over.set()  # nobody will ask for what comes after this one
            raise
        finally:
            idle.put(worker)

    pool = ThreadPoolExecutor(jobs, thread_name_prefix="pick")
    try:
        # A few more than are worked on, so that one slow item does not leave the other threads idle.
        for item in islice(waiting, 4 * jobs):
            pending.append(pool.submit(attempt, item))
        while pending:
            try:
                result = pending.popleft().result()
            except CancelledError:
                # Not begun because one after it failed at that very moment: then that is what there is to say.
                pool.shutdown(wait=True, cancel_futures=True)
                for future in pending:
                    error = None if future.cancelled() else future.exception()
                    if error is not None and not isinstance(error, CancelledError):
                        raise error from None
                raise
            for item in islice(waiting, 1):
                pending.append(pool.submit(attempt, item))
            yield result
    finally:
        for future in pending:
            future.cancel()
        pool.shutdown(wait=True)
