"""Engines against torch: picks and AUC on the held-out real micrographs, and the time of the network.

.venv/bin/python benchmarks/speed/engines.py --data DATA          # general on every engine
.venv/bin/python benchmarks/speed/engines.py --model M --set SET    # a model on SET/micrographs and SET/labels
.venv/bin/python benchmarks/speed/engines.py --speed yolo         # the paper's network, untrained, at 1024 x 1024
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # where _shared.py lies
from _shared import judge, load_sets

from vitripick.evaluation import evaluate
from vitripick.formats import find_micrographs, pair_labels, read_all_picks, read_micrograph
from vitripick.geometry import match
from vitripick.models import DEFAULT_MODEL, ModelCard, TorchModel, build_detector, open_model, save_model
from vitripick.models.engines import EngineModel, load_on_engine
from vitripick.models.run import detect
from vitripick.picking import pick

ENGINES = [
    ("torch", "fp32"),
    ("onnxruntime", "fp32"),
    ("openvino", "fp32"),
    ("onnxruntime", "int8"),
    ("openvino", "int8"),
]


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--model", help="with --set: a bundle that was trained on one particle")
    parser.add_argument("--set", type=Path, help="folder with micrographs/ and labels/")
    parser.add_argument("--speed", help="an architecture, with random weights")
    parser.add_argument("--engines", nargs="+", default=list(dict(ENGINES)), help="beside torch, with --data")
    given = parser.parse_args()
    if given.data:
        agreement(given.data, {"torch", *given.engines})
    if given.model and given.set:
        on_set(given.model, given.set)
    if given.speed:
        with tempfile.TemporaryDirectory() as folder:
            speed(given.speed, Path(folder))


def on_set(name: str, folder: Path) -> None:
    """Print AUC and F1 of a model on one labelled set, engine by engine."""
    model = open_model(name)
    files = {file.name: file for file in find_micrographs([folder / "micrographs"])}
    pairs = pair_labels(list(files), read_all_picks(folder / "labels")).pairs
    micrographs = {key: read_micrograph(files[key].path, name=key) for key in pairs}
    labels = {key: pairs[key].of(shape=micrographs[key].shape) for key in pairs}
    print("| engine | AUC IoU 0.6 | AUC d/4 | F1 d/4 |\n|---|---|---|---|")
    for engine, precision in ENGINES:
        ready = load_on_engine(model, engine=engine, precision=precision)  # type: ignore[arg-type]
        picks = {key: pick(micrograph, ready, threshold=0) for key, micrograph in micrographs.items()}
        e = evaluate(picks, labels, diameter_px=model.card.diameter_px, threshold=model.card.threshold, n_bootstrap=0)
        iou, distance = e.criteria["iou"], e.criteria["distance"]
        print(f"| {ready.engine} | {iou.auc:.4f} | {distance.auc:.4f} | {distance.default.f1:.4f} |", flush=True)


def agreement(data: Path, engines: set[str]) -> None:
    """Return F1 of each engine's picks, torch's being the labels (within d/10), and AUC against real labels."""
    model = open_model(DEFAULT_MODEL)
    readies = [load_on_engine(model, engine=e, precision=p) for e, p in ENGINES if e in engines]  # type: ignore[arg-type]
    print("| set | engine | F1 with torch | F1 d/4 | AUC d/4 | AUC IoU 0.6 |\n|---|---|---|---|---|---|")
    for one in load_sets(data):
        reference = None
        for ready in readies:
            threshold = model.card.threshold
            picks = {
                n: pick(one.micrographs[n], ready, diameter_px=one.diameter_px).above(threshold) for n in one.held_out
            }
            reference = reference or picks
            same = sum(
                int((match(picks[n], reference[n], criterion="distance", distance_px=one.diameter_px / 10) >= 0).sum())
                for n in one.held_out
            )
            f1 = 2 * same / sum(len(picks[n]) + len(reference[n]) for n in one.held_out)
            e = judge(
                one,
                one.held_out,
                lambda m, d, ready=ready: pick(m, ready, diameter_px=d, threshold=0),
                threshold=threshold,
            )
            d, iou = e.criteria["distance"], e.criteria["iou"]
            print(
                f"| {one.name} | {ready.engine} | {f1:.4f} | {d.default.f1:.4f} | {d.auc:.4f} | {iou.auc:.4f} |",
                flush=True,
            )


def speed(architecture: str, folder: Path) -> None:
    """Return milliseconds of one image on all cores, each engine in turn so that a busy machine is shared fairly."""
    torch.manual_seed(0)
    detector = build_detector(architecture).eval()
    preparation = detector.default_preparation()
    save_model(
        TorchModel(detector, ModelCard(name=architecture, architecture=architecture, preparation=preparation)),
        folder / "m.safetensors",
    )
    model = open_model(folder / "m.safetensors")
    image = np.random.default_rng(0).standard_normal((1024, 1024)).astype(np.float32)
    readies: list[EngineModel] = []
    for engine, precision in ENGINES:
        started = time.perf_counter()
        readies.append(load_on_engine(model, engine=engine, precision=precision))  # type: ignore[arg-type]
        detect(readies[-1].network, image, floor=0.05)
        print(f"{readies[-1].engine}: ready after {time.perf_counter() - started:.1f} s", flush=True)
    took: dict[str, list[float]] = {ready.engine: [] for ready in readies}
    for _ in range(5):
        for ready in readies:
            started = time.perf_counter()
            detect(ready.network, image, floor=0.05)
            took[ready.engine].append(time.perf_counter() - started)
    print("| engine | ms, median of 5 (least) | times torch |\n|---|---|---|")
    slowest = statistics.median(took[readies[0].engine])
    for engine, seconds in took.items():
        middle = statistics.median(seconds)
        print(f"| {engine} | {1000 * middle:.0f} ({1000 * min(seconds):.0f}) | {slowest / middle:.1f} |")


if __name__ == "__main__":
    main()
