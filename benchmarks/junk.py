"""Picks on junk: on simulated dirty micrographs, where all ground is known, and on real ones without particles.

Structures are those that the general model was not trained on. "On junk" is a pick whose centre lies on carbon, ice, gold, a
clump or a filament. The same model with and without its junk map, the blob detector at its best threshold, and, with
`--other`, another model.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from cells import table
from general import HELD_OUT

from vitripick.evaluation import evaluate
from vitripick.formats import find_micrographs, read_micrograph
from vitripick.geometry import Boxes, Micrograph
from vitripick.models import DEFAULT_MODEL, Model, load_model
from vitripick.models.run import for_inference
from vitripick.picking import pick, pick_blobs
from vitripick.simulation import load_recipe, read_structure, simulate_micrograph

DIAMETERS_PX = (16.0, 24.0, 32.0, 48.0)
SIDE, DIAMETER_PX = 1024, 32.0


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with real/ and structures/")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--other", help="another model beside it")
    parser.add_argument("--threshold", type=float, help="instead of each model's own")
    parser.add_argument("--seeds", type=int, default=2, help="micrographs a structure")
    arguments = parser.parse_args()
    models = [_ready(name) for name in (arguments.model, arguments.other) if name]
    print(simulated(models, arguments) + "\n\n" + real(models, arguments))


def simulated(models: list[Model], arguments: argparse.Namespace) -> str:
    """Dirty micrographs of held-out structures."""
    recipe = load_recipe("contaminated")
    counts: dict[str, list[int]] = {}
    junk_share = []
    for i, name in enumerate(HELD_OUT):
        structure = read_structure(arguments.data / "structures" / f"{name}.npz")
        for seed in range(arguments.seeds):
            made = simulate_micrograph(
                recipe,
                [structure],
                np.random.default_rng([seed, i]),
                shape=(SIDE, SIDE),
                pixel_size=structure.diameter_angstrom / DIAMETER_PX,
            )
            junk_share.append(float(made.junk.mean()))
            micrograph = Micrograph(made.image, pixel_size=made.pixel_size, name=name)
            labels = made.boxes
            found = {"blobs, best threshold": _best(pick_blobs(micrograph, diameter_px=DIAMETER_PX), labels)}
            for model in models:
                threshold = model.card.threshold if arguments.threshold is None else arguments.threshold
                own = model.card.name
                found[own] = pick(micrograph, model, diameter_px=DIAMETER_PX, threshold=threshold)
            for method, picks in found.items():
                own_counts = counts.setdefault(method, [0, 0, 0, 0])
                on_junk = made.junk[np.round(picks.y).astype(int), np.round(picks.x).astype(int)]
                score = _score(picks, labels)
                own_counts[0] += int(on_junk.sum())
                own_counts[1] += len(picks)
                own_counts[2] += score.n_true
                own_counts[3] += len(labels)
    rows = [
        [method, len(junk_share), c[0] / len(junk_share), c[0] / max(c[1], 1), c[2] / c[3], c[2] / max(c[1], 1)]
        for method, c in counts.items()
    ]
    head = ["method", "micrographs", "picks on junk, each", "share of picks", "recall", "precision"]
    return f"mean share of junk: {np.mean(junk_share):.3f}\n\n" + table(head, rows)


def real(models: list[Model], arguments: argparse.Namespace) -> str:
    """Real micrographs without a particle, or with junk and no labels, at several diameters."""
    folders = [
        arguments.data / "real" / "quality_examples_micassess" / kind
        for kind in ("empty_no_ice", "empty_vitreous_ice", "contamination", "crystalline_ice")
    ]
    folders += [arguments.data / "real" / name / "micrographs" for name in ("contaminated_empiar10947",)]
    rows = []
    for folder in folders:
        for file in find_micrographs([folder]):
            micrograph = read_micrograph(file.path, name=file.name)
            kind = folder.name if folder.name != "micrographs" else folder.parent.name
            row: list[object] = [f"{kind}/{Path(file.name).name[:14]}"]
            for model in models:
                threshold = model.card.threshold if arguments.threshold is None else arguments.threshold
                row += [len(pick(micrograph, model, diameter_px=d, threshold=threshold)) for d in DIAMETERS_PX]
            rows.append(row)
    head = ["micrograph", *(f"{model.card.name}, {d:g} px" for model in models for d in DIAMETERS_PX)]
    return table(head, rows)


def _ready(name: str) -> Model:
    model = load_model(name)
    return Model(for_inference(model.detector), model.card, model.sha256)


def _score(picks: Boxes, labels: Boxes):
    e = evaluate({"m": picks}, {"m": labels}, diameter_px=DIAMETER_PX, threshold=0, n_bootstrap=0, chance_level=False)
    return e.criteria["distance"].default


def _best(picks: Boxes, labels: Boxes) -> Boxes:
    if not len(labels):
        return picks.above(2.0)
    e = evaluate({"m": picks}, {"m": labels}, diameter_px=DIAMETER_PX, n_bootstrap=0, chance_level=False)
    threshold = e.criteria["distance"].best.threshold
    return picks.above(2.0 if threshold is None else threshold)


if __name__ == "__main__":
    main()
