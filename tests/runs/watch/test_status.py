"""Test what a watcher says about its pace."""

import time

import pytest

from vitripick.runs.watch import status as module
from vitripick.runs.watch.status import StatusReport


@pytest.fixture
def clock(monkeypatch):
    """Return a list whose one number is the time."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def said(report, n):
    return report.status(found=n, waiting_since=[], n_picks=[1] * n, n_failed=0)


def test_the_rate_is_that_of_the_last_ten_minutes_however_many_there_were(tmp_path, clock):
    report = StatusReport(tmp_path, print, status_seconds=1, line_seconds=1)
    for i in range(10_000):
        clock[0] = 1000 + i * 0.1
        report.finished(since=clock[0] - (50 if i == 5000 else 1))
    found = said(report, 10_000)
    assert found["rate_per_hour"] == pytest.approx(36_000, rel=0.01)
    assert found["longest_lag_seconds"] == 50  # that of 500 s ago, 5,000 micrographs back


def test_what_is_older_than_ten_minutes_is_forgotten(tmp_path, clock):
    report = StatusReport(tmp_path, print, status_seconds=1, line_seconds=1)
    for at in (0.0, 10.0, 5000.0):
        clock[0] = at
        report.finished(since=at)
    assert said(report, 3)["rate_per_hour"] == 6.0
    assert len(report._finished) == 1
    assert time.monotonic() == 5000.0
