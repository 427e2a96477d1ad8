"""Simulate in several processes, one thread each."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

import cv2

from vitripick.errors import ResourceError, Spelling, current_spelling, parameter, spell_parameters

# Only a few jobs wait besides those that run, so no worker runs out of jobs, and a stop takes effect soon.
_AHEAD = 2
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

T = TypeVar("T")
R = TypeVar("R")


def run_in_processes(
    work: Callable[[T], R], jobs: Iterable[T], n_workers: int, *, start: Callable[..., None], shared: tuple[Any, ...]
) -> Iterator[tuple[T, R]]:
    """Run jobs in several processes; yield each job with its result as soon as it is done.

    Parameters
    ----------
    work
        A function of a module; a worker calls it with a job.
    jobs
        The arguments of these calls.
    n_workers
        Number of processes.
    start, shared
        Each worker calls `start` once with `shared`, to read what all its jobs need.

    Raises
    ------
    ResourceError
        If a worker dies.
    """
    with _one_thread_each():
        # Fresh interpreters: a forked one would inherit threads that hold locks.
        context = multiprocessing.get_context("spawn")
        begin = (current_spelling(), start, shared)
        pool = ProcessPoolExecutor(n_workers, mp_context=context, initializer=_begin, initargs=begin)
        with pool:
            rest, running = iter(jobs), dict[Future[R], T]()
            try:
                while True:
                    while len(running) < n_workers + _AHEAD:
                        try:
                            job = next(rest)
                        except StopIteration:
                            break
                        running[pool.submit(work, job)] = job
                    if not running:
                        return
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        yield running.pop(future), future.result()
            except BrokenProcessPool as error:
                raise ResourceError(
                    "a worker process died, most likely for lack of memory: give fewer "
                    f"{parameter('n_workers')} or smaller micrographs."
                ) from error
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def _begin(spelling: Spelling | None, start: Callable[..., None], shared: tuple[Any, ...]) -> None:
    """Prepare a new worker."""
    # Ctrl-C reaches the whole group. Workers ignore it, and the parent lets them finish their jobs.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    spell_parameters(spelling)
    start(*shared)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let libraries in the workers start one thread each, because the workers share the cores."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
