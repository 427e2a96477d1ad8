"""Work on several items of a list at once, one thread each, and give results in the order of the list.

Threads are enough, because reading, averaging and the network run outside of Python's lock. One thread does all the
work on a micrograph, so memory holds no more micrographs than there are jobs.
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
    """Yield `worker(item)` for each item; each of `workers` works on one item at a time.

    If `stop` returns true, the caller stops early, or Ctrl-C interrupts it, no other item is begun. Items that were
    begun are finished.

    Yields
    ------
    R
        Results in the order of `items`. An exception is raised in place of its result. `CancelledError` is raised for
        the first item that was not begun.
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
            over.set()  # the exception ends the loop, so later results are not needed
            raise
        finally:
            idle.put(worker)

    pool = ThreadPoolExecutor(jobs, thread_name_prefix="pick")
    try:
        # One slow item must not leave the other threads idle, so some more items than threads are submitted.
        for item in islice(waiting, 4 * jobs):
            pending.append(pool.submit(attempt, item))
        while pending:
            try:
                result = pending.popleft().result()
            except CancelledError:
                # A later item may have failed and stopped this one; then its error is the one to raise.
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
