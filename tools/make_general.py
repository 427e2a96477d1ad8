"""Make the bundled model `general` from nothing, and judge it on what it was not trained on.

First trainings on simulated fields alone; from there one training without each real set (its molecule and relatives of
it are in none), judged on all micrographs of that set; and the model itself, from everything, judged on the real
micrographs and the structures that its recipe leaves out. Its confidences are calibrated by the models that did not see
a set. Beside each set the blob detector at the right diameter, its threshold tuned on those very micrographs. Goes on
where it stopped. `--only` makes one training and judges nothing, so that those with real sets may run side by side.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))  # where _shared.py lies
from _shared import HELD_OUT, READ_TWICE, LabelledSet, cell, figures, load_set, simulate, table

from vitripick.evaluation import Evaluation, evaluate
from vitripick.formats import find_micrographs, pair_labels, read_all_picks, read_micrograph
from vitripick.geometry import Boxes, FloatArray
from vitripick.models import TorchModel, load_weights, save_model
from vitripick.models.engines.export import make_graph
from vitripick.models.engines.graph import beside
from vitripick.models.run import for_inference
from vitripick.picking import pick, pick_blobs
from vitripick.training import About, SimulatedSet, TrainingSet, TrainSettings, read_training_plan, train
from vitripick.training.confidence_calibration import fit_calibration

RECIPES = Path(__file__).parent.parent / "src/vitripick/training/recipes"
# Recipes of the trainings, each from the model of the one before. Only the last has real sets.
TRAININGS = ("general_simulated", "general_simulated_more", "general")
# Short names, for cells, models and options.
SETS = {
    "10146": "apoferritin_empiar10146",
    "10017": "betagal_empiar10017",
    "t20s": "t20s_empiar10025",
    "trpv1": "trpv1_empiar10059",
    "klh": "klh_deepcryopicker",
}
# Further sets of the same molecule, which a model without the set must not see either.
SAME_MOLECULE = {"10146": ("apoferritin_epu_jpeg",)}
# The centres of these labels are approximate, and the eye sees a quarter of them (docs/benchmarks/second_labels.md).
# They cannot say which picks are right, so they calibrate nothing.
NOT_SURE = ("trpv1",)
# In what the calibrated confidences are worth: the default where a run's own scores say nothing better.
THRESHOLD = 0.4
DESCRIPTION = (
    "Particles of many kinds, simulated from 67 structures, and six real sets; says what is junk. Give the diameter, "
    "or let the run estimate it."
)
MASSES = ((60, 150), (150, 400), (400, 1000), (1000, 1e9))
COLUMNS = [
    *("set", "method", "F1 d/4", "precision", "recall", "best F1", "at", "AUC d/4", "AUC IoU 0.6", "ECE"),
    *("ECE, complete labels", "chance F1"),
]


def main() -> None:
    """Train and judge everything that has no result yet, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with real/ and structures/")
    parser.add_argument("--out", type=Path, required=True, help="models, simulated fields and cells")
    parser.add_argument("--sets", nargs="*", choices=list(SETS), help="train without these; by default without each")
    parser.add_argument("--steps", type=int, nargs="+", help="of each training, instead of the recipes'")
    parser.add_argument("--model", help="judge this model, and train none")
    parser.add_argument(
        "--only", choices=["simulated", "general", *SETS], help="make only this training, or without this set"
    )
    parser.add_argument("--workers", type=int, help="processes that draw crops beside the network")
    parser.add_argument("--trained", action="store_true", help="take the models in OUT as they are, and train none")
    arguments = parser.parse_args()
    if arguments.only:
        train_one(arguments.only, arguments)
        return
    if arguments.model:
        judge_released(load_weights(arguments.model), arguments)
        return
    known = sets_of(arguments)
    raw = {name: without(name, arguments) for name in arguments.sets or known}
    print(table(COLUMNS, [line for name, result in raw.items() for line in rows_of(name, result)]), flush=True)
    if set(raw) == set(known):
        judge_released(release(raw, arguments), arguments)


def without(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return figures and scores of a model that never saw one of the real sets, on that set."""

    def compute() -> dict[str, Any]:
        return judged(arguments.data, name, train_one(name, arguments), set(labelled(arguments.data, name).labels))

    return cell(arguments.out / "cells" / f"without_{name}.json", compute)


def train_one(name: str, arguments: argparse.Namespace) -> TorchModel:
    """Train on simulated fields alone, on everything (`general`), or on all but one real set."""
    if arguments.trained:
        return load_weights(arguments.out / (name if name == "general" else f"without_{name}") / "model.safetensors")
    if name == "simulated":
        return simulated_trainings(arguments)
    sets, settings = last_recipe(arguments)
    if name == "general":
        about = About(name="general", licence="CC-BY-4.0", description=DESCRIPTION)
        return last_training(sets, settings, arguments.out / "general", arguments, about)
    gone = (SETS[name], *SAME_MOLECULE.get(name, ()))
    kept = [entry for entry in sets if not any(one in micrographs_of(entry) for one in gone)]
    return last_training(kept, settings, arguments.out / f"without_{name}", arguments, About())


def recipe_of(number: int, arguments: argparse.Namespace) -> tuple[list[TrainingSet | SimulatedSet], TrainSettings]:
    """Return the recipe of one of the trainings, counted from 0."""
    path = RECIPES / f"{TRAININGS[number]}.toml"
    sets, settings = read_training_plan(path, data_root=arguments.data)
    if arguments.steps:
        settings = settings.model_copy(update={"steps": arguments.steps[number]})
    return sets, settings


def last_recipe(arguments: argparse.Namespace) -> tuple[list[TrainingSet | SimulatedSet], TrainSettings]:
    """Return the recipe of the training that real sets are in."""
    return recipe_of(len(TRAININGS) - 1, arguments)


def simulated_trainings(arguments: argparse.Namespace) -> TorchModel:
    """Train on simulated fields alone, unless that is done already."""
    fields, workers = arguments.out / "fields", arguments.workers
    model = None
    for number, name in enumerate(TRAININGS[:-1]):
        sets, settings = recipe_of(number, arguments)
        out = arguments.out / name
        model = train(sets, out, settings=settings, start=model, simulated_fields=fields, n_workers=workers).model
    assert model is not None
    return model


def last_training(
    sets: list[TrainingSet | SimulatedSet],
    settings: TrainSettings,
    out: Path,
    arguments: argparse.Namespace,
    about: About,
) -> TorchModel:
    """Train on from the model of simulated fields, which is made where it is not there yet."""
    start = simulated_trainings(arguments)
    fields, workers = arguments.out / "fields", arguments.workers
    result = train(sets, out, settings=settings, start=start, simulated_fields=fields, about=about, n_workers=workers)
    return result.model


def release(raw: dict[str, Any], arguments: argparse.Namespace) -> TorchModel:
    """Train the model on everything, calibrate it, and write it to OUT/general.safetensors."""
    model = train_one("general", arguments)
    # Simulated labels are complete; of people's those that were read twice count, where there are any. Sets count
    # alike.
    structures = [picks_of({"model": ours}) for _, ours, _ in on_structures(arguments, model)]
    simulated = np.concatenate([c for c, _ in structures]), np.concatenate([right for _, right in structures])
    sure = {name: picks_of(result) for name, result in raw.items() if name not in NOT_SURE}
    calibration = fit_calibration([*sure.values(), simulated])
    calibrated = {"calibration": calibration, "threshold": THRESHOLD, "description": DESCRIPTION}
    card = model.card.model_copy(update=calibrated)
    path = arguments.out / "general.safetensors"
    save_model(TorchModel(model.detector, card), path)
    for precision in ("fp32", "int8"):
        make_graph(load_weights(path), precision, place=beside(path, precision))
    print(f"\ncalibration {calibration[0]:.4f}, {calibration[1]:.4f}")
    # Judged with the calibration of the other sets only.
    rows = []
    for name in raw:
        others = fit_calibration([*(picks for other, picks in sure.items() if other != name), simulated])
        own = load_weights(arguments.out / f"without_{name}" / "model.safetensors")
        card = own.card.model_copy(update={"calibration": others, "threshold": THRESHOLD})
        save_model(TorchModel(own.detector, card), arguments.out / f"without_{name}.safetensors")
        everything = set(labelled(arguments.data, name).labels)
        figures_now = judged(arguments.data, name, TorchModel(own.detector, card, own.sha256), everything)
        rows.append(row(name, "calibrated on the others", figures_now["model"]))
    print("\n" + table(COLUMNS, rows), flush=True)
    return load_weights(path)


def judge_released(model: TorchModel, arguments: argparse.Namespace) -> None:
    """Judge it on the real micrographs that its recipe leaves out, and on structures it never saw."""
    print(f"\n{model.card.name}, sha256 {model.sha256[:12]}, threshold {model.card.threshold:g}")
    rows = [
        line
        for name in sets_of(arguments)
        for line in rows_of(name, judged(arguments.data, name, model, held_out(name, arguments)))
    ]
    print("\n" + table(COLUMNS, rows), flush=True)
    print("\n" + by_structure(arguments, model))


def rows_of(name: str, result: dict[str, Any]) -> list[list[Any]]:
    """Return the model's line and the blob detector's."""
    return [row(name, "model", result["model"]), row(name, "blobs, best threshold", result["blobs"])]


def picks_of(result: dict[str, Any]) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return confidence of each pick, and whether it is right."""
    told = result["model"]["scores"]
    confidence = np.repeat(told["confidence"], told["n"]).astype(np.float64)
    right = [np.arange(n) < n_true for n_true, n in zip(told["n_true"], told["n"], strict=True)]
    return confidence, np.concatenate(right)


def labelled(data: Path, name: str) -> LabelledSet:
    """Return all labelled micrographs of a real set."""
    return load_set(data / "real" / SETS[name])


def sets_of(arguments: argparse.Namespace) -> list[str]:
    """Return the real sets of the recipe, by their short names."""
    sets, _ = last_recipe(arguments)
    return [short for short, name in SETS.items() if any(name in micrographs_of(entry) for entry in sets)]


def micrographs_of(entry: TrainingSet | SimulatedSet) -> str:
    """Return where the micrographs of a set are; a simulated one has none."""
    return entry.micrographs if isinstance(entry, TrainingSet) else ""


def held_out(name: str, arguments: argparse.Namespace) -> set[str]:
    """Return the micrographs of a real set that the recipe leaves out."""
    sets, _ = last_recipe(arguments)
    (own,) = [entry for entry in sets if isinstance(entry, TrainingSet) and SETS[name] in entry.micrographs]
    return {key for key in labelled(arguments.data, name).labels if Path(key).stem in own.leave_out}


def judged(data: Path, name: str, model: TorchModel, names: set[str]) -> dict[str, Any]:
    """Return figures of a model and of the blob detector on some micrographs of a real set.

    The model's scores are counted against complete labels, where micrographs were read a second time.
    """
    own = labelled(data, name)
    diameter, threshold = own.diameter_px, model.card.threshold
    chosen = {key: own.labels[key].of(shape=own.micrographs[key].shape) for key in sorted(names)}
    ready = TorchModel(for_inference(model.detector), model.card, model.sha256)
    ours = {key: pick(own.micrographs[key], ready, diameter_px=diameter, threshold=0) for key in chosen}
    blobs = {key: pick_blobs(own.micrographs[key], diameter_px=diameter) for key in chosen}

    def judge(picks: dict[str, Boxes], labels: dict[str, Boxes], threshold: float | None) -> Evaluation:
        ignored = {key: boxes for key, boxes in own.ignored.items() if key in labels}
        return evaluate(picks, labels, diameter_px=diameter, ignored=ignored, threshold=threshold)

    evaluation = complete = judge(ours, chosen, threshold)
    if name in READ_TWICE:
        part = READ_TWICE[name]
        labels = {key: boxes for key, boxes in part.labels(own)["either"].items() if key in chosen}
        inside = {key: part.inside(ours[key], own.micrographs[key].shape) for key in labels}
        complete = judge(inside, labels, threshold)
    best = judge(blobs, chosen, None).criteria["distance"].best.threshold
    return {
        "model": {**told(evaluation), "ece_complete": told(complete)["ece"], "scores": scores(complete)},
        "blobs": told(judge(blobs, chosen, best)),
    }


def told(e: Evaluation) -> dict[str, Any]:
    """Return what the tables show."""
    distance = e.criteria["distance"]
    return {**figures(e), "ece": distance.calibration_error, "chance_f1": distance.chance_f1}


def scores(e: Evaluation) -> dict[str, list[float]]:
    """Return confidences and, of the picks at each, how many are true and how many there are: calibration needs it."""
    curve = e.criteria["distance"].curve
    return {
        "confidence": [round(float(value), 5) for value in curve.threshold],
        "n_true": np.diff(curve.n_true, prepend=0).astype(int).tolist(),
        "n": np.diff(curve.n_true + curve.n_false, prepend=0).astype(int).tolist(),
        "n_labels": [e.n_labels],
    }


def row(name: str, method: str, r: dict[str, Any]) -> list[Any]:
    """Return one line of the table."""
    keys = ("f1", "precision", "recall", "best_f1", "best_threshold", "auc_distance", "auc_iou", "ece")
    return [name, method, *(r[key] for key in keys), r.get("ece_complete"), r["chance_f1"]]


def on_structures(arguments: argparse.Namespace, model: TorchModel, n: int = 4) -> Iterator[tuple[dict[str, Any], ...]]:
    """Yield, for each micrograph of held-out structures, what was drawn, our figures and the blob detector's."""
    ready = TorchModel(for_inference(model.detector), model.card, model.sha256)
    for structure in HELD_OUT:
        path = arguments.data / "structures" / f"{structure}.npz"
        folder = arguments.out / "sets" / structure
        simulate(folder, n=n, seed=7, recipe="general", structure=str(path))
        files = {file.name: file for file in find_micrographs([folder / "micrographs"])}
        pairs = pair_labels(list(files), read_all_picks(folder / "labels")).pairs
        for key, file in files.items():
            micrograph = read_micrograph(file.path, name=key)
            drawn = json.loads((folder / "parameters" / f"{Path(key).stem}.json").read_text())
            diameter = drawn["diameter_angstrom"] / drawn["pixel_size"]
            labels = {key: pairs.get(key, Boxes.empty()).of(shape=micrograph.shape)}
            if len(labels[key]) < 5:
                continue
            found = {key: pick(micrograph, ready, diameter_px=diameter, threshold=0)}
            ours = evaluate(found, labels, diameter_px=diameter, threshold=model.card.threshold, n_bootstrap=0)
            blobs = evaluate({key: pick_blobs(micrograph, diameter_px=diameter)}, labels, diameter_px=diameter)
            yield drawn, {**told(ours), "scores": scores(ours)}, told(blobs)


def by_structure(arguments: argparse.Namespace, model: TorchModel) -> str:
    """Return a table by structure, and its summary by mass and by SNR."""
    points = [
        {
            **ours,
            "blob_auc": blobs["auc_distance"],
            "mass": drawn["mass_kda"],
            "snr": drawn["snr"],
            "of": drawn["structure"],
        }
        for drawn, ours, blobs in on_structures(arguments, model)
    ]
    rows = []
    for structure in HELD_OUT:
        own = [point for point in points if point["of"] == structure]
        if own:
            rows.append([structure, own[0]["mass"], len(own), *_medians(own)])
    head = ["structure", "kDa", "micrographs", "AUC d/4", "AUC IoU 0.6", "F1 d/4", "blobs AUC d/4"]
    groups = [(f"{low:g}-{high:g} kDa", [p for p in points if low <= p["mass"] < high]) for low, high in MASSES]
    snrs = itertools.pairwise([0, 0.1, 0.3, 1, 1e9])
    groups += [(f"SNR {low:g}-{high:g}", [p for p in points if low <= p["snr"] < high]) for low, high in snrs]
    groups += [("all", points)]
    rows += [[name, "", len(own), *_medians(own)] for name, own in groups if own]
    return table(head, rows)


def _medians(points: list[dict[str, Any]]) -> list[float]:
    return [float(np.median([p[key] or 0.0 for p in points])) for key in ("auc_distance", "auc_iou", "f1", "blob_auc")]


if __name__ == "__main__":
    main()
