"""Keep the times of a run: one file for each process, which is no result."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vitripick.atomic import host_name
from vitripick.run_layout import RunLayout


class RunLog:
    """Appends to this process's own file below `log/`; made on the first line."""

    def __init__(self, layout: RunLayout) -> None:
        self._path = layout.log / f"{host_name()}.{os.getpid()}.jsonl"

    def write(self, **fields: Any) -> None:
        """One line, with the time of day."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"at": round(time.time(), 3), **fields}, ensure_ascii=False) + "\n"
        # One write each, at the end: a reader sees whole lines, but for the last one of a killed process.
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line)


def read_log(layout: RunLayout) -> list[dict[str, Any]]:
    """Lines of all processes that worked on a run folder, oldest first."""
    return sorted(_log_lines(layout.log), key=lambda line: float(line.get("at", 0.0)))


def _log_lines(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.jsonl")):
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                line = json.loads(text)
            except json.JSONDecodeError:
                continue  # the last line of a process that was killed while it wrote
            if isinstance(line, dict):
                yield line
