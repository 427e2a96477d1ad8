"""Make the bundled model `filaments` from simulated fields alone: simulate for a while, train for a while, save.

Needs only vitripick with torch. No real micrograph is used.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from vitripick.images import Preparation
from vitripick.models import load_weights
from vitripick.models.card import ModelCard
from vitripick.models.filament_bundle import FilamentModel, load_filament_model, save_filament_model
from vitripick.models.filament_network import FilamentNetwork, filament_loss, filament_targets
from vitripick.simulation import bundled_structures, load_scene_recipe, read_structure
from vitripick.simulation.filaments import BACKGROUND_WIDTHS, simulate_filament_crops
from vitripick.training.filaments import fit_filaments

WORKING_WIDTH_PX = 12.0
CROP_PX = 160
STRIDE = 4
CHUNK = 32
# How many fields hold no filament, only what could be taken for one.
EMPTY_CHANCE = 0.15
# Of the other stream of fields, for judging.
HELD_OUT_SEED = 1_000_003
# Wide draws, but for filaments a little dirtier than the recipe has it; contrast as for particles.
CHANGES = (
    "contamination.chance=0.6",
    "contamination.ice_balls=[0, 8]",
    "contamination.support_edge_chance=0.15",
    "contamination.stacks=[0.0, 0.2]",
    "exposure.scan_lines_chance=0.25",
)


def simulate(job: tuple[int, int, int, float, str]) -> int:
    """Write chunks of samples until the time is up or enough are there; return how many samples there are."""
    worker, n_workers, seed, until, folder = job
    cv2.setNumThreads(1)
    recipe = load_scene_recipe("general", changes=CHANGES)
    structures = [read_structure(path) for path in bundled_structures().values()]
    structures = [one for one in structures if one.diameter_angstrom < 350]
    crops = simulate_filament_crops(
        recipe,
        structures,
        working_width_px=WORKING_WIDTH_PX,
        crop_px=CROP_PX,
        empty_chance=EMPTY_CHANCE,
        seed=seed,
        first=worker,
        step=n_workers,
    )
    n = 0
    while n == 0 or time.time() < until:
        some = list(itertools.islice(crops, CHUNK))
        images = np.stack([crop.image for crop in some]).astype(np.float16)
        shape = (CROP_PX, CROP_PX)
        targets = np.stack(
            [filament_targets(c.filaments, shape, stride=STRIDE, working_width_px=WORKING_WIDTH_PX) for c in some]
        ).astype(np.float16)
        np.save(f"{folder}/{seed}_{worker:03d}_{n:05d}_i.npy", images)
        np.save(f"{folder}/{seed}_{worker:03d}_{n:05d}_t.npy", targets)
        n += len(some)
    return n


def gather(folder: str, seed: int) -> tuple[Tensor, Tensor]:
    """Return all samples of a folder: images (n, 1, p, p) and targets (n, 8, p / 2, p / 2), half precision."""
    images = [np.load(path) for path in sorted(Path(folder).glob(f"{seed}_*_i.npy"))]
    targets = [np.load(path) for path in sorted(Path(folder).glob(f"{seed}_*_t.npy"))]
    return torch.from_numpy(np.concatenate(images))[:, None], torch.from_numpy(np.concatenate(targets))


def batches(images: Tensor, targets: Tensor, n: int, seed: int) -> Iterator[tuple[Tensor, Tensor, None]]:
    """Yield batches in a new order each time round."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(images), generator=generator).to(images.device)
        for first in range(0, max(len(order) - n + 1, 1), n):
            chosen = order[first : first + n]
            yield images[chosen], targets[chosen], None


@torch.inference_mode()
def judged(network: FilamentNetwork, images: Tensor, targets: Tensor) -> dict[str, float]:
    """Return the mean parts of the loss on held-out fields, and the median error of direction in degrees."""
    parts: dict[str, list[float]] = {}
    errors = []
    for first in range(0, len(images), 16):
        raw = network(images[first : first + 16].float())
        wanted = targets[first : first + 16].float()
        for name, value in filament_loss(raw, wanted).items():
            parts.setdefault(name, []).append(float(value))
        clear = wanted[:, 7] > 0
        turned = torch.atan2(raw[:, 4], raw[:, 3]) - torch.atan2(wanted[:, 4], wanted[:, 3])
        turned = torch.remainder(turned + np.pi, 2 * np.pi) - np.pi
        errors.append((turned.abs() / 2)[clear])
    result = {name: round(float(np.mean(values)), 4) for name, values in parts.items()}
    return result | {"direction_degrees": round(float(torch.cat(errors).median().rad2deg()), 3)}


def start_from(network: FilamentNetwork, name: str) -> None:
    """Take over the trunk of a model of particles; the head stays fresh."""
    weights = load_weights(name).detector.state_dict()
    trunk = {key: value for key, value in weights.items() if not key.startswith("head.1.")}
    missing, unexpected = network.trunk.load_state_dict(trunk, strict=False)
    if unexpected or any(not key.startswith("head.1.") for key in missing):
        raise SystemExit(f"{name}: the trunk of this model does not fit")


def main() -> None:
    """Simulate, train, judge, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the model bundle to write")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that simulate")
    parser.add_argument("--data-seconds", type=float, default=70)
    parser.add_argument("--train-seconds", type=float, default=110)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--width", type=int, default=32, help="channels of the first layer")
    parser.add_argument("--start", help="model of particles whose trunk is the start")
    parser.add_argument("--go-on", help="model of filaments to go on from, with fields of another seed")
    parser.add_argument("--bf16", action="store_true", help="compute in bfloat16 on the CPU, too")
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")  # for the processes that simulate
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory(dir="/dev/shm" if device.type == "cuda" else None) as folder:
        began = time.time()
        jobs = [(i, given.workers, given.seed, began + given.data_seconds, folder) for i in range(given.workers)]
        jobs += [(i, 4, HELD_OUT_SEED, 0.0, folder) for i in range(4)]
        with multiprocessing.get_context("spawn").Pool(given.workers) as pool:
            n = sum(pool.imap_unordered(simulate, jobs, chunksize=1))
        images, targets = gather(folder, given.seed)
        held_out = gather(folder, HELD_OUT_SEED)
    print(f"[{time.time() - began:.0f} s] {n} fields", flush=True)
    if device.type == "cuda":
        images, targets = images.to(device), targets.to(device)
    else:
        torch.set_num_threads(max(1, given.workers))
    torch.manual_seed(given.seed)
    network = FilamentNetwork(width=given.width, stride=STRIDE, working_width_px=WORKING_WIDTH_PX)
    if given.start:
        start_from(network, given.start)
    if given.go_on:
        network.load_state_dict(load_filament_model(given.go_on).network.state_dict())
    last = 0

    def tell(step: int, parts: dict[str, float]) -> None:
        nonlocal last
        last = step
        if step % 100 == 0:
            text = ", ".join(f"{name} {value:.3f}" for name, value in parts.items())
            print(f"[{time.time() - began:.0f} s] step {step}: {text}", flush=True)

    trained = fit_filaments(
        network,
        batches(images, targets, given.batch, given.seed),
        device=device,
        seconds=given.train_seconds,
        bf16=given.bf16,
        learning_rate=given.learning_rate,
        seed=given.seed,
        on_step=tell,
    )
    report = judged(trained, *held_out)
    print(f"[{time.time() - began:.0f} s] held-out fields: {report}", flush=True)
    card = ModelCard(
        name="filaments",
        description="Filaments of many kinds, simulated. Give the width.",
        licence="CC-BY-4.0",
        architecture="filaments",
        options={"width": given.width, "stride": STRIDE, "working_width_px": WORKING_WIDTH_PX},
        preparation=Preparation(
            scale_by="particle", working_diameter_px=WORKING_WIDTH_PX, background_diameters=BACKGROUND_WIDTHS
        ),
        threshold=0.6,
        training={"fields": n, "steps": last + 1, "seed": given.seed, "from": given.go_on, "held_out": report},
    )
    save_filament_model(FilamentModel(trained, card), given.out)


if __name__ == "__main__":
    main()
