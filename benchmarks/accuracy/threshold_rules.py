"""The default threshold from sparse validation labels: our rule beside the usual one, the best F1.

Given are trained models and micrographs with complete labels; half of them are for validation. Their labels are
thinned many times over, a threshold is chosen each time, and judged on the other half with all their labels.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # where _shared.py lies
from _shared import LabelledSet, load_sets, table

from vitripick.evaluation import Evaluation, evaluate
from vitripick.geometry import Boxes
from vitripick.models import TorchModel, load_weights
from vitripick.models.run import for_inference
from vitripick.picking import pick
from vitripick.training.threshold_tuning import GRID, tune_threshold

N_DRAWS = 30


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=["general"])
    arguments = parser.parse_args()
    rows = []
    for name in arguments.models:
        model = load_weights(name)
        ready = TorchModel(for_inference(model.detector), model.card, model.sha256)
        for one in load_sets(arguments.data):
            # A model of one particle is judged on that particle.
            if model.card.diameter_px in (None, one.diameter_px):
                rows += _study(ready, one)
    columns = ["model", "set", "labels", "best F1", "F1, ours", "lowest", "recall, ours", "lowest"]
    print(table([*columns, "F1, best F1's", "lowest", "recall, best F1's"], rows))


def _study(model: TorchModel, one: LabelledSet) -> list[list[object]]:
    half = len(one.held_out) // 2
    picks = {
        name: pick(one.micrographs[name], model, threshold=0, diameter_px=one.diameter_px) for name in one.held_out
    }
    validation, judged = one.held_out[:half], one.held_out[half:]
    rows = []
    for percent in (100, 20, 5):
        outcomes: dict[str, list[tuple[float, float]]] = {"ours": [], "f1": []}
        for draw in range(1 if percent == 100 else N_DRAWS):
            thin = _judge(one, picks, validation, percent, draw)
            for rule, threshold in (("ours", tune_threshold([thin])[0]), ("f1", _best_f1(thin))):
                score = _judge(one, picks, judged, 100, 0, threshold).criteria["distance"].default
                outcomes[rule].append((score.f1, score.recall))
        best = _judge(one, picks, judged, 100, 0).criteria["distance"].best.f1
        ours, usual = (np.array(outcomes[rule]) for rule in ("ours", "f1"))
        figures = [ours[:, 0].mean(), ours[:, 0].min(), ours[:, 1].mean(), ours[:, 1].min()]
        figures += [usual[:, 0].mean(), usual[:, 0].min(), usual[:, 1].mean()]
        rows.append([model.card.name, one.name, f"{percent} %", best, *(float(value) for value in figures)])
    return rows


def _judge(
    one: LabelledSet,
    picks: dict[str, Boxes],
    names: tuple[str, ...],
    percent: int,
    draw: int,
    threshold: float | None = None,
) -> Evaluation:
    rng = np.random.default_rng([percent, draw])
    labels = {}
    for name in names:
        boxes = one.labels[name].of(shape=one.micrographs[name].shape)
        kept = rng.permutation(len(boxes))[: max(1, round(len(boxes) * percent / 100))]
        labels[name] = boxes.select(np.sort(kept))
    own = {name: picks[name] for name in names}
    return evaluate(own, labels, diameter_px=one.diameter_px, threshold=threshold, n_bootstrap=0, chance_level=False)


def _best_f1(evaluation: Evaluation) -> float:
    """Return the middle of the plateau within half a per cent of the best F1, which is what people usually do."""
    curve = evaluation.criteria["distance"].curve
    last = np.searchsorted(-curve.threshold, -GRID, side="right") - 1
    f1 = np.where(last >= 0, curve.f1[np.maximum(last, 0)], 0)
    good = GRID[f1 >= 0.995 * f1.max()]
    return float((good[0] + good[-1]) / 2)


if __name__ == "__main__":
    main()
