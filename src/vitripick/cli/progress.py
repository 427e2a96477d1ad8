"""Show on a terminal what is being done and how far it is. A log gets none of it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vitripick.text import duration


@dataclass(frozen=True)
class Bar:
    """Holds the functions that a command calls while it works.

    Attributes
    ----------
    update
        Called with (done, total, note).
    stage
        Called with the name of the stage that begins; the count begins again.
    say
        Called with a line to print on stderr, above the bar if there is one.
    """

    update: Callable[[int, int, str], None]
    stage: Callable[[str], None]
    say: Callable[[str], None]


@contextmanager
def progress_bar(description: str, unit: str, *, in_log: bool = False) -> Iterator[Bar]:
    """Draw a bar with the stage, the rate and the time left if stderr is a terminal, from the first moment on.

    Parameters
    ----------
    description
        Name of the first stage.
    unit
        What is counted, such as `micrographs`.
    in_log
        Whether a log gets a line for each stage, and one a minute. Otherwise it gets only the lines of `say`.
    """
    # With several processes (torchrun sets RANK), bars would mix, so only the first process draws.
    if not sys.stderr.isatty() or os.environ.get("RANK", "0") != "0":
        yield _lines(unit) if in_log and os.environ.get("RANK", "0") == "0" else _nothing()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[count]}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    # If stdout goes elsewhere, rich must not draw its lines on the terminal instead.
    to_both = sys.stdout.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=to_both) as bar:
        task = bar.add_task(description, total=None, rate="", note="", count="")

        def update(done: int, total: int, note: str) -> None:
            speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
            rate = f"{speed:.2f} {unit}/s" if speed else ""
            bar.update(task, completed=done, total=total, note=note, rate=rate, count=f"{done}/{total}")

        def stage(words: str) -> None:
            # Without a total the bar pulses, as the time of this stage is not known.
            bar.reset(task, total=None, description=words, rate="", note="", count="")

        yield Bar(update, stage, _say)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _nothing() -> Bar:
    return Bar(lambda done, total, note: None, lambda words: None, _say)


def _lines(unit: str, every_seconds: float = 60.0) -> Bar:
    """Return what a long job writes into a log: each stage at once, then a line a minute with the time left."""
    line_at = time.monotonic()
    began: tuple[float, int] | None = None

    def say(line: str) -> None:
        nonlocal line_at
        line_at = time.monotonic()
        _say(line)

    def stage(words: str) -> None:
        nonlocal began
        began = None
        say(words)

    def update(done: int, total: int, note: str) -> None:
        nonlocal began
        now = time.monotonic()
        # The first call only starts the clock, because the time before it (loading, compiling) would spoil the
        # estimate.
        began = began or (now, done)
        if now - line_at >= every_seconds and done > began[1]:
            left = (now - began[0]) / (done - began[1]) * (total - done)
            say(f"{done} of {total} {unit}{f', {note}' if note else ''}, about {duration(left)} left")

    return Bar(update, stage, say)
