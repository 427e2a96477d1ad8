"""How fast micrographs are simulated to disk and training crops in memory, and what memory they take."""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vitripick.simulation import bundled_structures, find_structures, load_scene_recipe, read_structure, simulate_crops

WORKING, CROP = 24.0, 256


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--structures", default="", help="folder of structures; the bundled ones by default")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--crops", type=int, default=300, help="per process and repeat")
    parser.add_argument("--warm-up", type=int, default=300, help="crops before the clock starts")
    parser.add_argument("--counts", type=int, nargs="+", default=[10, 40])
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores\n")
    print("| general micrographs of 1024 x 1024 | seconds, median | micrographs/s | peak memory of one process |")
    print("|---|---|---|---|")
    for count in given.counts:
        seconds = [simulate(given, count) for _ in range(given.repeats)]
        # The largest process so far; counts rise, so growth with the number of micrographs would show.
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        middle = statistics.median(seconds)
        print(f"| {count} | {middle:.1f} | {count / middle:.2f} | {peak:.2f} GiB |")
    print(f"\n| processes | crops of {CROP} x {CROP} at {WORKING:.0f} px a particle, per second: median (all) |")
    print("|---|---|")
    for processes in (1, os.cpu_count() or 1):
        rates = crops_per_second(given, processes)
        print(f"| {processes} | **{statistics.median(rates):.0f}** ({', '.join(f'{rate:.0f}' for rate in rates)}) |")


def simulate(given: argparse.Namespace, count: int) -> float:
    """Return the seconds of the whole command, start-up included."""
    folder = Path(tempfile.mkdtemp())
    command = [sys.executable, "-m", "vitripick.cli.app", "simulate", "--recipe", "general", "--out", str(folder)]
    command += ["--micrographs", str(count)]
    command += ["--structure", given.structures] if given.structures else []
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    seconds = time.perf_counter() - started
    shutil.rmtree(folder)
    return seconds


def crops_per_second(given: argparse.Namespace, processes: int) -> list[float]:
    """Return the rate of all processes together, once each has made its first crops (and cached what it met)."""
    context = multiprocessing.get_context("spawn")
    ready, go = context.Barrier(processes), context.Queue()
    workers = [context.Process(target=make_crops, args=(given, i, processes, ready, go)) for i in range(processes)]
    for worker in workers:
        worker.start()
    spans = [go.get() for _ in range(processes * given.repeats)]
    for worker in workers:
        worker.join()
    rates = []
    for repeat in range(given.repeats):
        mine = [(start, end) for r, start, end in spans if r == repeat]
        rates.append(processes * given.crops / (max(end for _, end in mine) - min(start for start, _ in mine)))
    return rates


def make_crops(given, index, processes, ready, results) -> None:
    """Make one worker's share of the stream."""
    import cv2

    cv2.setNumThreads(1)
    paths = find_structures([given.structures]) if given.structures else list(bundled_structures().values())
    stream = simulate_crops(
        load_scene_recipe("general"),
        [read_structure(path) for path in paths],
        working_diameter_px=WORKING,
        crop_px=CROP,
        scale_jitter=0.25,
        first=index,
        step=processes,
    )
    list(itertools.islice(stream, given.warm_up))
    for repeat in range(given.repeats):
        ready.wait()
        started = time.time()
        for _ in itertools.islice(stream, given.crops):
            pass
        results.put((repeat, started, time.time()))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()
