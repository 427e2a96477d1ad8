"""The general model, judged on what it was not trained on.

One training a real set, without that set (and never with its molecule, nor a relative of it), is judged on all
micrographs of the set; the model trained on everything is judged on the real micrographs and the structures that its
recipe leaves out. Beside each the blob detector at the right diameter, its threshold tuned on those very micrographs.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
from cells import cell, figures, simulate, table

from vitripick.evaluation import Evaluation, evaluate
from vitripick.formats import find_micrographs, pair_labels, read_all_picks, read_micrograph
from vitripick.geometry import Boxes, Micrograph
from vitripick.models import Model, load_model
from vitripick.models.run import for_inference
from vitripick.picking import pick, pick_blobs
from vitripick.training import SimulatedSet, TrainingSet, read_recipe, train

RECIPE = Path(__file__).parent.parent / "src/vitripick/training/recipes/general.toml"
# Diameter in pixels of the files, as their labels were drawn.
SETS = {
    "10146": ("apoferritin_empiar10146", 80.0),
    "10017": ("betagal_empiar10017", 27.0),
    "t20s": ("t20s_empiar10025", 20.0),
    "trpv1": ("trpv1_empiar10059", 35.0),
}
HELD_OUT = (
    *("cftr", "b2ar_gs", "integrin_headpiece_fab", "lon_protease", "neuraminidase_fab", "trpv3", "apoferritin"),
    *("map_betagal", "t20s_proteasome", "t4ss_core", "map_26s", "map_fas", "t4_baseplate"),
)
MASSES = ((60, 150), (150, 400), (400, 1000), (1000, 1e9))
COLUMNS = [
    *("set", "method", "F1 d/4", "precision", "recall", "best F1", "at", "AUC d/4", "AUC IoU 0.6", "ECE", "chance F1"),
]


def main() -> None:
    """Train and judge every cell that has no result yet, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with real/ and structures/")
    parser.add_argument("--out", type=Path, required=True, help="models, simulated fields and cells")
    parser.add_argument("--steps", type=int, help="instead of the recipe's")
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--model", help="judge this model on held-out micrographs and structures")
    arguments = parser.parse_args()
    rows = []
    for name in arguments.sets:

        def compute(name: str = name) -> dict[str, Any]:
            model = load_model(train_without(name, arguments))
            everything = set(load_labelled(arguments.data, name)[1])
            return judged(arguments.data, name, model, everything)

        result = cell(arguments.out / "cells" / f"without_{name}.json", compute)
        rows += [
            row(name, f"trained without {name}", result["model"]),
            row(name, "blobs, best threshold", result["blobs"]),
        ]
    if rows:
        print(table(COLUMNS, rows))
    if arguments.model:
        model = load_model(arguments.model)
        rows = [
            row(name, model.card.name, judged(arguments.data, name, model, held_out(name, arguments.data))["model"])
            for name in SETS
        ]
        print("\n" + table(COLUMNS, rows))
        print("\n" + by_structure(arguments, model))


def train_without(name: str, arguments: argparse.Namespace) -> Path:
    """A model that never saw one of the real sets; trained where it is not there yet."""
    sets, settings = read_recipe(RECIPE, data_root=arguments.data)
    if arguments.steps:
        settings = settings.model_copy(update={"steps": arguments.steps})
    kept = [entry for entry in sets if isinstance(entry, SimulatedSet) or SETS[name][0] not in entry.micrographs]
    return train(kept, arguments.out / name, settings=settings, device="auto", fields=arguments.out / "fields").path


def load_labelled(data: Path, name: str) -> tuple[dict[str, Micrograph], dict[str, Boxes]]:
    """All labelled micrographs of a real set."""
    folder = data / "real" / SETS[name][0]
    files = {file.name: file for file in find_micrographs([folder / "micrographs"])}
    pairs = pair_labels(list(files), read_all_picks(folder / "coordinates")).pairs
    micrographs = {key: read_micrograph(files[key].path, name=key) for key in pairs}
    return micrographs, {key: pairs[key].of(shape=micrographs[key].shape) for key in pairs}


def held_out(name: str, data: Path) -> set[str]:
    """The micrographs of a real set that the recipe leaves out."""
    sets, _ = read_recipe(RECIPE, data_root=data)
    (own,) = [entry for entry in sets if isinstance(entry, TrainingSet) and SETS[name][0] in entry.micrographs]
    return {key for key in load_labelled(data, name)[1] if Path(key).stem in own.leave_out}


def judged(data: Path, name: str, model: Model, names: set[str]) -> dict[str, Any]:
    """Figures of a model and of the blob detector on some micrographs of a real set."""
    micrographs, labels = load_labelled(data, name)
    diameter = SETS[name][1]
    chosen = {key: labels[key] for key in names}
    ready = Model(for_inference(model.detector), model.card, model.sha256)
    ours = {key: pick(micrographs[key], ready, diameter_px=diameter, threshold=0) for key in chosen}
    blobs = {key: pick_blobs(micrographs[key], diameter_px=diameter) for key in chosen}
    threshold = model.card.threshold
    evaluation = evaluate(ours, chosen, diameter_px=diameter, threshold=threshold)
    best = evaluate(blobs, chosen, diameter_px=diameter).criteria["distance"].best.threshold
    return {
        "model": {**told(evaluation), "scores": scores(evaluation)},
        "blobs": told(evaluate(blobs, chosen, diameter_px=diameter, threshold=best)),
    }


def told(e: Evaluation) -> dict[str, Any]:
    """What the tables show."""
    distance = e.criteria["distance"]
    return {**figures(e), "ece": distance.calibration_error, "chance_f1": distance.chance_f1}


def scores(e: Evaluation) -> dict[str, list[float]]:
    """Confidence and, of the picks at each, how many are true and how many there are: what calibration needs."""
    curve = e.criteria["distance"].curve
    return {
        "confidence": [round(float(value), 5) for value in curve.threshold],
        "n_true": np.diff(curve.n_true, prepend=0).astype(int).tolist(),
        "n": np.diff(curve.n_true + curve.n_false, prepend=0).astype(int).tolist(),
        "n_labels": [e.n_labels],
    }


def row(name: str, method: str, r: dict[str, Any]) -> list[Any]:
    """One line of the table."""
    keys = ("f1", "precision", "recall", "best_f1", "best_threshold", "auc_distance", "auc_iou", "ece", "chance_f1")
    return [name, method, *(r[key] for key in keys)]


def by_structure(arguments: argparse.Namespace, model: Model, n: int = 4) -> str:
    """Held-out structures, `general` draws: a table by structure, and its summary by mass and by SNR."""
    ready = Model(for_inference(model.detector), model.card, model.sha256)
    rows, points = [], []
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
            e = told(evaluate(found, labels, diameter_px=diameter, threshold=model.card.threshold, n_bootstrap=0))
            blobs = {key: pick_blobs(micrograph, diameter_px=diameter)}
            blob = evaluate(blobs, labels, diameter_px=diameter, n_bootstrap=0).criteria["distance"]
            points.append({**e, "mass": drawn["mass_kda"], "snr": drawn["snr"], "blob_auc": blob.auc, "of": structure})
    for structure in HELD_OUT:
        own = [point for point in points if point["of"] == structure]
        if own:
            rows.append([structure, own[0]["mass"], len(own), *_medians(own)])
    head = ["structure", "kDa", "micrographs", "AUC d/4", "AUC IoU 0.6", "F1 d/4", "blobs AUC d/4"]
    groups = [(f"{low:g}-{high:g} kDa", [p for p in points if low <= p["mass"] < high]) for low, high in MASSES]
    edges = [0, 0.1, 0.3, 1, 1e9]
    pairs_of_edges = itertools.pairwise(edges)
    groups += [(f"SNR {low:g}-{high:g}", [p for p in points if low <= p["snr"] < high]) for low, high in pairs_of_edges]
    groups += [("all", points)]
    rows += [[name, "", len(own), *_medians(own)] for name, own in groups if own]
    return table(head, rows)


def _medians(points: list[dict[str, Any]]) -> list[float]:
    return [float(np.median([p[key] or 0.0 for p in points])) for key in ("auc_distance", "auc_iou", "f1", "blob_auc")]


if __name__ == "__main__":
    main()
