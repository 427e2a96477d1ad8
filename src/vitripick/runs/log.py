"""Keep the times of a run in one file for each process; they are not part of its results."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vitripick.atomic import host_name
from vitripick.json_toml import parse_json
from vitripick.run_layout import RunLayout


class RunLog:
    """Appends lines to this process's own file below `log/`, which the first line creates."""

    def __init__(self, layout: RunLayout) -> None:
        self._path = layout.log / f"{host_name()}.{os.getpid()}.jsonl"

    def write(self, **fields: Any) -> None:
        """Write one line with these fields and the time."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"at": round(time.time(), 3), **fields}, ensure_ascii=False) + "\n"
        # Each line is one write, so a reader sees whole lines; only a killed process may leave half a line.
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line)


def read_log(layout: RunLayout) -> list[dict[str, Any]]:
    """Return the lines of all processes that worked on a run folder, oldest first."""
    return sorted(_log_lines(layout.log), key=lambda line: float(line.get("at", 0.0)))


def _has_time(line: Any) -> bool:
    return isinstance(line, dict) and isinstance(line.get("at", 0.0), int | float)


def _log_lines(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.jsonl")):
        for text in path.read_bytes().splitlines():
            try:
                line = parse_json(text)
            except ValueError:
                continue  # the process was killed while it wrote this line
            if _has_time(line):
                yield line
