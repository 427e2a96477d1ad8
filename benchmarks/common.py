"""What the benchmarks share: the sets, who is kept for judging, and one row of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vitripick.evaluation import Evaluation, evaluate
from vitripick.formats import find_micrographs, pair_labels, read_all_picks, read_micrograph
from vitripick.geometry import Boxes, Micrograph
from vitripick.training import TrainingSet, read_training_plan

RECIPE = Path(__file__).parent / "two_sets.toml"
DIAMETERS_PX = {"apoferritin_empiar10146": 80.0, "betagal_empiar10017": 27.0}

Picker = Callable[[Micrograph, float], Boxes]


@dataclass(frozen=True)
class LabelledSet:
    """A real set: its micrographs and labels, and the ones no training saw."""

    name: str
    diameter_px: float
    micrographs: dict[str, Micrograph]
    labels: dict[str, Boxes]
    held_out: tuple[str, ...]


def load_sets(data: Path) -> list[LabelledSet]:
    """The two sets that people labelled."""
    sets, _ = read_training_plan(RECIPE, data_root=data)
    return [_load(entry) for entry in sets]


def _load(entry: TrainingSet) -> LabelledSet:
    files = {file.name: file for file in find_micrographs([entry.micrographs])}
    pairs = pair_labels(list(files), read_all_picks(entry.labels)).pairs
    name = Path(entry.micrographs).parent.name
    return LabelledSet(
        name=name,
        diameter_px=DIAMETERS_PX[name],
        micrographs={key: read_micrograph(files[key].path, name=key) for key in pairs},
        labels=pairs,
        held_out=tuple(key for key in pairs if PurePosixPath(key).stem in entry.leave_out),
    )


def judge(one: LabelledSet, names: Iterable[str], picker: Picker, *, threshold: float | None) -> Evaluation:
    """Pick these micrographs and compare with their labels, border band ignored."""
    names = list(names)
    picks = {name: picker(one.micrographs[name], one.diameter_px) for name in names}
    labels = {name: one.labels[name].of(shape=one.micrographs[name].shape) for name in names}
    return evaluate(picks, labels, diameter_px=one.diameter_px, threshold=threshold)


HEAD = (
    "| set | method | micrographs | F1 d/4 (95 %) | precision | recall | best F1 | chance F1 | F1 d/2 | AUC d/4 | "
    "AUC IoU 0.6 (95 %) | mean IoU | centre error / d | duplicates | leak |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def row(set_name: str, method: str, e: Evaluation, *, leak: str = "no") -> str:
    """One line of the table."""
    d, iou, half = e.criteria["distance"], e.criteria["iou"], e.criteria["half_distance"]

    def interval(value: tuple[float, float] | None) -> str:
        return f" ({value[0]:.3f}-{value[1]:.3f})" if value else ""

    error = (d.centre_error_mean_px or 0) / e.diameter_px
    cells = [
        set_name,
        method,
        str(len(e.rows)),
        f"{d.default.f1:.3f}{interval(d.f1_interval)}",
        f"{d.default.precision:.3f}",
        f"{d.default.recall:.3f}",
        f"{d.best.f1:.3f}",
        f"{d.chance_f1:.2f}",
        f"{half.default.f1:.3f}",
        f"{d.auc:.3f}",
        f"{iou.auc:.3f}{interval(iou.auc_interval)}",
        f"{iou.mean_iou:.2f}",
        f"{error:.3f}",
        str(e.n_duplicates),
        leak,
    ]
    return "| " + " | ".join(cells) + " |"
