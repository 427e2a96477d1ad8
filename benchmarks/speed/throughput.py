"""Micrographs a second, from files to CBOX and STAR, through the command line: many links to a few files.

    .venv/bin/python benchmarks/speed/throughput.py
    .venv/bin/python benchmarks/speed/throughput.py --shape 4092x5760 --dtype int16
    .venv/bin/python benchmarks/speed/throughput.py --counts 10 100 1000 2000

Every run is bracketed by a reference that uses both cores the same way, a convolution in OpenVINO's fp32, so that a
busy machine is seen for what it is. Files lie in the page cache: each is read once before.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _example import example_image

from vitripick.formats import write_mrc

# 150 Å at 1.2 Å a pixel.
DIAMETER_PX = 125.0


def main() -> None:
    """Print one row for each count and each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="4096x4096", help="rows x columns; the example is repeated to fill it")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--diameter-px", type=float, default=DIAMETER_PX)
    parser.add_argument("--counts", type=int, nargs="+", default=[120])
    parser.add_argument("--files", type=int, default=6, help="different files that the links lead to")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu", help="cuda: without the reference, which is the CPU's")
    parser.add_argument("--options", default="", help="further options of `vitripick pick`, in one string")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        names = write_files(Path(folder), given)
        print("| micrographs | options | seconds in all | a second, start-up included | a second, sustained | "
              "peak memory | engine | reference before, after |\n" + "|---" * 8 + "|")  # fmt: skip
        for count in given.counts:
            for repeat in range(given.repeats):
                links = Path(folder, f"links{count}")
                if not repeat:
                    links.mkdir()
                    for i in range(count):
                        (links / f"m{i:05d}.mrc").symlink_to(names[i % len(names)])
                print(row(links, Path(folder, f"out{count}_{repeat}"), given, count), flush=True)


def write_files(folder: Path, given: argparse.Namespace) -> list[Path]:
    """Write the example, repeated and rolled, as several files."""
    image = example_image(given.shape)
    names = []
    for i in range(given.files):
        names.append(folder / f"file{i}.mrc")
        write_mrc(names[-1], np.roll(image, 517 * i, axis=(0, 1)), pixel_size=1.2, dtype=given.dtype)
        names[-1].read_bytes()
    return names


def row(links: Path, out: Path, given: argparse.Namespace, count: int) -> str:
    """Pick once and return what was printed."""
    command = [sys.executable, "-m", "vitripick.cli.app", "pick", str(links), "--out", str(out), "--json"]
    command += ["--diameter-px", str(given.diameter_px), "--device", given.device, *given.options.split()]
    before = reference(given.device)
    started = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    in_all = time.perf_counter() - started
    after = reference(given.device)
    printed = json.loads(done.stdout)
    finished = sorted(
        json.loads(line)["at"]
        for path in (out / "log").glob("*.jsonl")
        for line in path.read_text().splitlines()
        if '"micrograph"' in line
    )
    # Without what comes before the first few: start-up, and compiling the network.
    skip = min(4, count // 2)
    sustained = (count - skip - 1) / (finished[-1] - finished[skip])
    # The largest child so far: counts go up.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    return (
        f"| {count} | {given.options or '-'} | {in_all:.1f} | {count / in_all:.1f} | **{sustained:.1f}** | "
        f"{peak:.2f} GiB | {printed['engine']}, {printed['jobs']} at once | {before}, {after} |"
    )


_REFERENCE = """
import statistics, time
import numpy as np
from onnx import helper, numpy_helper, TensorProto
weight = numpy_helper.from_array(np.ones((256, 256, 3, 3), np.float32), "w")
node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 256, 64, 64])
y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 256, 64, 64])
graph = helper.make_graph([node], "g", [x], [y], [weight])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
model.ir_version = 9
import openvino
core = openvino.Core()
run = core.compile_model(core.read_model(model.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
image = np.ones((1, 256, 64, 64), np.float32)
took = []
for _ in range(40):
    started = time.perf_counter(); run([image]); took.append(time.perf_counter() - started)
print(2 * 9 * 256 * 256 * 64 * 64 / statistics.median(took) / 1e9)
"""


def reference(device: str) -> str:
    """Return GFLOP/s of a 3x3 convolution, 256 channels at 64², on all cores, now; of a CPU only."""
    if device != "cpu":
        return "-"
    done = subprocess.run([sys.executable, "-c", _REFERENCE], check=True, capture_output=True, text=True)
    return f"{float(done.stdout):.0f} GFLOP/s"


if __name__ == "__main__":
    main()
