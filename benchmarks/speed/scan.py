"""Measure how long `vitripick watch` takes to look at a folder of many files: all new, half done, all done.

A scan asks the file system about every new file and about some of those that are done (`runs/watch/arrivals.py`).
Give a folder on a file server with --folder to measure that one. Asked for: less than a second for 5,000 files.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

from vitripick.runs.watch.arrivals import FolderSource


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, nargs="+", default=[5000])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the files are made; removed in the end")
    options = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; milliseconds, median (longest)\n")
    print("| files | all new | half done | all done |\n|---|---|---|---|")
    for n_files in options.files:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            for i in range(n_files):
                (Path(folder) / f"mic_{i:06d}.mrc").touch()
            names = [f"mic_{i:06d}.mrc" for i in range(n_files)]
            cells = [scanned(Path(folder), set(done), options.repeats) for done in ([], names[::2], names)]
        print(f"| {n_files} | " + " | ".join(cells) + " |")


def scanned(folder: Path, done: set[str], repeats: int) -> str:
    """Return median and maximum of the milliseconds of a scan with these files done."""
    source = FolderSource(folder, folder / "out")
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        source.scan(done)
        times.append((time.perf_counter() - started) * 1000)
    return f"{statistics.median(times):.1f} ({max(times):.1f})"


if __name__ == "__main__":
    main()
