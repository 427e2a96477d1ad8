"""Adapting to a run without labels, `vitripick pick --adapt`: a model learns on from its own sure picks.

    .venv/bin/python benchmarks/training/adapt.py --data DATA/real --model SET=OUT/without_SET.safetensors ... --out OUT

The teacher, a model that never saw the set, picks all its micrographs; the student learnt on from the teacher's sure
picks on up to twelve of them. Both are judged against people's labels, at the threshold that a run finds from its own
scores and at the best one, the right diameter given. Goes on where it stopped.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # where _shared.py lies
from _shared import LabelledSet, cell, load_set, table, usual_parser

from vitripick.evaluation import evaluate
from vitripick.models import ModelFile, open_model, read_model_card
from vitripick.models.engines import load_on_engine
from vitripick.picking import pick
from vitripick.picking.threshold import choose_threshold
from vitripick.runs import PickSettings
from vitripick.training import adapt_to_run, default_settings

COLUMNS = [
    *("set", "learnt from", "labels made", "ignored", "threshold", "F1, teacher", "threshold", "F1, student"),
    *("gained", "best F1, teacher", "best F1, student", "AUC d/4, teacher", "AUC d/4, student", "seconds"),
]


def main() -> None:
    """Train a student on every set that has no result yet, print the table."""
    parser = usual_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the real sets")
    parser.add_argument("--model", action="append", required=True, help="SET=MODEL; repeat")
    given = parser.parse_args()
    rows = []
    for name, path in (entry.split("=", 1) for entry in given.model):
        for seed in given.seeds:
            key = f"{name}_{given.steps or 'default'}_{seed}"

            def compute(name=name, path=path, seed=seed, key=key) -> dict[str, Any]:
                return one(given.data / name, path, seed, given.out / "runs" / key, given)

            r = cell(given.out / "cells" / f"{key}.json", compute)
            teacher, student = r["teacher"], r["student"]
            rows.append(
                [name, r["micrographs"], r["labels"], r["ignored"], teacher["threshold"], teacher["f1"],
                 student["threshold"], student["f1"], student["f1"] - teacher["f1"], teacher["best_f1"],
                 student["best_f1"], teacher["auc"], student["auc"], r["seconds"]]
            )  # fmt: skip
            print(table(COLUMNS, rows[-1:]).splitlines()[-1], flush=True)
    print("\n" + table(COLUMNS, rows))


def one(folder: Path, path: str, seed: int, run: Path, given: Any) -> dict[str, Any]:
    """Adapt the model to the micrographs of a set, judge it before and after."""
    data, model, started = load_set(folder), open_model(path), time.monotonic()
    asked = {"steps": given.steps, "batch_size": given.batch_size}
    changes = {key: value for key, value in asked.items() if value is not None}
    bundle = adapt_to_run(
        [folder / "micrographs"],
        run,
        model,
        PickSettings(diameter_px=data.diameter_px, keep_diameter=True),
        train_settings=default_settings(fine_tune=True, seed=seed, **changes),
    )
    return {
        **read_model_card(bundle).training["adapted"],
        "seconds": round(time.monotonic() - started),
        "teacher": judged(model, data),
        "student": judged(open_model(bundle), data),
    }


def judged(model: ModelFile, data: LabelledSet) -> dict[str, float]:
    """Return figures at the threshold that a run finds from its own picks."""
    loaded = load_on_engine(model, engine="torch")
    found = {n: pick(m, loaded, diameter_px=data.diameter_px, threshold=0.0) for n, m in data.micrographs.items()}
    threshold = choose_threshold(list(found.values()), model.card).threshold
    labels = {name: data.labels[name].of(shape=data.micrographs[name].shape) for name in found}
    result = evaluate(
        found, labels, diameter_px=data.diameter_px, ignored=data.ignored, threshold=threshold, chance_level=False
    )
    distance = result.criteria["distance"]
    scores = {"f1": distance.default.f1, "best_f1": distance.best.f1, "auc": distance.auc}
    return {"threshold": threshold, **{key: float(value or 0.0) for key, value in scores.items()}}


if __name__ == "__main__":
    main()
