"""Micrographs a second beside RELION's LoG picker, on the same files, cores and diameter, with F1 beside them.

    .venv/bin/python benchmarks/speed/peers.py

The example micrograph of 4096 x 4096 pixels and copies of it, moved by some pixels, stand behind many links. Each
program takes all of them, from its start to its last file: `vitripick pick` with its survey, and one process of
`relion_autopick` for each core on its share of the list, as its MPI version does. The programs take turns. F1 is that
of the copies against the moved labels, within a quarter of the diameter; LoG is also judged at the threshold that its
user would find best, which only labels can tell. The last column is LoG's
seconds and processor seconds over those of the row.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # where _shared.py lies
from _shared import LOG_THRESHOLDS, log_command, micrographs_star

from vitripick.cores import usable_cores
from vitripick.evaluation import evaluate
from vitripick.formats import read_micrograph, read_picks, write_mrc
from vitripick.geometry import Boxes

EXAMPLE = Path(__file__).parents[2] / "examples/betagal_full_size"
DIAMETER_PX = 108.0
# Å per pixel of the example, EMPIAR-10017.
PIXEL_SIZE = 1.77
N_COPIES = 6


def main() -> None:
    """Print one row for each program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--shape", default="4096x4096", help="rows x columns that are cut from the example")
    parser.add_argument("--options", default="", help="further options of `vitripick pick`, in one string")
    given = parser.parse_args()
    logging.getLogger("vitripick").setLevel(logging.ERROR)  # LoG's scores are not confidences, which is known
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        labels = write_files(root, given)
        programs = {"vitripick": lambda out: pick(root, out, given.options)}
        if shutil.which("relion_autopick"):
            programs["RELION's LoG"] = lambda out: log_picks(root, out, 0.0)
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
        f1: dict[str, float] = {}
        for repeat in range(given.repeats):
            for name, run in programs.items():
                started, used = time.perf_counter(), used_by_children()
                found = run(root / f"out{repeat}_{len(name)}")
                took[name].append((time.perf_counter() - started, used_by_children() - used))
                f1[name] = judged(found, labels)
        best = ""
        if "RELION's LoG" in programs:
            tried = {t: judged(log_picks(root, root / f"best{t:g}", t, most=N_COPIES), labels) for t in LOG_THRESHOLDS}
            best = f"; {max(tried.values()):.3f} at its best threshold, {max(tried, key=lambda t: tried[t]):g}"
        print(f"{given.files} micrographs, {usable_cores()} cores, load {os.getloadavg()[0]:.1f}\n")
        print(
            "| program | seconds, median (least) | seconds per micrograph | processor seconds | F1, d/4 | LoG over it |"
        )
        print("|---" * 6 + "|")
        slow, slow_used = map(statistics.median, zip(*took.get("RELION's LoG", [(math.nan, math.nan)]), strict=True))
        for name, figures in took.items():
            seconds, used = zip(*figures, strict=True)
            middle, middle_used = statistics.median(seconds), statistics.median(used)
            more = best if name != "vitripick" else ""
            print(
                f"| {name} | {middle:.2f} ({min(seconds):.2f}) | {middle / given.files:.3f} | {middle_used:.1f} | "
                f"{f1[name]:.3f}{more} | {slow / middle:.1f}, {slow_used / middle_used:.1f} |"
            )


def used_by_children() -> float:
    """Return the processor seconds of the programs that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def write_files(root: Path, given: argparse.Namespace) -> dict[str, Boxes]:
    """Write the copies and their links, and return the labels of each copy by its stem."""
    rows, columns = map(int, given.shape.split("x"))
    image = read_micrograph(next((EXAMPLE / "micrographs").iterdir())).image[:rows, :columns]
    labels = read_picks(next((EXAMPLE / "labels").iterdir()))
    rows, columns = image.shape
    (root / "mics").mkdir()
    moved = {}
    for i in range(given.files):
        path, by = root / f"copy{i % N_COPIES}.mrc", 517 * (i % N_COPIES)
        if i < N_COPIES:
            write_mrc(path, np.roll(image, by, axis=(0, 1)), pixel_size=PIXEL_SIZE)
            path.read_bytes()
        (root / "mics" / f"m{i:04d}.mrc").symlink_to(path)
        inside = labels.select((labels.x < columns) & (labels.y < rows))
        moved[f"m{i:04d}"] = Boxes.at(
            (inside.x + by) % columns, (inside.y + by) % rows, size_px=DIAMETER_PX, shape=(rows, columns)
        )
    return moved


def pick(root: Path, out: Path, options: str) -> dict[str, Boxes]:
    """Run `vitripick pick` and return the picks by stem."""
    command = [sys.executable, "-m", "vitripick", "pick", str(root / "mics"), "--diameter-px", str(DIAMETER_PX)]
    subprocess.run([*command, "--out", str(out), *options.split()], check=True, capture_output=True)
    return {path.stem.removesuffix("_autopick"): read_picks(path) for path in sorted((out / "star").glob("*.star"))}


def log_picks(root: Path, out: Path, threshold: float, *, most: int | None = None) -> dict[str, Boxes]:
    """Run one process of RELION's picker for each core and return the picks by stem."""
    names = sorted(path.name for path in (root / "mics").iterdir())[:most]
    angstrom = DIAMETER_PX * PIXEL_SIZE
    running = []
    out.mkdir()
    for share in range(min(usable_cores(), len(names))):
        star = out / f"share{share}.star"
        own = [f"mics/{name}" for name in names[share :: usable_cores()]]
        star.write_text(micrographs_star(own, PIXEL_SIZE))
        command = log_command(str(star), str(out), diameter_angstrom=angstrom, threshold=threshold)
        log = (out / f"share{share}.log").open("w")
        running.append(subprocess.Popen(command, cwd=root, stdout=log, stderr=subprocess.STDOUT))
    if any(process.wait() for process in running):
        raise SystemExit((out / "share0.log").read_text())
    return {path.stem.removesuffix("_autopick"): read_picks(path) for path in sorted(out.rglob("*_autopick.star"))}


def judged(found: dict[str, Boxes], labels: dict[str, Boxes]) -> float:
    """Return F1 within a quarter of the diameter, over the copies."""
    copies = sorted(found)[:N_COPIES]
    picks = {stem: found[stem].of(shape=labels[stem].shape) for stem in copies}
    result = evaluate(picks, {s: labels[s] for s in copies}, diameter_px=DIAMETER_PX, n_bootstrap=0, chance_level=False)
    return float(result.criteria["distance"].default.f1 or 0.0)


if __name__ == "__main__":
    main()
