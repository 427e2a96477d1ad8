"""The paper's own benchmark protein (Wagner et al. 2019, Table 1): KLH from 1, 2, 3 or 4 of five micrographs.

    .venv/bin/python benchmarks/paper/klh.py --data DATA/real --out OUT
    .venv/bin/python benchmarks/paper/klh.py --data DATA/real --out OUT --kinds yolo --device cuda

Each training is judged on the micrographs that it did not see; what `ignore/` lists counts neither way. With
`--views side` only side views are labels, and top views are what should be left alone. A pick above the threshold that
hits no particle counts as a rod if it lies within half a diameter of a rod's centre line, and as a stack or broken one
where it lies in a box of `ignore/`. Goes on where it stopped.
"""

from __future__ import annotations

import csv
import itertools
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # where _shared.py lies
from _shared import cell, figures, settings_from, table, usual_parser

from vitripick.evaluation import evaluate
from vitripick.formats import read_micrograph, read_picks, write_picks
from vitripick.geometry import Boxes
from vitripick.models import TorchModel, choose_device
from vitripick.models.run import for_inference
from vitripick.picking import pick
from vitripick.training import TrainingSet, default_settings, train

SET = "klh_deepcryopicker"
NAMES = [f"KLH_00{i}" for i in range(1, 6)]
DIAMETER_PX = 80.0
# Which way each labelled particle lies, in the order of its file: s from the side, t from the top; seen by eye.
VIEWS = {
    "KLH_001": 14 * "s" + 7 * "t",
    "KLH_002": 18 * "s" + 7 * "t",
    "KLH_003": 18 * "t" + 24 * "s",
    "KLH_004": 13 * "t" + 11 * "s",
    "KLH_005": 9 * "t" + 9 * "s" + "sttssss",
}
KINDS = ("heatmap", "heatmap from scratch", "yolo")
COLUMNS = [
    *("training", "views", "micrographs", "trainings", "AUC IoU 0.6", "AUC d/4", "F1 d/4", "precision", "recall"),
    *("mean IoU", "rods picked", "of ignored", "seconds"),
]


def main() -> None:
    """Train every cell that has no result yet, print the table."""
    parser = usual_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the real sets")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--views", nargs="+", default=["all", "side"], choices=["all", "side"])
    parser.add_argument("--micrographs", nargs="+", type=int, default=[1, 2, 3, 4], help="that a training gets")
    parser.add_argument("--splits", type=int, help="at most this number of trainings a line; by default every split")
    parser.add_argument("--start", default="general", help="model that `heatmap` starts from; made without KLH")
    given = parser.parse_args()
    rows = []
    for kind, views, n in itertools.product(given.kinds, given.views, given.micrographs):
        found = []
        for chosen in splits(n, given.splits):
            for seed in given.seeds:
                key = f"{kind}_{views}_{''.join(name[-1] for name in chosen)}_{seed}".replace(" ", "_")

                def compute(chosen=chosen, seed=seed, key=key, kind=kind, views=views) -> dict[str, Any]:
                    return one(kind, views, chosen, seed, given.out / "runs" / key, given)

                found.append(cell(given.out / "cells" / f"{key}.json", compute))
        rows.append([kind, views, n, len(found), *(summary(found, key) for key in SHOWN)])
        print(table(COLUMNS, rows[-1:]).splitlines()[-1], flush=True)
    print("\n" + table(COLUMNS, rows))


SHOWN = (
    *("auc_iou", "auc_distance", "f1", "precision", "recall", "mean_iou", "rods", "ignored_picked"),
    "training_seconds",
)


def splits(n: int, most: int | None) -> Iterator[tuple[str, ...]]:
    """Yield the names that train: every choice of n, or some of them spread over all."""
    every = list(itertools.combinations(NAMES, n))
    step = 1 if most is None else max(1, -(-len(every) // most))
    yield from every[::step]


def summary(found: list[dict[str, Any]], key: str) -> str:
    """Return the median, and the least and the largest where there are several."""
    values = [float(one[key] or 0.0) for one in found]
    digits = 0 if key in ("rods", "ignored_picked", "training_seconds") else 3
    middle = f"{np.median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def one(kind: str, views: str, chosen: tuple[str, ...], seed: int, run: Path, given: Any) -> dict[str, Any]:
    """Train once, and judge on the other micrographs."""
    root = given.data / SET
    for name in chosen:
        for part in ("micrographs", "labels", "ignore"):
            (run / "data" / part).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / "micrographs" / f"{name}.mrc", run / "data/micrographs" / f"{name}.mrc")
        shutil.copyfile(root / "ignore" / f"{name}.csv", run / "data/ignore" / f"{name}.csv")
        write_picks(labels_of(root, name, views), run / "data/labels" / f"{name}.csv")
    data = TrainingSet(
        micrographs=str(run / "data/micrographs"), labels=str(run / "data/labels"), ignored=str(run / "data/ignore")
    )
    start = given.start if kind == "heatmap" else None
    if start is None:
        settings = settings_from(given, "yolo" if kind == "yolo" else "heatmap", seed)
    else:
        asked = {} if given.steps is None else {"steps": given.steps}
        settings = default_settings(fine_tune=True, seed=seed, **asked)
    result = train(data, run / "run", settings=settings, start=start, device=given.device)
    return {**judged(result.model, root, views, [n for n in NAMES if n not in chosen], given.device),
            "training_seconds": round(result.seconds)}  # fmt: skip


def labels_of(root: Path, name: str, views: str) -> Boxes:
    """Return the particles of a micrograph that count: all, or those seen from the side."""
    labels = boxes_in(root / "coordinates" / f"{name}.csv")
    keep = np.array([views == "all" or letter == "s" for letter in VIEWS[name]])
    return labels.select(keep)


def boxes_in(path: Path) -> Boxes:
    """Return the boxes of one file."""
    found = read_picks(path)
    return found.renamed(f"{path.stem}.mrc")


def judged(model: TorchModel, root: Path, views: str, names: list[str], device: str) -> dict[str, Any]:
    """Return figures on some micrographs at the model's own threshold, and the rods and ignored objects picked."""
    ready = TorchModel(for_inference(model.detector, choose_device(device)), model.card, model.sha256)
    picks, labels, ignored, rods, broken = {}, {}, {}, 0, 0
    for name in names:
        micrograph = read_micrograph(root / "micrographs" / f"{name}.mrc", name=f"{name}.mrc")
        key = micrograph.name
        picks[key] = pick(micrograph, ready, threshold=0.0)
        labels[key] = labels_of(root, name, views).of(shape=micrograph.shape)
        ignored[key] = boxes_in(root / "ignore" / f"{name}.csv")
        every = boxes_in(root / "coordinates" / f"{name}.csv")
        sure = picks[key].above(model.card.threshold)
        free = sure.select(nearest(sure, np.column_stack([every.x, every.y])) > DIAMETER_PX / 4)
        rods += int((nearest(free, rod_points(root, name)) <= DIAMETER_PX / 2).sum())
        inside = np.zeros(len(free), bool)
        for x, y, w, h in zip(ignored[key].x, ignored[key].y, ignored[key].width, ignored[key].height, strict=True):
            inside |= (np.abs(free.x - x) <= w / 2) & (np.abs(free.y - y) <= h / 2)
        broken += int(inside.sum())
    found = evaluate(
        picks, labels, diameter_px=DIAMETER_PX, ignored=ignored, threshold=model.card.threshold, chance_level=False
    )
    return {**figures(found), "rods": rods, "ignored_picked": broken}


def rod_points(root: Path, name: str) -> np.ndarray:
    """Return points along the centre lines of a micrograph's rods; (0, 2) where it has none."""
    path = root / "filaments" / f"{name}.csv"
    if not path.is_file():
        return np.empty((0, 2))
    with path.open() as file:
        return np.array([(float(row["x"]), float(row["y"])) for row in csv.DictReader(file)]).reshape(-1, 2)


def nearest(boxes: Boxes, points: np.ndarray) -> np.ndarray:
    """Return the distance of each box's centre to the nearest point; infinite where there is none."""
    if not len(points):
        return np.full(len(boxes), np.inf)
    apart = np.hypot(boxes.x[:, None] - points[None, :, 0], boxes.y[:, None] - points[None, :, 1])
    return np.asarray(apart.min(axis=1)) if len(boxes) else np.empty(0)


if __name__ == "__main__":
    main()
