"""Where a step of training goes: drawing and augmenting with targets, forward, backward, optimiser, in fp32 and bf16.

With `--drawing N`: how fast N threads and N processes draw batches alone, and what that costs the process that trains.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # where _shared.py lies
from _shared import RECIPE, table

from vitripick.models import build_detector
from vitripick.training import default_settings, read_training_plan
from vitripick.training.batches import Batches
from vitripick.training.data import load_training_data
from vitripick.training.precision import autocast


def main() -> None:
    """Print one table: seconds, medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the real sets")
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--batch-size", type=int, help="instead of the recipe's own")
    parser.add_argument("--drawing", type=int, help="time this number of drawing threads and processes, nothing else")
    arguments = parser.parse_args()
    if arguments.drawing:
        print(drawing_alone(arguments))
        return
    sets, settings = read_training_plan(RECIPE, data_root=arguments.data)
    if arguments.batch_size:
        settings = settings.model_copy(update={"batch_size": arguments.batch_size})
    detector = build_detector("heatmap").train().to(memory_format=torch.channels_last)
    preparation = detector.default_preparation()
    data = load_training_data(sets[:1], settings, preparation)
    batches = Batches(detector, data.training, settings)
    # The same draws as a training's, without the thread that hides them behind the network.
    steps = iter(range(10**6))
    drawing = median(lambda: batches._steps[next(steps)], arguments.repeats)
    batch = next(batches.epoch(0, 1))
    images = batch.images.contiguous(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(detector.parameters())
    columns = {}
    for precision in ("fp32", "bf16"):
        times: list[tuple[float, float, float]] = []
        for _ in range(arguments.repeats):
            started = time.perf_counter()
            with autocast(precision, torch.device("cpu")):
                raw = detector(images)
            loss = torch.stack(list(detector.loss(raw.float(), batch.targets, batch.weight).values())).sum()
            forward = time.perf_counter()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            backward = time.perf_counter()
            optimiser.step()
            times.append((forward - started, backward - forward, time.perf_counter() - backward))
        columns[precision] = [drawing, *(statistics.median(column) for column in zip(*times, strict=True))]
    names = ["draw, augment and targets", "forward and loss", "backward", "optimiser"]
    print(table(["stage", "fp32, s", "bf16, s"], [list(row) for row in zip(names, *columns.values(), strict=True)]))


def drawing_alone(arguments: argparse.Namespace) -> str:
    """Print one table: a step's batch drawn by threads and by processes, with no network beside them."""
    sets, _ = read_training_plan(RECIPE, data_root=arguments.data)
    rows = []
    for architecture in ("heatmap", "yolo"):
        settings, detector = default_settings(architecture), build_detector(architecture)
        preparation = detector.default_preparation()
        samples = load_training_data(sets[:1], settings, preparation).training
        for n_workers, by in ((1, "threads"), (arguments.drawing, "threads"), (arguments.drawing, "processes")):
            batches = Batches(detector, samples, settings, n_workers=n_workers)
            draw = batches._from_threads if by == "threads" else batches._from_processes
            n_steps = 4 * arguments.repeats
            started, used = time.perf_counter(), time.process_time()
            for _ in draw(0, n_steps):
                pass
            used, took = time.process_time() - used, time.perf_counter() - started
            rows.append([architecture, f"{n_workers} {by}", 1e3 * took / n_steps, 1e3 * used / n_steps])
    return table(["batches of", "drawn by", "ms per step", "CPU of the training process, ms per step"], rows)


def median(call: Callable[[], object], repeats: int) -> float:
    """Return the median in seconds."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


if __name__ == "__main__":
    main()
