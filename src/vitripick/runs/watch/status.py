"""Report the progress of a watcher: in a status file for programs, and in a line each minute for the user."""

from __future__ import annotations

import datetime
import json
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vitripick.atomic import host_name, write_text_atomically
from vitripick.formats.passed_by import PassedBy
from vitripick.run_layout import STATUS

# The rate and the longest lag cover this time.
_WINDOW_SECONDS = 600.0


class StatusReport:
    """Keeps the times at which micrographs were finished, and reports when a report is due.

    Parameters
    ----------
    out
        The run folder, for `status.json`.
    tell
        Called with a line for people.
    status_seconds, line_seconds
        Time between two updates of the file, and between two lines.
    """

    def __init__(self, out: Path, tell: Callable[[str], None], *, status_seconds: float, line_seconds: float) -> None:
        self._path = out / STATUS
        self._say = tell
        self._status_seconds = status_seconds
        self._line_seconds = line_seconds
        self._started = self._line_at = time.monotonic()
        self._status_at = float("-inf")
        self._finished: deque[tuple[float, float]] = deque()  # (when, lag) of the last ten minutes

    def finished(self, *, since: float) -> None:
        """Count a micrograph whose file was last seen to change at `since` (monotonic)."""
        now = time.monotonic()
        self._finished.append((now, now - since))
        while now - self._finished[0][0] > _WINDOW_SECONDS:
            self._finished.popleft()

    def status(
        self,
        *,
        found: int,
        waiting_since: Sequence[float],
        n_picks: Sequence[int],
        n_failed: int,
        passed_by: Sequence[PassedBy] = (),
    ) -> dict[str, Any]:
        """Return what the status file holds; `n_picks` has one entry for each micrograph that is done."""
        now = time.monotonic()
        window = min(_WINDOW_SECONDS, max(now - self._started, 1.0))
        lags = [lag for when, lag in list(self._finished) if now - when <= window]
        return {
            "found": found,
            "waiting": len(waiting_since),
            "done": len(n_picks),
            "failed": n_failed,
            "passed_by": dict(Counter(one.reason for one in passed_by)),
            "rate_per_hour": round(3600 * len(lags) / window, 1),
            "lag_seconds": round(self._finished[-1][1], 1) if self._finished else None,
            "longest_lag_seconds": round(max(lags), 1) if lags else None,
            "oldest_waiting_seconds": round(now - min(waiting_since, default=now), 1),
            "mean_picks": round(sum(n_picks) / len(n_picks), 1) if n_picks else None,
        }

    def report_if_due(self, status: Callable[[], dict[str, Any]]) -> None:
        """Write the file and give out the line, each if its time has come."""
        now = time.monotonic()
        if now - self._status_at >= self._status_seconds:
            self.write(status(), "running", "")
        if now - self._line_at >= self._line_seconds:
            self._line_at = now
            self._say(in_a_line(status()))

    def write(self, status: dict[str, Any], state: str, reason: str) -> None:
        """Write the file, with the state `running` or `stopped` and the reason."""
        self._status_at = time.monotonic()
        fields = {
            "state": state,
            "reason": reason,
            "host": host_name(),
            "pid": os.getpid(),
            "updated": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            **status,
        }
        write_text_atomically(self._path, json.dumps(fields, indent=1, ensure_ascii=False) + "\n")


def in_a_line(status: dict[str, Any]) -> str:
    """Return the status in one line for people."""
    lag = "-" if status["lag_seconds"] is None else f"{status['lag_seconds']:.0f} s"
    picks = "-" if status["mean_picks"] is None else f"{status['mean_picks']:.0f}"
    return (
        f"found {status['found']}  waiting {status['waiting']}  done {status['done']}  failed {status['failed']}  "
        f"rate {status['rate_per_hour']:.0f}/h  lag {lag}  mean picks {picks}"
    )
