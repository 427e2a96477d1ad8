"""A clock for the watcher's bookkeeping that only a test moves."""

from types import SimpleNamespace

import pytest

from vitripick.runs.watch import ledger, schedule


class Clock:
    """What `time.monotonic` says."""

    def __init__(self):
        self.now = 1000.0

    def wait(self, seconds):
        """Let this many seconds pass."""
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    """Return the clock of ledger and schedule."""
    clock = Clock()
    for module in (ledger, schedule):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock
