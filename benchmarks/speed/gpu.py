"""How fast a GPU works, in about a minute: networks alone, picking from files to files, and training steps.

    .venv/bin/python benchmarks/speed/gpu.py
    .venv/bin/python benchmarks/speed/gpu.py --parts pick --files 2000 --jobs 16 24

Each part takes a share of `--seconds` and stops when that is over, so a slow machine gives fewer repeats and no wait.
Files lie in memory (`/dev/shm`, where it is large enough). Rows are printed as they come.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from _example import example_image

from vitripick.cores import usable_cores
from vitripick.formats import find_micrographs, write_mrc
from vitripick.models import DEFAULT_MODEL, build_detector, load_weights, open_model
from vitripick.models.run import for_inference
from vitripick.runs.run import Machine, Run
from vitripick.settings.pick import PickSettings
from vitripick.settings.train import TrainingSet
from vitripick.training import default_settings
from vitripick.training.batches import Batches
from vitripick.training.data import load_training_data
from vitripick.training.precision import autocast, training_precision

EXAMPLES = Path(__file__).parents[2] / "examples"
# 150 Å at 1.2 Å a pixel.
DIAMETER_PX = 125.0
PARTS = ("network", "pick", "train")
SHARES = {"network": 0.25, "pick": 0.4, "train": 0.35}


def main() -> None:
    """Print the rows of each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=50.0, help="for all parts together, start not included")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--shape", default="4096x4096", help="rows x columns of the micrographs")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--files", type=int, default=1500, help="most micrographs to pick, links to eight files")
    parser.add_argument("--jobs", type=int, nargs="+", help="micrographs at once; by default what `pick` takes")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 16], help="images a batch of the network")
    parser.add_argument("--architectures", nargs="+", default=["heatmap", "yolo", "inception_resnet"])
    given = parser.parse_args()
    device = torch.device(given.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"
    print(f"torch {torch.__version__} on {name}, {usable_cores()} cores\n", flush=True)
    share = {part: SHARES[part] * given.seconds / sum(SHARES[one] for one in given.parts) for part in given.parts}
    if "network" in share:
        networks(device, given, share["network"])
    if "pick" in share:
        picking(given, share["pick"])
    if "train" in share:
        training(device, given, share["train"])


def networks(device: torch.device, given: argparse.Namespace, seconds: float) -> None:
    """Print images a second that are on the device already, at the size that a micrograph has for the network."""
    print("| network alone | image | precision | images a batch | images a second |\n|" + "---|" * 5)
    general = load_weights(DEFAULT_MODEL)
    rows, columns = map(int, given.shape.split("x"))
    working = general.card.preparation.working_shape((rows, columns), diameter_px=DIAMETER_PX)
    detectors = {DEFAULT_MODEL: (general.detector, working), "yolo, untrained": (build_detector("yolo"), (1024, 1024))}
    precisions = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if device.type == "cpu":
        precisions = {"fp32": torch.float32}
    each = seconds / (len(detectors) * len(precisions) * len(given.batches))
    for name, (detector, shape) in detectors.items():
        ready = for_inference(detector.eval(), device)
        padded = tuple(-(-side // detector.pad_to) * detector.pad_to for side in shape)
        for precision, kind in precisions.items():
            ready = ready.to(dtype=kind)
            for batch in given.batches:
                images = torch.randn(batch, 1, *padded, device=device, dtype=kind)
                images = images.contiguous(memory_format=torch.channels_last)
                with torch.inference_mode():
                    rate = batch * a_second(lambda ready=ready, images=images: ready(images), device, each)
                print(f"| {name} | {padded[0]} x {padded[1]} | {precision} | {batch} | {rate:.0f} |", flush=True)
    print()


def picking(given: argparse.Namespace, seconds: float) -> None:
    """Print micrographs a second from files to files, the model on the device already."""
    print("| micrographs at once | micrographs | a second, sustained | read, prepare, network, decode, write: ms |\n"
          "|" + "---|" * 4)  # fmt: skip
    image = example_image(given.shape)
    with tempfile.TemporaryDirectory(dir=_in_memory(8 * image.nbytes)) as folder:
        links = Path(folder, "links")
        links.mkdir()
        for i in range(8):
            write_mrc(Path(folder, f"f{i}.mrc"), np.roll(image, 517 * i, (0, 1)), pixel_size=1.2, dtype=given.dtype)
        for i in range(given.files):
            (links / f"m{i:05d}.mrc").symlink_to(Path(folder, f"f{i % 8}.mrc"))
        settings = PickSettings(diameter_px=DIAMETER_PX, keep_diameter=True, threshold=0.4)
        tried = given.jobs or [None]
        for number, jobs in enumerate(tried):
            machine = Machine((given.device,), jobs)
            out = Path(folder, f"out{number}")
            with Run(find_micrographs([links]), out, open_model(DEFAULT_MODEL), settings, machine=machine) as run:
                until = time.monotonic() + seconds / len(tried)
                run.pick(stop=lambda until=until: time.monotonic() > until)
                summary = run.summary()
            print(pick_row(out, summary.jobs), flush=True)
    print()


def pick_row(out: Path, jobs: int) -> str:
    """Return one row, from what the run's log says about each micrograph."""
    lines = [json.loads(line) for path in (out / "log").glob("*.jsonl") for line in path.read_text().splitlines()]
    done = sorted((line for line in lines if "micrograph" in line), key=lambda line: line["at"])
    # The first ones wait for the model and the device's libraries.
    skip = min(4 * jobs, len(done) // 2)
    kept = done[skip:]
    rate = (len(kept) - 1) / max(1e-9, kept[-1]["at"] - kept[0]["at"]) if len(kept) > 1 else float("nan")
    stages = ("read", "prepare", "network", "decode", "write")
    medians = [1e3 * statistics.median(line["timings"].get(stage, 0.0) for line in kept) for stage in stages]
    return f"| {jobs} | {len(done)} | **{rate:.1f}** | {', '.join(f'{ms:.1f}' for ms in medians)} |"


def training(device: torch.device, given: argparse.Namespace, seconds: float) -> None:
    """Print steps a second of each network with the loader, and with one batch again and again."""
    print("| training | crops per step | steps a second | the same batch again | precision |\n|" + "---|" * 5)
    one = TrainingSet(
        micrographs=str(EXAMPLES / "apoferritin/micrographs"), labels=str(EXAMPLES / "apoferritin/labels")
    )
    n_workers = 0 if device.type == "cpu" else min(8, usable_cores() - 1)
    for architecture in given.architectures:
        settings, detector = default_settings(architecture), build_detector(architecture)
        data = load_training_data([one], settings, detector.default_preparation())
        detector.train().to(device=device, memory_format=torch.channels_last)
        optimiser = torch.optim.AdamW(detector.parameters(), lr=1e-5)
        precision = training_precision(settings.precision, device, architecture)
        batches = Batches(detector, data.training, settings, n_workers=n_workers)

        def step(batch, detector=detector, optimiser=optimiser, precision=precision) -> None:  # type: ignore[no-untyped-def]
            images = batch.images.to(device).contiguous(memory_format=torch.channels_last)
            with autocast(precision, device):
                raw = detector(images)
            parts = detector.loss(raw.float(), batch.targets.to(device), batch.weight.to(device))
            optimiser.zero_grad(set_to_none=True)
            torch.stack(list(parts.values())).sum().backward()
            optimiser.step()

        drawn = batches.epoch(0, 10**6)
        first = next(drawn)
        share = seconds / len(given.architectures) / 2
        again = a_second(lambda first=first, step=step: step(first), device, share)
        loaded = a_second(lambda drawn=drawn, step=step: step(next(drawn)), device, share)
        drawn.close()  # type: ignore[attr-defined]
        print(f"| {architecture} | {settings.batch_size} | {loaded:.1f} | {again:.1f} | {precision} |", flush=True)


def a_second(call: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Return calls a second, over about `seconds`, the first two calls left out."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    until = time.perf_counter() + seconds
    for _ in range(2):
        call()
    wait()
    started, n = time.perf_counter(), 0
    while not n or time.perf_counter() < until:
        # Without a wait now and then, the queue of the device would grow far beyond the time.
        for _ in range(4):
            call()
            n += 1
        wait()
    return n / (time.perf_counter() - started)


def _in_memory(n_bytes: int) -> str | None:
    """Return a folder in memory if one of that size is there, else None: the usual place of temporary files."""
    try:
        room = os.statvfs("/dev/shm")
    except OSError:
        return None
    return "/dev/shm" if room.f_bavail * room.f_frsize > 2 * n_bytes else None


if __name__ == "__main__":
    main()
