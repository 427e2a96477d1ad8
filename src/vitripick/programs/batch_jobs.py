"""Watch the batch jobs of a Dask cluster: which were submitted, refused, or ended before their worker came.

dask-jobqueue submits jobs in the background. There a refused job leaves a traceback, and the run waits without end. So
each job reports its result here, and the run looks here while it waits.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from vitripick.errors import InputError
from vitripick.programs.batch_systems import BatchSystem, Report
from vitripick.text import count, listed

_SECONDS_BETWEEN_LINES = 60.0
# The queue is asked only while a job waits for its worker, and not often: all users share its server.
_SECONDS_BETWEEN_QUESTIONS = 15.0
_SECONDS_TO_ASK_AGAIN = 60.0
# Jobs are submitted at the same time, and one line reports all that were submitted within these seconds.
_SECONDS_TO_COLLECT = 5.0
# Dask replaces a job some 15 seconds after its last worker was lost, so it is left alone for longer than that.
_SECONDS_OF_DASK = 60.0


class Watch(Protocol):
    """Looks after the workers while a run waits for results."""

    def look(self) -> None:
        """Say what the run waits for, at most once a minute; raise an error if it would wait without end."""


class NoWatch:
    """Watches nothing: these workers start with the run, and fail with it."""

    def look(self) -> None:
        """Do nothing."""


class IdleScheduler:
    """Says once a minute that a scheduler has no workers."""

    def __init__(self, client: Any, address: str, on_note: Callable[[str], None]) -> None:
        self._client, self._address, self._on_note = client, address, on_note
        self._next = 0.0

    def look(self) -> None:
        """Ask the scheduler for its workers, once a minute, and say it if there are none."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _SECONDS_BETWEEN_LINES
            if not self._client.nthreads():
                self._on_note(f"{self._address} has no workers; waiting for some")


@dataclass
class _Job:
    """Holds the state of the job of one worker name."""

    worker: str
    number: str | None
    refused: str
    at: float
    came: bool = False
    seen_at: float = 0.0
    missed: int = 0
    ended: bool = False
    told: bool = False
    failure_told: bool = False

    @property
    def is_left(self) -> bool:
        """Return whether the job waits or works."""
        return self.number is not None and not self.ended


class BatchJobs:
    """Watches the jobs of one cluster of dask-jobqueue.

    The run goes on while one job is left that waits or works. A job that was refused, or that ended before its worker
    came, is asked for again after a minute.

    Parameters
    ----------
    system
        The batch system.
    source
        Where the jobs are described, for messages.
    wanted
        Number of jobs.
    on_note
        Called with each line that says what is waited for.
    log_directory
        Where the jobs write what they print; None if that is not known.
    """

    def __init__(
        self,
        system: BatchSystem,
        source: Path,
        wanted: int,
        on_note: Callable[[str], None],
        log_directory: Path | None = None,
    ) -> None:
        self._system, self._source, self._wanted, self._on_note = system, source, wanted, on_note
        self._log_directory = log_directory
        self._reports: SimpleQueue[Report] = SimpleQueue()
        self._arrivals: SimpleQueue[str] = SimpleQueue()
        self._jobs: dict[str, _Job] = {}
        self._states: Mapping[str, str] = {}
        self._cluster: Any = None
        self._submit = ""
        self._had_workers = False
        self._complained: set[str] = set()
        self._waits_since = self._line_at = self._asked_at = time.monotonic()

    @property
    def report(self) -> Callable[[Report], None]:
        """Return the function that the jobs call; it may be called from any thread."""
        return self._reports.put

    def start(self, cluster: Any) -> None:
        """Let a cluster submit its jobs, and submit them again when they reach their time limit or die."""
        from distributed import SchedulerPlugin

        arrivals = self._arrivals

        class Arrivals(SchedulerPlugin):  # type: ignore[misc]
            def add_worker(self, scheduler: Any, worker: str, **_: Any) -> None:
                arrivals.put(str(scheduler.workers[worker].name))

        self._cluster, self._submit = cluster, shlex.split(str(cluster.job_cls.submit_command))[0]
        cluster.scheduler.add_plugin(Arrivals())
        cluster.adapt(minimum_jobs=self._wanted, maximum_jobs=self._wanted)

    def look(self) -> None:
        """Read the reports, say what the run waits for, and raise an error if no job is left.

        Raises
        ------
        InputError
            If every job was refused, or ended before its worker came.
        """
        now = time.monotonic()
        self._take_in(now)
        workers = self._workers_now()
        self._mark(workers, now)
        self._ask_queue(now, is_idle=not workers)
        self._end_or_ask_again(now)
        self._tell(now, is_idle=not workers)

    def _workers_now(self) -> set[str]:
        return {str(worker.name) for worker in list(self._cluster.scheduler.workers.values())}

    def _take_in(self, now: float) -> None:
        for report in _taken(self._reports):
            self._jobs[report.worker] = _Job(report.worker, report.number, report.refused, now)
        for worker in _taken(self._arrivals):
            for job in self._jobs.values():
                if _is_of(worker, job):
                    job.came, job.seen_at = True, now

    def _mark(self, workers: Iterable[str], now: float) -> None:
        for worker in workers:
            for job in self._jobs.values():
                if _is_of(worker, job):
                    job.came, job.seen_at = True, now

    def _ask_queue(self, now: float, *, is_idle: bool) -> None:
        """Find which jobs have left the queue, where one waits for its worker or no worker is there."""
        waiting = [job for job in self._jobs.values() if job.is_left and (not job.came or is_idle)]
        if not waiting or now - self._asked_at < _SECONDS_BETWEEN_QUESTIONS:
            return
        states = self._system.states()
        self._asked_at = time.monotonic()
        if states is None:
            self._states = {}
            return
        self._states = states
        for job in waiting:
            assert job.number is not None
            is_new = now - job.at < _SECONDS_BETWEEN_QUESTIONS
            job.missed = 0 if job.number in states or is_new else job.missed + 1
            # One answer may be old, so two are needed.
            if job.missed > 1 and not job.came:
                job.ended, job.at = True, now
            elif job.missed > 1 and now - job.seen_at > _SECONDS_OF_DASK:
                # Dask does not notice when all workers of a job with several are lost.
                self._ask_again(job)

    def _end_or_ask_again(self, now: float) -> None:
        failed = [job for job in self._jobs.values() if not job.is_left]
        left = [job for job in self._jobs.values() if job.is_left]
        if not left:
            # While one is being submitted, it may be taken.
            if failed and len(self._jobs) >= self._wanted:
                raise InputError(self._why_none_is_left(failed))
            return
        for job in failed:
            if not job.failure_told:
                self._complain(job, len(left))
            if now - job.at > _SECONDS_TO_ASK_AGAIN:
                self._ask_again(job)

    def _complain(self, job: _Job, n_left: int) -> None:
        job.failure_told = True
        what = self._what_failed([job])
        if _without_number(what) not in self._complained:
            self._complained.add(_without_number(what))
            self._on_note(f"{what}; going on with {count('job', n_left)}, and asking again every minute")

    def _ask_again(self, job: _Job) -> None:
        """Let Dask forget a job, so that it submits another one of this name."""
        del self._jobs[job.worker]
        self._cluster.loop.add_callback(self._cluster.workers.pop, job.worker, None)

    def _why_none_is_left(self, failed: Sequence[_Job]) -> str:
        what = self._what_failed([job for job in failed if job.refused] or failed)
        if self._had_workers:
            return f"{self._source}: {what}. No job is left; what was picked is kept, and the same command goes on."
        return f"{self._source}: {what}. Change its [options] (docs/lab.md, Across nodes)."

    def _what_failed(self, jobs: Sequence[_Job]) -> str:
        if jobs[0].refused:
            return f"{self._submit} refused {'a job' if len(jobs) == 1 else count('job', len(jobs))}: {jobs[0].refused}"
        words = next(filter(None, map(self._last_words, jobs)), "")
        return f"{self._numbers(jobs)} ended before any worker came{words}"

    def _last_words(self, job: _Job) -> str:
        """Return the last line that a job printed, and where; empty if there is none."""
        assert job.number is not None
        mine = re.compile(rf"(?<!\d){job.number}(?!\d)")
        with suppress(OSError):
            files = [path for path in (self._log_directory or Path()).iterdir() if mine.search(path.name)]
            for path in sorted(files, key=lambda path: path.stat().st_mtime, reverse=True):
                lines = [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()]
                if lines:
                    return f" ({path} ends with: {lines[-1][:300]})"
        return ""

    def _tell(self, now: float, *, is_idle: bool) -> None:
        left = [job for job in self._jobs.values() if job.is_left]
        new = [job for job in left if not job.told]
        if new and (len(self._jobs) >= self._wanted or now - min(job.at for job in new) > _SECONDS_TO_COLLECT):
            waits = "; waiting for workers" if is_idle else ""
            self._on_note(f"{count('job', len(new))} submitted ({self._numbers(new)}){waits}")
            for job in new:
                job.told = True
            self._line_at = now
        if not is_idle:
            if not self._had_workers:
                self._on_note("the first worker is there")
            self._had_workers, self._waits_since, self._line_at = True, now, now
        elif now - self._line_at > _SECONDS_BETWEEN_LINES:
            self._line_at = now
            what = self._waited_for(left) or f"{self._submit} to answer"
            self._on_note(f"waiting for workers since {(now - self._waits_since) / 60:.0f} min: {what}")

    def _waited_for(self, jobs: Sequence[_Job]) -> str:
        by_state: dict[str, list[_Job]] = {}
        for job in jobs:
            by_state.setdefault(self._states.get(job.number or "", ""), []).append(job)
        return "; ".join(f"{self._numbers(some)} {state}".strip() for state, some in by_state.items())

    def _numbers(self, jobs: Sequence[_Job]) -> str:
        numbers = sorted((job.number or "?" for job in jobs), key=lambda number: (len(number), number))
        return f"{self._system.name} {listed(numbers)}"


def _taken(queue: SimpleQueue[Any]) -> Iterator[Any]:
    with suppress(Empty):
        while True:
            yield queue.get_nowait()


def _is_of(worker: str, job: _Job) -> bool:
    # A job with several processes names its workers NAME-0, NAME-1, …
    return worker == job.worker or worker.startswith(f"{job.worker}-")


def _without_number(text: str) -> str:
    return re.sub(r"\d+", "#", text)
