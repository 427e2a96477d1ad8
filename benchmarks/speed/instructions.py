"""Engine by kind of processor: milliseconds of the default network on one thread, with instructions switched off.

    .venv/bin/python benchmarks/speed/instructions.py

The engines' own variables switch the instructions off (`ONEDNN_MAX_CPU_ISA` for OpenVINO and torch). ONNX Runtime has
no such variable, so its rows show this processor as it is. Each figure comes from a process of its own; the engines
take turns, so that a busy machine is shared fairly.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

# (name, value of ONEDNN_MAX_CPU_ISA, value of ATEN_CPU_CAPABILITY); newest first.
KINDS = (
    ("as it is", None, None),
    ("AVX-512 VNNI", "AVX512_CORE_VNNI", "avx512"),
    ("AVX-512", "AVX512_CORE", "avx512"),
    ("AVX2 VNNI", "AVX2_VNNI", "avx2"),
    ("AVX2", "AVX2", "avx2"),
)
ENGINES = (
    ("openvino", "int8"),
    ("openvino", "fp32"),
    ("onnxruntime", "int8"),
    ("onnxruntime", "fp32"),
    ("torch", "fp32"),
)
SWITCHED = ("openvino", "torch")

_ONE = """
import statistics, sys, time
import numpy as np
from vitripick.models import open_model
from vitripick.models.engines import load_on_engine
engine, precision, side, runs = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
started = time.perf_counter()
network = load_on_engine(open_model("general"), engine=engine, precision=precision, threads=1).network
image = np.random.default_rng(0).standard_normal((1, 1, side, side)).astype(np.float32)
network.run(image)
ready = time.perf_counter() - started
took = []
for _ in range(runs):
    began = time.perf_counter()
    network.run(image)
    took.append(time.perf_counter() - began)
print(1e3 * statistics.median(took), ready)
"""


def main() -> None:
    """Print one row for each engine and kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=800, help="of the image: 4096 pixels at a diameter of 125")
    parser.add_argument("--runs", type=int, default=9, help="of each process")
    parser.add_argument("--repeats", type=int, default=3, help="processes of each row")
    parser.add_argument("--engines", nargs="+", default=sorted({engine for engine, _ in ENGINES}))
    given = parser.parse_args()
    rows = [
        (engine, precision, kind)
        for engine, precision in ENGINES
        for kind in (KINDS if engine in SWITCHED else KINDS[:1])
        if engine in given.engines
    ]
    took: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for _ in range(given.repeats):
        for engine, precision, kind in rows:
            took.setdefault((engine, precision, kind[0]), []).append(one(engine, precision, kind, given))
    print(f"load {os.getloadavg()[0]:.1f}\n")
    print("| engine | precision | instructions | ms, median (least) | ready after, s |\n" + "|---" * 5 + "|")
    for (engine, precision, name), figures in took.items():
        ms, ready = zip(*figures, strict=True)
        print(
            f"| {engine} | {precision} | {name} | {statistics.median(ms):.1f} ({min(ms):.1f}) | "
            f"{statistics.median(ready):.2f} |"
        )


def one(
    engine: str, precision: str, kind: tuple[str, str | None, str | None], given: argparse.Namespace
) -> tuple[float, float]:
    """Return milliseconds of an image, and seconds until the first one was done."""
    _, onednn, aten = kind
    changes = {"ONEDNN_MAX_CPU_ISA": onednn, "ATEN_CPU_CAPABILITY": aten}
    environment = {**os.environ, **{name: value for name, value in changes.items() if value is not None}}
    command = [sys.executable, "-c", _ONE, engine, precision, str(given.side), str(given.runs)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    ms, ready = map(float, done.stdout.split()[-2:])
    return ms, ready


if __name__ == "__main__":
    main()
