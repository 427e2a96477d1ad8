"""One labelled micrograph, at most a hundred labels: from a model that never saw the protein, and from scratch.

Where the micrograph holds more, a strip along its left edge is labelled and the rest of it is not used. Judged on all
other micrographs of the set with all their labels. `--start SET=PATH` gives the model of one set.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # where _shared.py lies
from _shared import DIAMETERS_PX, cell, figures, judge_model, table, usual_parser

from vitripick.formats import pair_labels, read_all_picks, read_micrograph, write_mrc, write_picks
from vitripick.models import DEFAULT_MODEL
from vitripick.training import TrainingSet, default_settings, train

COLUMNS = [
    *(
        "set",
        "start",
        "labels",
        "seed",
        "AUC IoU 0.6",
        "AUC d/4",
        "F1 default",
        "recall",
        "best F1",
        "mean IoU",
        "seconds",
    ),
]


def main() -> None:
    """Train every cell that has no result yet, print the table."""
    parser = usual_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--start", action="append", default=[], help="a model, or SET=MODEL for one set; repeat")
    parser.add_argument("--sets", nargs="*", default=list(DIAMETERS_PX), choices=list(DIAMETERS_PX))
    parser.add_argument("--labels", type=int, default=100, help="at most this number of labels")
    parser.add_argument("--no-scratch", action="store_true", help="leave out the trainings from scratch")
    arguments = parser.parse_args()
    starts = dict(given.split("=", 1) if "=" in given else ("", given) for given in arguments.start)
    rows = []
    for name in arguments.sets:
        own = starts.get(name) or starts.get("") or DEFAULT_MODEL
        for kind, start in (("model", own), *(() if arguments.no_scratch else (("scratch", None),))):
            for seed in arguments.seeds:
                key = f"{name}_{kind}_{arguments.labels}_{seed}"

                def compute(name=name, start=start, seed=seed, key=key):
                    return _one(name, start, seed, key, arguments)

                r = cell(arguments.out / "cells" / f"{key}.json", compute)
                keys = ("auc_iou", "auc_distance", "f1", "recall", "best_f1", "mean_iou")
                rows.append([name, kind, r["labels"], seed, *(r[k] for k in keys), round(r["training_seconds"])])
                print(table(COLUMNS, rows[-1:]).splitlines()[-1], flush=True)
    print("\n" + table(COLUMNS, rows))


def _one(name, start, seed, key, arguments):
    root = arguments.data / name
    everything = TrainingSet(micrographs=str(root / "micrographs"), labels=str(root / "coordinates"))
    pairs = pair_labels(
        [path.name for path in sorted((root / "micrographs").glob("*.mrc"))], read_all_picks(everything.labels)
    ).pairs
    first, *others = sorted(pairs)
    labels = pairs[first]
    micrograph = read_micrograph(root / "micrographs" / first, name=first)
    width = micrograph.shape[1]
    if len(labels) > arguments.labels:
        width = int(np.sort(labels.x)[arguments.labels])
    chosen = labels.x < width
    folder = arguments.out / "labelled" / key
    write_mrc(folder / "micrographs" / first, np.ascontiguousarray(micrograph.image[:, :width]))
    write_picks(labels.select(chosen), folder / "labels" / f"{Path(first).stem}.csv")
    asked = {"steps": arguments.steps, "batch_size": arguments.batch_size}
    changes = {key: value for key, value in asked.items() if value is not None}
    result = train(
        TrainingSet(micrographs=str(folder / "micrographs"), labels=str(folder / "labels")),
        arguments.out / "runs" / key,
        settings=default_settings(fine_tune=start is not None, seed=seed, **changes),
        start=start,
        device=arguments.device,
    )
    stems = tuple(Path(other).stem for other in others)
    evaluation, _ = judge_model(result.model, everything, stems, device=arguments.device)
    return {**figures(evaluation), "training_seconds": result.seconds, "labels": int(chosen.sum())}


if __name__ == "__main__":
    main()
