"""What a survey finds: the diameter beside the true one, and the threshold beside the model's own and the best one.

On the real sets, and on simulated micrographs of structures that the model was not trained on (`--structures`, three of
each). F1 is one-to-one within d/4 at the labels' diameter, border ignored, on all micrographs of a set; with `--wrong`
also what a run makes of a given diameter that is wrong by a factor (and, of structures, of the right one): the
diameter it uses instead, and F1 at the threshold that is chosen then. `--model SET=PATH` gives a model for one set:
that which was trained without it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # where _shared.py lies
from _shared import DIAMETERS_PX, LabelledSet, load_set, table

from vitripick.errors import UsageError
from vitripick.evaluation import CriterionResult, evaluate
from vitripick.geometry import Boxes
from vitripick.models import DEFAULT_MODEL, ModelFile, open_model
from vitripick.models.engines import EngineModel, load_on_engine
from vitripick.picking import pick
from vitripick.runs import PickSettings, survey_micrographs
from vitripick.simulation import SimulateSettings, load_scene_recipe, simulate_folder

N_SIMULATED = 3
COLUMNS = [
    "set",
    "true",
    "estimated",
    "error",
    "from-to",
    "chosen",
    "F1 (95 %)",
    "model's own",
    "F1",
    "best",
    "F1",
    "lost",
]


def main() -> None:
    """Print one table for the real sets, one for the structures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the real sets")
    parser.add_argument("--model", action="append", default=[], help="a model, or SET=PATH for one set; repeat")
    parser.add_argument("--sets", nargs="*", default=list(DIAMETERS_PX))
    parser.add_argument("--structures", nargs="*", default=[], help="structure files")
    parser.add_argument("--out", type=Path, default=Path("runs/survey"), help="for simulated micrographs")
    parser.add_argument("--wrong", nargs="*", type=float, default=[], help="factors on the diameter, such as 1.5 0.67")
    arguments = parser.parse_args()
    models = dict(given.split("=", 1) if "=" in given else ("", given) for given in arguments.model)
    rows, wrong = [], []
    for name in arguments.sets:
        model = open_model(models.get(name) or models.get("") or DEFAULT_MODEL)
        data, folder = load_set(arguments.data / name), arguments.data / name / "micrographs"
        rows.append(_real(data, folder, model))
        wrong += [_wrong(data, folder, model, factor) for factor in arguments.wrong]
    print(table(COLUMNS, rows), flush=True)
    if wrong:
        print(
            table(["set", "given, times the right one", "used, times", "threshold", "F1", "best F1"], wrong), flush=True
        )
    general = open_model(models.get("") or DEFAULT_MODEL)
    factors = [1.0, *arguments.wrong] if arguments.wrong else []
    simulated = [_simulated(Path(path), arguments.out, general, factors) for path in arguments.structures]
    if simulated:
        used = [f"used, given x {factor:g}" for factor in factors]
        print(table(["structure", "true, Å", "estimated", "error", "from-to", *used], simulated))
        errors = np.abs([row[3] for row in simulated if not np.isnan(row[3])])  # type: ignore[call-overload,arg-type]
        print(
            f"median error {np.median(errors):.3f}, worst {errors.max():.3f}, none found {len(simulated) - len(errors)}"
        )


def _real(data: LabelledSet, folder: Path, model: ModelFile) -> list[object]:
    pixel_size = next(iter(data.micrographs.values())).pixel_size
    found = _diameter(folder, model, pixel_size)
    choice = survey_micrographs([folder], model, PickSettings(diameter_px=data.diameter_px))
    assert choice.threshold is not None
    used_px = choice.apply(PickSettings(diameter_px=data.diameter_px)).diameter_px or data.diameter_px
    picks = _picks(data, load_on_engine(model), used_px)
    at = _judge(data, picks, choice.threshold.threshold)
    low, high = at.f1_interval or (np.nan, np.nan)
    f1 = at.default.f1 or 0.0
    return [
        data.name,
        data.diameter_px,
        found[0],
        found[0] / data.diameter_px - 1,
        f"{found[1]:.1f}-{found[2]:.1f}",
        choice.threshold.threshold,
        f"{f1:.3f} ({low:.3f}-{high:.3f})",
        model.card.threshold,
        _judge(data, picks, model.card.threshold).default.f1 or 0.0,
        float(at.best.threshold or 0),
        at.best.f1 or 0.0,
        (at.best.f1 or 0.0) - f1,
    ]


def _wrong(data: LabelledSet, folder: Path, model: ModelFile, factor: float) -> list[object]:
    assumed = data.diameter_px * factor
    choice = survey_micrographs([folder], model, PickSettings(diameter_px=assumed))
    assert choice.threshold is not None
    used = choice.apply(PickSettings(diameter_px=assumed)).diameter_px or assumed
    level = choice.threshold.threshold
    judged = _judge(data, _picks(data, load_on_engine(model), used), level)
    return [data.name, factor, used / data.diameter_px, level, judged.default.f1, judged.best.f1]


def _simulated(structure: Path, out: Path, model: ModelFile, factors: list[float]) -> list[object]:
    # A seed for each, or all would be seen under the same conditions.
    seed = 1 + sum(structure.stem.encode())
    folder = out / structure.stem
    settings = SimulateSettings(n_micrographs=N_SIMULATED, seed=seed)
    simulate_folder(load_scene_recipe("general"), folder, [str(structure)], settings, n_workers=1)
    first = sorted((folder / "parameters").glob("*.json"))[0]
    true = float(json.loads(first.read_text(encoding="utf-8"))["diameter_angstrom"])
    found = _diameter(folder / "micrographs", model, 1.0)
    used = [_used(folder / "micrographs", model, true * factor) / true for factor in factors]
    return [structure.stem, true, found[0], found[0] / true - 1, f"{found[1]:.0f}-{found[2]:.0f}", *used]


def _used(folder: Path, model: ModelFile, given_angstrom: float) -> float:
    """Return the diameter in Å that a run uses where this one is given."""
    settings = PickSettings(diameter_angstrom=given_angstrom, threshold=0.5)
    found = survey_micrographs([folder], model, settings)
    assert found is not None
    return found.apply(settings).diameter_angstrom or given_angstrom


def _diameter(folder: Path, model: ModelFile, pixel_size: float | None) -> tuple[float, float, float]:
    """Estimate, low and high, in pixels (in Å where `pixel_size` is 1); NaN where none stands out."""
    try:
        found = survey_micrographs([folder], model, PickSettings(threshold=0.5))
    except UsageError:
        return (float("nan"),) * 3
    assert found is not None
    assert found.diameter is not None
    unit = (pixel_size or 1.0) if found.diameter.unit == "angstrom" else 1.0
    return found.diameter.diameter / unit, found.diameter.low / unit, found.diameter.high / unit


def _picks(data: LabelledSet, model: EngineModel, diameter_px: float) -> dict[str, Boxes]:
    return {name: pick(m, model, threshold=0, diameter_px=diameter_px) for name, m in data.micrographs.items()}


def _judge(data: LabelledSet, picks: dict[str, Boxes], threshold: float) -> CriterionResult:
    """Return what the picks are worth within d/4 at the labels' diameter."""
    labels = {name: own.of(shape=data.micrographs[name].shape) for name, own in data.labels.items()}
    found = evaluate(
        picks, labels, diameter_px=data.diameter_px, ignored=data.ignored, threshold=threshold, chance_level=False
    )
    return found.criteria["distance"]


if __name__ == "__main__":
    main()
