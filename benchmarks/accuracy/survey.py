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
from _shared import DIAMETERS_PX, table

from vitripick.errors import UsageError
from vitripick.evaluation import Evaluation, evaluate
from vitripick.formats import find_micrographs, pair_labels, read_all_picks, read_micrograph
from vitripick.geometry import Boxes, Micrograph
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
        rows.append(_real(name, arguments.data / name, model))
        wrong += [_wrong(name, arguments.data / name, model, factor) for factor in arguments.wrong]
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


def _real(name: str, folder: Path, model: ModelFile) -> list[object]:
    micrographs, labels = _load(folder)
    true_px = DIAMETERS_PX[name]
    pixel_size = next(iter(micrographs.values())).pixel_size
    found = _diameter(folder / "micrographs", model, pixel_size)
    choice = survey_micrographs([folder / "micrographs"], model, PickSettings(diameter_px=true_px))
    assert choice.threshold is not None
    used_px = choice.apply(PickSettings(diameter_px=true_px)).diameter_px or true_px
    picks = _picks(micrographs, load_on_engine(model), used_px)
    scores = [_f1(picks, labels, true_px, level) for level in (choice.threshold.threshold, model.card.threshold)]
    low, high = _interval(picks, labels, true_px, choice.threshold.threshold)
    best = _judge(picks, labels, true_px, model.card.threshold).criteria["distance"].best
    return [
        name,
        true_px,
        found[0],
        found[0] / true_px - 1,
        f"{found[1]:.1f}-{found[2]:.1f}",
        choice.threshold.threshold,
        f"{scores[0]:.3f} ({low:.3f}-{high:.3f})",
        model.card.threshold,
        scores[1],
        float(best.threshold or 0),
        best.f1 or 0.0,
        (best.f1 or 0.0) - scores[0],
    ]


def _wrong(name: str, folder: Path, model: ModelFile, factor: float) -> list[object]:
    micrographs, labels = _load(folder)
    assumed = DIAMETERS_PX[name] * factor
    choice = survey_micrographs([folder / "micrographs"], model, PickSettings(diameter_px=assumed))
    assert choice.threshold is not None
    used = choice.apply(PickSettings(diameter_px=assumed)).diameter_px or assumed
    level = choice.threshold.threshold
    picks = _picks(micrographs, load_on_engine(model), used)
    judged = _judge(picks, labels, DIAMETERS_PX[name], level).criteria["distance"]
    return [name, factor, used / DIAMETERS_PX[name], level, judged.default.f1, judged.best.f1]


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


def _load(folder: Path) -> tuple[dict[str, Micrograph], dict[str, Boxes]]:
    files = {file.name: file for file in find_micrographs([folder / "micrographs"])}
    labels = pair_labels(list(files), read_all_picks(folder / "coordinates")).pairs
    micrographs = {name: read_micrograph(files[name].path, name=name) for name in labels}
    return micrographs, {name: own.of(shape=micrographs[name].shape) for name, own in labels.items()}


def _picks(micrographs: dict[str, Micrograph], model: EngineModel, diameter_px: float) -> dict[str, Boxes]:
    return {name: pick(m, model, threshold=0, diameter_px=diameter_px) for name, m in micrographs.items()}


def _judge(picks: dict[str, Boxes], labels: dict[str, Boxes], diameter_px: float, threshold: float) -> Evaluation:
    return evaluate(picks, labels, diameter_px=diameter_px, threshold=threshold, n_bootstrap=0, chance_level=False)


def _f1(picks: dict[str, Boxes], labels: dict[str, Boxes], diameter_px: float, threshold: float) -> float:
    return _judge(picks, labels, diameter_px, threshold).criteria["distance"].default.f1 or 0.0


def _interval(
    picks: dict[str, Boxes], labels: dict[str, Boxes], diameter_px: float, threshold: float
) -> tuple[float, float]:
    """Return the 95 % interval of F1 over micrographs; NaN for a single micrograph."""
    found = evaluate(picks, labels, diameter_px=diameter_px, threshold=threshold, chance_level=False)
    return found.criteria["distance"].f1_interval or (np.nan, np.nan)


if __name__ == "__main__":
    main()
