"""A float32 MRC, from file to STAR: seconds after start-up and peak memory, through the command line.

4096 x 4096 by default; a K3's with `--shape 4092x5760 --diameter-px 180`. OMP_NUM_THREADS sets the threads.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from _example import example_image

from vitripick.formats import write_mrc
from vitripick.runs.folder import read_run_folder

N_MICROGRAPHS = 8


def main() -> None:
    """Print one table; the smaller diameter makes a larger image for the network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", default="4096x4096", help="rows x columns; the example is repeated to fill it")
    parser.add_argument("--diameter-px", type=float, nargs="+", default=[108, 60])
    options = parser.parse_args()
    image = example_image(options.shape)
    with tempfile.TemporaryDirectory() as folder:
        for i in range(N_MICROGRAPHS):
            write_mrc(Path(folder) / "mics" / f"m{i}.mrc", image, pixel_size=1.77)
        print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}\n")
        print(
            "| diameter | picks | read | prepare | network | write | file to STAR, median of 8 | peak memory |\n|"
            + "---|" * 8
        )
        for diameter in options.diameter_px:
            out = Path(folder) / f"out{diameter:g}"
            command = [sys.executable, "-m", "vitripick.cli.app", "pick", f"{folder}/mics", "--out", str(out)]
            subprocess.run(
                [*command, "--diameter-px", str(diameter), "--format", "star", "--device", "cpu", "--jobs", "1"],
                check=True,
                capture_output=True,
            )
            records = list(read_run_folder(out).records.values())
            # The largest child so far: diameters are in order of growing memory.
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
            parts = {
                k: statistics.median(r.timings[k] for r in records) for k in ("read", "prepare", "network", "write")
            }
            total = statistics.median(r.seconds for r in records)
            print(
                f"| {diameter:g} px | {records[0].n_picks} | {parts['read']:.2f} s | {parts['prepare']:.2f} s | "
                f"{parts['network']:.2f} s | {parts['write']:.2f} s | **{total:.2f} s** | {peak:.2f} GiB |"
            )


if __name__ == "__main__":
    main()
