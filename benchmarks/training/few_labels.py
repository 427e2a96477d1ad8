"""How many labelled micrographs it takes (Wagner et al. 2019, Table 1): apoferritin 10146, and KLH-like cylinders.

The cylinders are simulated ("klh_like_synthetic": an arrangement of our own, not the protein): all views; labels of
side views only, the other views left as what they are; and filaments, stacks and broken molecules as unlabelled
contaminants. A contaminant is picked if a pick above the default threshold lies within d/2 of its middle and is not
within d/4 of a particle, which may lie beside a filament.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # where _shared.py lies
from _shared import RECIPE, cell, figures, judge_model, settings_from, simulate, table, usual_parser

from vitripick.formats import find_micrographs, pair_labels, read_all_picks, read_micrograph, write_picks
from vitripick.models import TorchModel, choose_device
from vitripick.models.run import for_inference
from vitripick.picking import pick
from vitripick.training import TrainingSet, read_training_plan, train

KINDS = ("10146", "klh_all_views", "klh_side_views", "klh_contaminated")
# The molecule's axis at least this far from the beam: a rectangle, not a ring.
_SIDE_DEGREES = 60.0
_KLH = {"pixel_size": 3.5, "shape": [1536, 1536], "particles__count": 20}
_JUNK = {"contamination__filaments": [1, 2], "contamination__stacks": [0.1, 0.2], "contamination__broken": [0.2, 0.4]}
COLUMNS = ["set", "architecture", "seed", "micrographs", "labels", "AUC IoU 0.6", "precision", "recall", "mean IoU"]


def main() -> None:
    """Train every cell that has no result yet, print the table."""
    parser = usual_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the real sets")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    # Four of the 13 micrographs of 10146 are kept for judging, so nine is all there is; 13 of the cylinders.
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 2, 4, 7, 13])
    parser.add_argument("--architectures", nargs="+", default=["heatmap", "yolo"])
    arguments = parser.parse_args()
    rows = []
    for kind in arguments.kinds:
        for architecture in arguments.architectures:
            for count in arguments.counts:
                for seed in arguments.seeds:
                    name = f"{kind}_{architecture}_{count}_{seed}"
                    settings = settings_from(arguments, architecture, seed)

                    def compute(kind=kind, count=count, seed=seed, settings=settings, name=name):
                        entry, judged, names = _sets(kind, arguments)
                        entry, n, n_labels = _first(entry, count, seed)
                        out = arguments.out / "runs" / name
                        model = train(entry, out, settings=settings, device=arguments.device).model
                        evaluation, _ = judge_model(model, judged, names, device=arguments.device)
                        junk = {} if kind == "10146" else _contaminants(model, judged, arguments.device)
                        return {**figures(evaluation), "n_training": n, "n_training_labels": n_labels, **junk}

                    r = cell(arguments.out / "cells" / f"{name}.json", compute)
                    shown = [r[k] for k in ("auc_iou", "precision_iou", "recall_iou", "mean_iou")]
                    rows.append([kind, architecture, seed, r["n_training"], r["n_training_labels"], *shown])
                    junk = (
                        f"; contaminants picked: {r['picked_share']:.3f}" if r.get("picked_share") is not None else ""
                    )
                    print(table(COLUMNS, rows[-1:]).splitlines()[-1] + junk, flush=True)
    print("\n" + table(COLUMNS, rows))


def _sets(kind: str, arguments) -> tuple[TrainingSet, TrainingSet, tuple[str, ...]]:
    """Return what to train on, what to judge, and the names to judge there (none: all)."""
    if kind == "10146":
        entry = read_training_plan(RECIPE, data_root=arguments.data)[0][0]
        return entry, entry, entry.leave_out
    sets = []
    for part, n, seed in (("train", 13, 1), ("judge", 6, 2)):
        changes = {**_KLH, **(_JUNK if kind == "klh_contaminated" else {})}
        folder = arguments.out / "sets" / f"{'junk' if kind == 'klh_contaminated' else 'klh'}_{part}"
        one = simulate(folder, n=n, seed=seed, recipe="clean", structure="klh_like_synthetic", **changes)
        sets.append(_side_views(one) if kind == "klh_side_views" else one)
    return sets[0], sets[1], ()


def _side_views(entry: TrainingSet) -> TrainingSet:
    """Return the same micrographs with labels of side views only, for training and for judging."""
    root = Path(entry.micrographs).parent
    folder = root / "side_view_labels"
    pairs = _pairs(entry)
    for name, boxes in pairs.items():
        particles = json.loads((root / "parameters" / f"{Path(name).stem}.json").read_text())["particles"]
        # The third entry of the third row: the cosine between the molecule's z axis and the beam.
        cosines = np.array([particle["rotation"][2][2] for particle in particles])
        side = np.abs(cosines) < np.cos(np.radians(_SIDE_DEGREES))
        write_picks(boxes.select(side), folder / f"{Path(name).stem}.csv")
    return entry.model_copy(update={"labels": str(folder)})


def _first(entry: TrainingSet, count: int, seed: int) -> tuple[TrainingSet, int, int]:
    """Return that many of the micrographs (or all there are), drawn by the seed; how many, and their labels."""
    pairs = _pairs(entry)
    free = sorted(name for name in pairs if Path(name).stem not in entry.leave_out)
    chosen = [free[i] for i in np.random.default_rng(seed).permutation(len(free))[:count]]
    others = tuple(name for name in pairs if name not in chosen)
    return entry.model_copy(update={"leave_out": others}), len(chosen), sum(len(pairs[name]) for name in chosen)


def _pairs(entry: TrainingSet):
    names = [file.name for file in find_micrographs([entry.micrographs])]
    return pair_labels(names, read_all_picks(entry.labels, box_size_px=entry.box_size_px)).pairs


def _contaminants(model: TorchModel, judged: TrainingSet, device: str) -> dict[str, object]:
    """Count the contaminants that were picked, by kind."""
    ready = TorchModel(for_inference(model.detector, choose_device(device)), model.card, model.sha256)
    d = model.card.diameter_px or 0.0
    labels = _pairs(judged)
    counts: dict[str, list[int]] = {}
    for file in find_micrographs([judged.micrographs]):
        record = json.loads((Path(judged.micrographs).parent / "parameters" / f"{file.path.stem}.json").read_text())
        picks = pick(read_micrograph(file.path, name=file.name), ready)
        particles = labels[file.name]
        to_particle = np.hypot(picks.x[:, None] - particles.x, picks.y[:, None] - particles.y).min(
            axis=1, initial=np.inf
        )
        false = picks.select(to_particle > d / 4)
        for body in record["contaminants"]:
            near = np.hypot(false.x - body["x"], false.y - body["y"]) <= d / 2
            counts.setdefault(body["kind"], [0, 0])
            counts[body["kind"]][0] += int(near.any())
            counts[body["kind"]][1] += 1
    n = sum(total for _, total in counts.values())
    return {"contaminants": counts, "picked_share": sum(hit for hit, _ in counts.values()) / n if n else None}


if __name__ == "__main__":
    main()
