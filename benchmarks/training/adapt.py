"""Adapting to a run without labels: a model learns on from its own sure picks, on the micrographs it is to pick.

    .venv/bin/python benchmarks/training/adapt.py --data DATA/real --model SET=OUT/without_SET.safetensors ... --out OUT

The teacher, a model that never saw the set, picks. From confidence `--sure` on its picks are labels; from `--ground` to
there they are ignored, and whatever is left is background. The student starts from the teacher, trains on that, keeps
the teacher's calibration, and picks the same micrographs (students of noisy labels: Xie et al. 2020). Both are judged
against people's labels, at the threshold that a run finds from its own scores. Goes on where it stopped.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # where _shared.py lies
from _shared import LabelledSet, cell, load_set, table, usual_parser

from vitripick.evaluation import Evaluation, evaluate
from vitripick.formats import write_mrc, write_picks
from vitripick.geometry import Boxes
from vitripick.models import TorchModel, load_weights
from vitripick.models.run import for_inference
from vitripick.picking import pick
from vitripick.picking.threshold import choose_threshold
from vitripick.training import TrainingSet, default_settings, train

COLUMNS = [
    *("set", "labels made", "ignored", "of labels right", "threshold", "F1, teacher", "threshold", "F1, student"),
    *("gained", "best F1, teacher", "best F1, student", "AUC d/4, teacher", "AUC d/4, student", "seconds"),
]


def main() -> None:
    """Adapt to every set that has no result yet, print the table."""
    parser = usual_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the real sets")
    parser.add_argument("--model", action="append", required=True, help="SET=MODEL; repeat")
    parser.add_argument("--sure", type=float, default=0.8, help="picks from here on are labels")
    parser.add_argument("--ground", type=float, default=0.1, help="where no pick reaches this, there is background")
    given = parser.parse_args()
    rows = []
    for name, path in (entry.split("=", 1) for entry in given.model):
        for seed in given.seeds:
            key = f"{name}_{given.sure:g}_{given.ground:g}_{given.steps or 'default'}_{seed}"

            def compute(name=name, path=path, seed=seed, key=key) -> dict[str, Any]:
                return one(load_set(given.data / name), load_weights(path), seed, given.out / "runs" / key, given)

            r = cell(given.out / "cells" / f"{key}.json", compute)
            teacher, student = r["teacher"], r["student"]
            rows.append(
                [name, r["n_labels"], r["n_ignored"], r["right"], teacher["threshold"], teacher["f1"],
                 student["threshold"], student["f1"], student["f1"] - teacher["f1"], teacher["best_f1"],
                 student["best_f1"], teacher["auc"], student["auc"], r["seconds"]]
            )  # fmt: skip
            print(table(COLUMNS, rows[-1:]).splitlines()[-1], flush=True)
    print("\n" + table(COLUMNS, rows))


def one(data: LabelledSet, teacher: TorchModel, seed: int, run: Path, given: Any) -> dict[str, Any]:
    """Make labels of the teacher's picks, train the student, judge both."""
    found = picks_of(teacher, data)
    right, n_labels, n_ignored = 0.0, 0, 0
    for name, micrograph in data.micrographs.items():
        stem = Path(name).stem
        sure = found[name].above(given.sure)
        between = found[name].above(given.ground).select(found[name].above(given.ground).confidence < given.sure)
        write_mrc(run / "data/micrographs" / f"{stem}.mrc", micrograph.image)
        for folder, boxes in (("labels", sure), ("ignored", between)):
            write_picks(at(boxes, data.diameter_px, f"{stem}.mrc"), run / "data" / folder / f"{stem}.csv")
        right += (judged_at(0.0, data, {name: sure}).criteria["distance"].default.precision or 0.0) * len(sure)
        n_labels, n_ignored = n_labels + len(sure), n_ignored + len(between)
    entry = TrainingSet(
        micrographs=str(run / "data/micrographs"), labels=str(run / "data/labels"), ignored=str(run / "data/ignored")
    )
    asked = {"steps": given.steps, "batch_size": given.batch_size}
    changes = {key: value for key, value in asked.items() if value is not None}
    settings = default_settings(fine_tune=True, seed=seed, **changes)
    result = train(entry, run / "run", settings=settings, start=teacher, device=given.device)
    card = result.model.card.model_copy(update={"calibration": teacher.card.calibration})
    student = TorchModel(result.model.detector, card, result.model.sha256)
    return {
        "n_labels": n_labels,
        "n_ignored": n_ignored,
        "right": right / max(n_labels, 1),
        "teacher": judged(teacher, data, found),
        "student": judged(student, data, picks_of(student, data)),
        "seconds": round(result.seconds),
    }


def picks_of(model: TorchModel, data: LabelledSet) -> dict[str, Boxes]:
    """Return all picks of each micrograph, at the diameter of the set."""
    ready = TorchModel(for_inference(model.detector), model.card, model.sha256)
    return {
        name: pick(micrograph, ready, diameter_px=data.diameter_px, threshold=0.0)
        for name, micrograph in data.micrographs.items()
    }


def at(boxes: Boxes, size_px: float, micrograph: str) -> Boxes:
    """Return labels of one size at the places of picks."""
    if not len(boxes):
        return Boxes.empty()
    return Boxes.at(boxes.x, boxes.y, size_px=size_px, micrograph=micrograph)


def judged(model: TorchModel, data: LabelledSet, found: dict[str, Boxes]) -> dict[str, float]:
    """Return figures at the threshold that a run finds from these picks."""
    threshold = choose_threshold(list(found.values()), model.card).threshold
    distance = judged_at(threshold, data, found).criteria["distance"]
    scores = {"f1": distance.default.f1, "best_f1": distance.best.f1, "auc": distance.auc}
    return {"threshold": threshold, **{key: float(value or 0.0) for key, value in scores.items()}}


def judged_at(threshold: float, data: LabelledSet, found: dict[str, Boxes]) -> Evaluation:
    """Return the evaluation against people's labels."""
    labels = {name: data.labels[name].of(shape=data.micrographs[name].shape) for name in found}
    ignored = {name: boxes for name, boxes in data.ignored.items() if name in found}
    return evaluate(
        found, labels, diameter_px=data.diameter_px, ignored=ignored, threshold=threshold, chance_level=False
    )


if __name__ == "__main__":
    main()
