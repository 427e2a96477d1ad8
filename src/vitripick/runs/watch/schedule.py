"""Decide when the joined files and the report may be written again."""

from __future__ import annotations

import time

# The joined files and the report may each take this share of the time.
_SHARE = 0.05
_REPORT_SECONDS = 600.0
# The joined files are written in idle moments. If there are none, they are written after this many intervals.
_PATIENCE = 5


class JoinSchedule:
    """Keeps the writing of files that describe the whole run to a small share of the time.

    Parameters
    ----------
    join_seconds
        Least time between two rebuilds of the joined files.
    """

    def __init__(self, join_seconds: float) -> None:
        self._join_seconds = join_seconds
        self._joined_at = self._reported_at = time.monotonic()
        self._join_took = self._report_took = 0.0

    def may_join(self) -> bool:
        """Return whether the joined files may be written now."""
        return time.monotonic() - self._joined_at >= self._interval()

    def must_join(self) -> bool:
        """Return whether the joined files are so old that they must be written, even if micrographs wait."""
        return time.monotonic() - self._joined_at > _PATIENCE * self._interval()

    def may_report(self) -> bool:
        """Return whether the report may be written now."""
        return time.monotonic() - self._reported_at >= max(_REPORT_SECONDS, self._report_took / _SHARE)

    def joined(self, started: float) -> None:
        """Note that the joined files are written now, begun at `started` (monotonic)."""
        self._joined_at = time.monotonic()
        self._join_took = self._joined_at - started

    def reported(self, started: float) -> None:
        """Note that the report is written now, begun at `started` (monotonic)."""
        self._reported_at = time.monotonic()
        self._report_took = self._reported_at - started

    def _interval(self) -> float:
        return max(self._join_seconds, self._join_took / _SHARE)
