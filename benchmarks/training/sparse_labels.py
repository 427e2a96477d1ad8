"""The same training micrographs with a share of their labels, and four ways to treat what is not labelled.

Labels of training *and* validation micrographs are thinned alike, with a fixed seed; judged on micrographs that no
training saw, with all their labels.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # where _shared.py lies
from _shared import RECIPE, cell, settings_from, simulate, table, train_and_judge, usual_parser

from vitripick.formats import find_micrographs, pair_labels, read_all_picks, write_picks
from vitripick.training import TrainingSet, read_training_plan

TREATMENTS = ("background", "lighter", "ignore", "teach")
COLUMNS = [
    "labels",
    "unlabelled",
    "weight",
    "n labels",
    "AUC IoU 0.6",
    "AUC d/4",
    "F1 default",
    "recall",
    "precision",
    "best F1",
]


def main() -> None:
    """Train every cell that has no result yet, print the table."""
    parser = usual_parser(__doc__)
    parser.add_argument("--data", type=Path, help="real sets; judged where the bundled model's recipe says")
    parser.add_argument("--set", type=int, default=0, help="which set of that recipe: 0 (10146) or 1 (10017)")
    parser.add_argument("--simulated", action="store_true", help="10 simulated micrographs instead, judged on 5 more")
    parser.add_argument("--level", type=int, default=4, help="of noise in the simulated micrographs")
    parser.add_argument("--architecture", default="heatmap")
    parser.add_argument("--percent", type=int, nargs="+", default=[100, 50, 20, 5])
    parser.add_argument("--treatments", nargs="+", default=list(TREATMENTS), choices=TREATMENTS)
    parser.add_argument("--unlabelled-weight", type=float, default=0.2, help="of background, but for 'background'")
    arguments = parser.parse_args()
    full, judged, names = _sets(arguments)
    rows = []
    for percent in arguments.percent:
        for treatment in arguments.treatments:
            for seed in arguments.seeds:
                labels = str(_thin(full, percent, arguments.out))
                # Micrographs kept for judging get no thinned labels at all.
                entry = full.model_copy(update={"labels": labels, "leave_out": ()})
                weight = 1.0 if treatment == "background" else arguments.unlabelled_weight
                changes = {"unlabelled": treatment, "unlabelled_weight": weight}
                settings = settings_from(arguments, arguments.architecture, seed, **changes)
                name = f"{arguments.architecture}_{percent}_{treatment}{weight:g}_{seed}"

                def compute(entry=entry, settings=settings, name=name):
                    return train_and_judge(
                        entry, judged, names, arguments.out / "runs" / name, settings, device=arguments.device
                    )

                r = cell(arguments.out / "cells" / f"{name}.json", compute)
                n = sum(len(boxes) for boxes in read_all_picks(entry.labels))
                rows.append(
                    [f"{percent} %", treatment, weight, n]
                    + [r[k] for k in ("auc_iou", "auc_distance", "f1", "recall", "precision", "best_f1")]
                )
                print(table(COLUMNS, rows[-1:]).splitlines()[-1], flush=True)
    print("\n" + table(COLUMNS, rows))


def _sets(arguments: argparse.Namespace) -> tuple[TrainingSet, TrainingSet, tuple[str, ...]]:
    """Return what to train on, what to judge, and the names to judge there (none: all)."""
    if not arguments.simulated:
        entry = read_training_plan(RECIPE, data_root=arguments.data)[0][arguments.set]
        return entry, entry, entry.leave_out
    one, two = (
        simulate(arguments.out / "sets" / part, n=n, seed=seed, recipe="paper", noise__level=arguments.level)
        for part, n, seed in (("train", 10, 1), ("judge", 5, 2))
    )
    return one, two, ()


def _thin(entry: TrainingSet, percent: int, out: Path) -> Path:
    """Make a folder with a share of each micrograph's labels, at least one; drawn once and for all."""
    folder = out / "labels" / f"{percent}"
    files = find_micrographs([entry.micrographs])
    pairs = pair_labels([file.name for file in files], read_all_picks(entry.labels)).pairs
    for i, (name, boxes) in enumerate(sorted(pairs.items())):
        path = folder / f"{Path(name).stem}.csv"
        if Path(name).stem in entry.leave_out or path.is_file():
            continue
        order = np.random.default_rng([percent, i]).permutation(len(boxes))
        keep = max(1, round(len(boxes) * percent / 100)) if len(boxes) else 0
        write_picks(boxes.select(np.sort(order[:keep])), path)
    return folder


if __name__ == "__main__":
    main()
