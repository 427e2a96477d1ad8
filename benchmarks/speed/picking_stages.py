"""Each stage of picking beside its floor, one thread, medians of interleaved repeats."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import torch
from throughput import DIAMETER_PX, write_files
from torch.utils.flop_counter import FlopCounterMode

from vitripick.formats import read_micrograph
from vitripick.formats.micrographs.on_disk import open_micrograph
from vitripick.images import normalise_locally, resize, resize_fourier
from vitripick.models import DEFAULT_MODEL, load_weights, open_model
from vitripick.models.engines import load_on_engine
from vitripick.models.run import detect


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", default="4096x4096")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--repeats", type=int, default=9)
    given = parser.parse_args()
    given.files = 1
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    model = open_model(DEFAULT_MODEL)
    with tempfile.TemporaryDirectory() as folder:
        (path,) = write_files(Path(folder), given)
        image = read_micrograph(path).image
        preparation = model.card.preparation
        small_shape = preparation.working_shape(image.shape, diameter_px=DIAMETER_PX)
        micrograph = open_micrograph(path)
        small = micrograph.reduced(small_shape)
        prepared = normalise_locally(small, sigma_px=preparation.background_sigma_px)
        buffer = bytearray(1 << 20)

        def bare() -> None:
            with path.open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass

        matrix = torch.randn(2048, 2048)
        stages: dict[str, Callable[[], object]] = {
            "read: bare readinto of 1 MiB pieces": bare,
            "read whole to float32": lambda: read_micrograph(path),
            "read and average while reading": lambda: micrograph.reduced(small_shape),
            "downscale in memory: area (OpenCV)": lambda: resize(image, small_shape),
            "downscale in memory: Fourier (cosine)": lambda: resize_fourier(image, small_shape),
            "normalise": lambda: normalise_locally(small, sigma_px=preparation.background_sigma_px),
            "matmul 2048, fp32 (torch)": lambda: matrix @ matrix,
        }
        for engine, precision in (
            ("torch", "fp32"),
            ("onnxruntime", "int8"),
            ("openvino", "fp32"),
            ("openvino", "int8"),
        ):
            ready = load_on_engine(model, engine=engine, precision=precision, threads=1)  # type: ignore[arg-type]
            stages[f"network and decoding: {ready.engine}"] = lambda r=ready: detect(r.network, prepared, floor=0.05)
        took: dict[str, list[float]] = {name: [] for name in stages}
        for _ in range(given.repeats):
            for name, run in stages.items():
                started = time.perf_counter()
                run()
                took[name].append(time.perf_counter() - started)
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            load_weights(DEFAULT_MODEL).detector(torch.zeros(1, 1, *(-(-n // 16) * 16 for n in small_shape)))
        work = {"matmul 2048, fp32 (torch)": 2 * 2048**3}
        print(f"{given.shape} {given.dtype}, {small_shape[0]} x {small_shape[1]} for the network\n")
        print("| stage, one thread | ms, median (least) | GFLOP/s at the median |\n|---|---|---|")
        for name, seconds in took.items():
            flops = work.get(name, counter.get_total_flops() if name.startswith("network") else 0)
            middle = statistics.median(seconds)
            rate = f"{flops / middle / 1e9:.0f}" if flops else ""
            print(f"| {name} | {1000 * middle:.1f} ({1000 * min(seconds):.1f}) | {rate} |")


if __name__ == "__main__":
    main()
