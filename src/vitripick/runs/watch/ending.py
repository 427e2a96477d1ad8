"""Begin a watcher's work in a folder, and end it: on a request, a stop file, when nothing arrives, or on an error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vitripick.atomic import remove_leftovers
from vitripick.errors import UsageError
from vitripick.run_layout import STOP
from vitripick.runs.resources import resource_errors
from vitripick.runs.watch.lock import FolderLock
from vitripick.runs.watch.status import StatusReport, in_a_line


class Ending:
    """Knows whether a watcher has to end, and why.

    Parameters
    ----------
    out
        The run folder.
    stop_file
        The watcher ends when this file appears, and removes it; `OUT/STOP` by default.
    idle_seconds
        The watcher ends when nothing has arrived for this long; None for never.
    """

    def __init__(self, out: Path, stop_file: Path | None, idle_seconds: float | None) -> None:
        self.reason: str | None = None
        self._out, self._stop_file, self._idle_seconds = out, stop_file or out / STOP, idle_seconds

    def request(self, reason: str) -> None:
        """Ask for the end; the first reason counts."""
        self.reason = self.reason or reason

    def is_idle(self, active: float) -> bool:
        """Return whether nothing has arrived for too long since `active`, a time of `time.monotonic`."""
        return self._idle_seconds is not None and time.monotonic() - active > self._idle_seconds

    def is_due(self, lock: FolderLock, *, idle: bool) -> bool:
        """Return whether the watcher has to end.

        Raises
        ------
        UsageError
            If another watcher has taken the folder.
        """
        if lock.lost:
            raise UsageError(f"{self._out}: another watcher has taken this folder over; this one stops.")
        if self.reason is None and self._stop_file.exists():
            self._stop_file.unlink(missing_ok=True)
            self.reason = f"stop file {self._stop_file}"
        if idle:
            self.request(f"nothing arrived for {self._idle_seconds:g} s")
        return self.reason is not None


@contextmanager
def at_work(
    out: Path,
    ending: Ending,
    progress: StatusReport,
    status: Callable[[], dict[str, Any]],
    say: Callable[[str], None],
) -> Iterator[FolderLock]:
    """Lock a folder for a watcher, and report how it ended in its status file.

    Raises
    ------
    UsageError
        If another watcher is at work in the folder.
    ResourceError
        If disk, memory or GPU memory runs out.
    """
    with resource_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        with FolderLock(out) as lock:
            remove_leftovers(out)
            try:
                yield lock
            except BaseException as error:
                # A full disk cannot take this file either, so its error is ignored and the first one raised.
                with suppress(OSError):
                    progress.write(status(), "stopped", f"{type(error).__name__}: {error}")
                raise
            progress.write(status(), "stopped", ending.reason or "")
            say(in_a_line(status()))
