"""Show progress on a terminal, and nothing in a log."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(description: str, unit: str) -> Iterator[Callable[[int, int, str], None]]:
    """Yield a function of (done, total, note) that draws a bar with rate and time left if stderr is a terminal."""
    # With several processes (torchrun sets RANK), bars would mix, so only the first process draws.
    if not sys.stderr.isatty() or os.environ.get("RANK", "0") != "0":
        yield lambda done, total, note: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=None, rate="", note="")

        def update(done: int, total: int, note: str) -> None:
            speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
            rate = f"{speed:.2f} {unit}/s" if speed else ""
            bar.update(task, completed=done, total=total, note=note, rate=rate)

        yield update
