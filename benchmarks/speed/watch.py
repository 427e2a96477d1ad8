"""`vitripick watch` while 4096 x 4096 micrographs arrive at a given rate: how far behind it is.

A writer of its own puts each file there piece by piece, as a copy over the network would.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from _example import example_image

from vitripick.formats import write_mrc

WRITING_SECONDS = 2.0


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-hour", type=float, default=600)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--diameter-px", type=float, default=108)
    parser.add_argument("--shape", default="4096x4096", help="rows x columns; the example is repeated to fill it")
    parser.add_argument("--options", default="", help="further options of `vitripick watch`, in one string")
    options = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores\n")
    with tempfile.TemporaryDirectory() as folder:
        arrivals(Path(folder), options)


def arrivals(folder: Path, options: argparse.Namespace) -> None:
    """Let micrographs arrive and measure from the last byte written to the record of the picks."""
    per_hour, minutes = options.per_hour, options.minutes
    image = example_image(options.shape)
    write_mrc(folder / "one.mrc", image, pixel_size=1.77)
    data = (folder / "one.mrc").read_bytes()
    there, out = folder / "in", folder / "out"
    there.mkdir()
    command = [sys.executable, "-m", "vitripick.cli.app", "watch", str(there), "--out", str(out), "--device", "cpu"]
    log = (folder / "log.txt").open("w")
    command += ["--diameter-px", str(options.diameter_px), *options.options.split()]
    watcher = subprocess.Popen(command, stderr=log)
    while not (out / "status.json").exists():
        time.sleep(0.1)
    n = round(per_hour * minutes / 60)
    written: dict[str, float] = {}
    load = [os.getloadavg()[0]]

    def write(i: int) -> None:
        path = there / f"mic_{i:05d}.mrc"
        with path.open("wb") as file:
            for start in range(0, len(data), 1 << 22):
                piece = data[start : start + (1 << 22)]
                file.write(piece)
                time.sleep(WRITING_SECONDS * len(piece) / len(data))
        written[path.stem] = time.time()

    started = time.monotonic()
    writers = []
    for i in range(n):
        time.sleep(max(0.0, started + i * 3600 / per_hour - time.monotonic()))
        writers.append(threading.Thread(target=write, args=(i,)))
        writers[-1].start()
        if i > 20:
            # What was picked makes room, as a facility's archive does.
            old = there / f"mic_{i - 20:05d}.mrc"
            if (out / "micrographs" / f"{old.stem}.json").exists():
                old.unlink(missing_ok=True)
        load.append(os.getloadavg()[0])
    for writer in writers:
        writer.join()
    deadline = time.monotonic() + 300
    while len(list((out / "micrographs").glob("*.json"))) < n and time.monotonic() < deadline:
        time.sleep(0.5)
    watcher.send_signal(signal.SIGTERM)
    watcher.wait()
    lags = sorted(
        (out / "micrographs" / f"{stem}.json").stat().st_mtime - end
        for stem, end in written.items()
        if (out / "micrographs" / f"{stem}.json").exists()
    )
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    status = json.loads((out / "status.json").read_text())
    print("| arrived | an hour | picked | lag, median | lag, 95 % | longest | CPU s per micrograph | memory | load |")
    print("|" + "---|" * 9)
    print(
        f"| {n} in {minutes:g} min | {per_hour:g} | {status['done']} | {statistics.median(lags):.1f} s | "
        f"{lags[int(0.95 * (len(lags) - 1))]:.1f} s | {lags[-1]:.1f} s | "
        f"{(usage.ru_utime + usage.ru_stime) / n:.2f} | {usage.ru_maxrss / 2**20:.2f} GiB | "
        f"{statistics.median(load):.1f} |"
    )


if __name__ == "__main__":
    main()
