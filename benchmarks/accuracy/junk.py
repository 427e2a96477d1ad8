"""Picks on junk: on simulated dirty micrographs, where all junk is known, and on real ones without particles.

Structures are those that the general model was not trained on. "On junk" is a pick whose centre lies on carbon, ice,
gold, a clump or a filament, and not within d/4 of a particle: thin filaments lie over particles that can be seen.
Beside it the blob detector at its best threshold, and, with `--other`, another model.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # where _shared.py lies
from _shared import HELD_OUT, table

from vitripick.evaluation import evaluate
from vitripick.formats import find_micrographs, read_micrograph
from vitripick.geometry import Boxes, Micrograph, match
from vitripick.models import DEFAULT_MODEL, TorchModel, load_weights
from vitripick.models.run import for_inference
from vitripick.picking import pick, pick_blobs
from vitripick.simulation import load_scene_recipe, read_structure, simulate_micrograph

DIAMETERS_PX = (16.0, 24.0, 32.0, 48.0)
SIDE, DIAMETER_PX = 640, 24.0
# The other model is looked at from here on, to find where its recall is that of the first.
LOWEST = 0.05
# One kind of junk at a time: how much, in the recipe's own words. Bodies larger than the field would leave nothing
# else to see.
KINDS = {
    "ice balls, ethane": ("ice_balls=[4, 20]", "ice_ball_radius_angstrom=[30, 250]"),
    "ice crystals": ("ice_crystals=[1, 3]", "ice_crystal_radius_angstrom=[100, 500]"),
    "gold beads": ("gold_beads=[1, 4]",),
    "edge of the support": ("support_edge_chance=1",),
    "aggregates": ("aggregates=[1, 4]",),
    "filaments": ("filaments=[1, 3]",),
}
# What molecules become when they are not the particle: in all of these, and what many false picks on junk lie on.
DEBRIS = ("broken=0", "subunits=0", "discs=0", "stacks=0", "background_proteins=0")
NONE = ("ice_balls=0", "ice_crystals=0", "gold_beads=0", "support_edge_chance=0", "aggregates=0", "filaments=0")


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with real/ and structures/")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--other", help="another model beside it")
    parser.add_argument("--threshold", type=float, help="instead of each model's own")
    parser.add_argument("--seeds", type=int, default=1, help="micrographs a structure and kind")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS), help="of junk")
    parser.add_argument("--structures", nargs="+", default=list(HELD_OUT), help="names of files in structures/")
    parser.add_argument("--no-debris", action="store_true", help="no broken molecules and pieces beside the junk")
    arguments = parser.parse_args()
    models = {name: _ready(name) for name in (arguments.model, arguments.other) if name}
    print(simulated(models, arguments) + "\n\n" + real(models, arguments))


def simulated(models: dict[str, TorchModel], arguments: argparse.Namespace) -> str:
    """Return dirty micrographs of held-out structures, one kind of junk at a time.

    Each model stands at its own threshold, and the other one again at the recall of the first.
    """
    rows = []
    for kind in arguments.kinds:
        some = KINDS[kind]
        named = {change.split("=")[0] for change in some}
        others = [change for change in NONE if change.split("=")[0] not in named]
        debris = DEBRIS if arguments.no_debris else ()
        changes = [f"contamination.{change}" for change in ("chance=1", *others, *debris, *some)]
        recipe = load_scene_recipe("contaminated", changes=changes)
        seen: dict[str, list[np.ndarray]] = {}
        areas, n_labels = [], 0
        for i, name in enumerate(arguments.structures):
            structure = read_structure(arguments.data / "structures" / f"{name}.npz")
            for seed in range(arguments.seeds):
                pixel_size = structure.diameter_angstrom / DIAMETER_PX
                rng = np.random.default_rng([seed, i])
                made = simulate_micrograph(recipe, [structure], rng, shape=(SIDE, SIDE), pixel_size=pixel_size)
                micrograph = Micrograph(made.image, pixel_size=made.pixel_size, name=name)
                areas.append(made.junk.mean())
                n_labels += len(made.boxes)
                found = {"blobs": _best(pick_blobs(micrograph, diameter_px=DIAMETER_PX), made.boxes)}
                for given, model in models.items():
                    found[given] = pick(micrograph, model, diameter_px=DIAMETER_PX, threshold=LOWEST)
                for method, picks in found.items():
                    seen.setdefault(method, []).append(_told(picks, made.boxes, made.junk))
        together = {method: np.concatenate(parts) for method, parts in seen.items()}
        recall = 0.0
        for method, picks in together.items():
            own = 0.0 if method == "blobs" else arguments.threshold or models[method].card.threshold
            rows.append([kind, float(np.mean(areas)), method, *_counts(picks, own, areas, n_labels)])
            if method == arguments.model:
                recall = rows[-1][-2]
            if method == arguments.other:
                same = _threshold_of(picks, recall * n_labels)
                rows.append(
                    [kind, float(np.mean(areas)), f"{method}, same recall", *_counts(picks, same, areas, n_labels)]
                )
    head = ["junk", "share of area", "method", "threshold", "picks on junk, each", "avoided", "recall", "precision"]
    return "avoided: how many fewer picks lie on junk than its share of the area would have\n\n" + table(head, rows)


def _told(picks: Boxes, labels: Boxes, junk: np.ndarray) -> np.ndarray:
    """Return of each pick its confidence, whether it lies on junk, and whether it is right: (n, 3)."""
    right = match(picks, labels, criterion="distance", distance_px=DIAMETER_PX / 4) >= 0
    on_junk = junk[np.round(picks.y).astype(int), np.round(picks.x).astype(int)] & ~right
    return np.column_stack([picks.confidence, on_junk, right]).astype(float)


def _counts(picks: np.ndarray, threshold: float, areas: list[float], n_labels: int) -> list[float]:
    """Return the threshold, picks on junk a micrograph, the share avoided, recall and precision."""
    chosen = picks[picks[:, 0] >= threshold]
    on_junk, n_right = float(chosen[:, 1].sum()), float(chosen[:, 2].sum())
    avoided = 1 - on_junk / max(len(chosen) * float(np.mean(areas)), 1e-9)
    return [threshold, on_junk / len(areas), avoided, n_right / n_labels, n_right / max(len(chosen), 1)]


def _threshold_of(picks: np.ndarray, n_right: float) -> float:
    """Return the highest threshold that leaves that many right picks."""
    right = np.sort(picks[picks[:, 2] > 0, 0])[::-1]
    return float(right[min(max(round(n_right) - 1, 0), len(right) - 1)])


def real(models: dict[str, TorchModel], arguments: argparse.Namespace) -> str:
    """Return real micrographs without a particle, or with junk and no labels, at several diameters."""
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
            for model in models.values():
                threshold = arguments.threshold or model.card.threshold
                row += [len(pick(micrograph, model, diameter_px=d, threshold=threshold)) for d in DIAMETERS_PX]
            rows.append(row)
    head = ["micrograph", *(f"{given}, {d:g} px" for given in models for d in DIAMETERS_PX)]
    return table(head, rows)


def _ready(name: str) -> TorchModel:
    model = load_weights(name)
    return TorchModel(for_inference(model.detector), model.card, model.sha256)


def _best(picks: Boxes, labels: Boxes) -> Boxes:
    if not len(labels):
        return picks.above(2.0)
    e = evaluate({"m": picks}, {"m": labels}, diameter_px=DIAMETER_PX, n_bootstrap=0, chance_level=False)
    threshold = e.criteria["distance"].best.threshold
    return picks.above(2.0 if threshold is None else threshold)


if __name__ == "__main__":
    main()
