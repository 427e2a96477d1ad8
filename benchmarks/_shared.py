"""What the benchmarks share: the real sets, a resumable table of cells, and how picks are judged and shown."""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

import vitripick
from vitripick.atomic import write_text_atomically
from vitripick.evaluation import Evaluation, evaluate
from vitripick.formats import find_micrographs, pair_labels, read_all_picks, read_micrograph, read_picks
from vitripick.formats.star.dialect import StarBlock, format_star, table_of
from vitripick.geometry import Boxes, Micrograph, remove_overlaps
from vitripick.models import TorchModel, choose_device
from vitripick.models.loading import import_torch
from vitripick.models.run import for_inference
from vitripick.picking import pick
from vitripick.training import TrainingSet, TrainSettings, default_settings, read_training_plan, train

torch = import_torch("a benchmark")  # its threads sleep while they wait

RECIPE = Path(__file__).parent / "two_sets.toml"
# The real sets, each with its particle's diameter in pixels of the files, as their labels were drawn.
DIAMETERS_PX = {
    "apoferritin_empiar10146": 80.0,
    "betagal_empiar10017": 27.0,
    "t20s_empiar10025": 20.0,
    "trpv1_empiar10059": 35.0,
    "klh_deepcryopicker": 80.0,
}
# Structures that the recipe of the bundled model leaves out.
HELD_OUT = (
    *("cftr", "b2ar_gs", "integrin_headpiece_fab", "lon_protease", "neuraminidase_fab", "trpv3", "apoferritin"),
    *("map_betagal", "t20s_proteasome", "t4ss_core", "map_26s", "map_fas", "t4_baseplate"),
)

SECOND_LABELS = Path(__file__).parent / "second_labels" / "labels"


@dataclass(frozen=True)
class ReadTwice:
    """Names two micrographs of a real set that people's eyes went over again, and the share of their width, from the
    left, that was looked at.
    """

    set_name: str
    share: float
    names: tuple[str, str]

    @property
    def diameter_px(self) -> float:
        """Return the particle's diameter."""
        return DIAMETERS_PX[self.set_name]

    def inside(self, boxes: Boxes, shape: tuple[int, int]) -> Boxes:
        """Return the boxes in the part of a micrograph (rows, columns) that was looked at."""
        rows, columns = shape
        right, edge = columns * self.share, self.diameter_px / 2
        keep = (boxes.x >= edge) & (boxes.x < right - edge) & (boxes.y >= edge) & (boxes.y < rows - edge)
        return boxes.select(keep).of(shape=shape)

    def labels(self, one: LabelledSet) -> dict[str, dict[str, Boxes]]:
        """Return the labels there by name of the micrograph: the `first`, the `second`, and `either` of both."""
        found: dict[str, dict[str, Boxes]] = {"first": {}, "second": {}, "either": {}}
        for name, micrograph in one.micrographs.items():
            if PurePosixPath(name).stem not in self.names:
                continue
            again = read_picks(SECOND_LABELS / self.set_name / f"{PurePosixPath(name).stem}.csv")
            first = self.inside(one.labels[name], micrograph.shape)
            second = again.renamed(name).of(shape=micrograph.shape)
            x, y = np.concatenate([first.x, second.x]), np.concatenate([first.y, second.y])
            both = Boxes.at(x, y, size_px=self.diameter_px, micrograph=name, shape=micrograph.shape)
            found["first"][name], found["second"][name] = first, second
            found["either"][name] = remove_overlaps(both, minimum_distance_px=self.diameter_px / 3)
        return found


# No training sees them, but for the second of TRPV1.
READ_TWICE = {
    "10146": ReadTwice("apoferritin_empiar10146", 1.0, ("May08_04.36.57", "May08_07.10.35")),
    "10017": ReadTwice("betagal_empiar10017", 0.5, ("Falcon_2012_06_12-14_33_35_0", "Falcon_2012_06_12-15_43_48_0")),
    "t20s": ReadTwice(
        "t20s_empiar10025", 0.6, ("14sep05c_00024sq_00003hl_00002es", "14sep05c_c_00003gr_00014sq_00002hl_00005es")
    ),
    "trpv1": ReadTwice("trpv1_empiar10059", 0.5, ("stack_0001_2x_dfpt_10059", "stack_0002_2x_dfpt_10059")),
}

# RELION's --LoG_adjust_threshold: its default, and what a person may try.
LOG_THRESHOLDS = (0.0, -1.0, -0.5, 0.5, 1.0, 1.5, 2.0, 3.0)

Picker = Callable[[Micrograph, float], Boxes]


@dataclass(frozen=True)
class LabelledSet:
    """Is a real set: its micrographs and labels, what counts neither way, and the micrographs that no training saw."""

    name: str
    diameter_px: float
    micrographs: dict[str, Micrograph]
    labels: dict[str, Boxes]
    ignored: dict[str, Boxes]
    held_out: tuple[str, ...]


def load_sets(data: Path) -> list[LabelledSet]:
    """Return the two sets that people labelled."""
    sets, _ = read_training_plan(RECIPE, data_root=data)
    return [_load(entry) for entry in sets]


def load_set(folder: Path) -> LabelledSet:
    """Return a real set with all its labelled micrographs, from `micrographs`, `coordinates` and, if any, `ignore`."""
    ignored = folder / "ignore"
    return _load(
        TrainingSet(
            micrographs=str(folder / "micrographs"),
            labels=str(folder / "coordinates"),
            ignored=str(ignored) if ignored.is_dir() else None,
        )
    )


def _load(entry: TrainingSet) -> LabelledSet:
    files = {file.name: file for file in find_micrographs([entry.micrographs])}
    pairs = pair_labels(list(files), read_all_picks(entry.labels)).pairs
    name = Path(entry.micrographs).parent.name
    return LabelledSet(
        name=name,
        diameter_px=DIAMETERS_PX[name],
        micrographs={key: read_micrograph(files[key].path, name=key) for key in pairs},
        labels=pairs,
        ignored=pair_labels(list(pairs), read_all_picks(entry.ignored)).pairs if entry.ignored else {},
        held_out=tuple(key for key in pairs if PurePosixPath(key).stem in entry.leave_out),
    )


def judge(one: LabelledSet, names: Iterable[str], picker: Picker, *, threshold: float | None) -> Evaluation:
    """Pick these micrographs and compare with their labels, border band ignored."""
    names = list(names)
    picks = {name: picker(one.micrographs[name], one.diameter_px) for name in names}
    labels = {name: one.labels[name].of(shape=one.micrographs[name].shape) for name in names}
    ignored = {name: boxes for name, boxes in one.ignored.items() if name in picks}
    return evaluate(picks, labels, diameter_px=one.diameter_px, ignored=ignored, threshold=threshold)


HEAD = (
    "| set | method | micrographs | F1 d/4 (95 %) | precision | recall | best F1 | chance F1 | F1 d/2 | AUC d/4 | "
    "AUC IoU 0.6 (95 %) | mean IoU | centre error / d | duplicates | leak |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def row(set_name: str, method: str, e: Evaluation, *, leak: str = "no") -> str:
    """Return one line of the table; a dash where there is no figure, such as the precision of no picks."""
    d, iou, half = e.criteria["distance"], e.criteria["iou"], e.criteria["half_distance"]

    def interval(value: tuple[float, float] | None) -> str:
        return f" ({value[0]:.3f}-{value[1]:.3f})" if value else ""

    def shown(value: float | None, digits: int = 3) -> str:
        return "-" if value is None else f"{value:.{digits}f}"

    error = (d.centre_error_mean_px or 0) / e.diameter_px
    cells = [
        set_name,
        method,
        str(len(e.rows)),
        shown(d.default.f1) + interval(d.f1_interval),
        shown(d.default.precision),
        shown(d.default.recall),
        shown(d.best.f1),
        shown(d.chance_f1, 2),
        shown(half.default.f1),
        shown(d.auc),
        shown(iou.auc) + interval(iou.auc_interval),
        shown(iou.mean_iou, 2),
        f"{error:.3f}",
        str(e.n_duplicates),
        leak,
    ]
    return "| " + " | ".join(cells) + " |"


def cell(path: Path, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what `path` holds; compute it and write it there first if it does not exist."""
    if path.is_file():
        return dict(json.loads(path.read_text()))
    started = time.perf_counter()
    result = {
        **compute(),
        "cell_seconds": round(time.perf_counter() - started, 1),
        "date": time.strftime("%Y-%m-%d"),
        "command": " ".join(["python", *sys.argv]),
        "machine": f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, "
        + (torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"),
        "vitripick": vitripick.__version__,
        "torch": torch.__version__,
    }
    write_text_atomically(path, json.dumps(result, indent=1) + "\n")
    return result


def simulate(out: Path, *, n: int, seed: int, recipe: str, structure: str = "", **changes: object) -> TrainingSet:
    """Run `vitripick simulate` into `out`, which goes on where it stopped; `__` in a key stands for its dot."""
    command = [sys.executable, "-m", "vitripick.cli.app", "simulate", "--recipe", recipe]
    for key, value in changes.items():
        command += ["--set", f"{key.replace('__', '.')}={value}"]
    if structure:
        command += ["--structure", structure]
    done = out / "simulated.json"
    command += ["--micrographs", str(n), "--seed", str(seed), "--out", str(out)]
    if not done.is_file() or json.loads(done.read_text()) != command[1:]:
        subprocess.run(command, check=True)
        write_text_atomically(done, json.dumps(command[1:]) + "\n")
    return TrainingSet(micrographs=str(out / "micrographs"), labels=str(out / "labels"))


def train_and_judge(
    entry: TrainingSet,
    judged: TrainingSet,
    names: tuple[str, ...],
    out: Path,
    settings: TrainSettings,
    *,
    device: str = "auto",
) -> dict[str, Any]:
    """Train on one set, pick the named micrographs of another (all of them if none is named), and judge."""
    result = train(entry, out, settings=settings, device=device)
    evaluation, seconds = judge_model(result.model, judged, names, device=device)
    return {
        **figures(evaluation),
        "steps": int(result.rows[-1]["step"]),
        "training_seconds": round(result.seconds, 1),
        "picking_seconds_a_micrograph": round(seconds, 3),
    }


def judge_model(
    model: TorchModel, judged: TrainingSet, names: tuple[str, ...], *, device: str = "auto"
) -> tuple[Evaluation, float]:
    """Return the evaluation at the model's own threshold, and seconds per micrograph."""
    files = {file.name: file for file in find_micrographs([judged.micrographs])}
    pairs = pair_labels(list(files), read_all_picks(judged.labels, box_size_px=judged.box_size_px)).pairs
    chosen = [name for name in pairs if not names or Path(name).stem in names]
    ready = TorchModel(for_inference(model.detector, choose_device(device)), model.card, model.sha256)
    picks, labels, seconds = {}, {}, 0.0
    for name in chosen:
        micrograph = read_micrograph(files[name].path, name=name)
        started = time.perf_counter()
        picks[name] = pick(micrograph, ready, threshold=0)
        seconds += time.perf_counter() - started
        labels[name] = pairs[name].of(shape=micrograph.shape)
    evaluation = evaluate(
        picks, labels, diameter_px=model.card.diameter_px, threshold=model.card.threshold, chance_level=False
    )
    return evaluation, seconds / len(chosen)


def settings_from(arguments: argparse.Namespace, architecture: str, seed: int, **changes: object) -> TrainSettings:
    """Return the architecture's recipe with what the command line asked for."""
    own = architecture == "heatmap"
    asked = {
        "steps": arguments.steps,
        "batch_size": arguments.batch_size,
        "input_size_px": None if own else arguments.input_size,
        "patches": None if own or not arguments.patches else arguments.patches,
        "learning_rate": None if own else arguments.learning_rate,
        "options": {"width": arguments.width} if own and arguments.width else None,
    }
    changes = {**{key: value for key, value in asked.items() if value is not None}, **changes}
    return default_settings(architecture, seed=seed, **changes)


def usual_parser(text: str | None) -> argparse.ArgumentParser:
    """Return the options that every script has."""
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("--out", type=Path, required=True, help="cells, trained models and simulated sets")
    parser.add_argument("--steps", type=int, help="of training, instead of each architecture's own")
    parser.add_argument("--input-size", type=int, help="yolo, inception_resnet: smaller than the paper's 1024")
    parser.add_argument("--patches", help="yolo, inception_resnet: rows x columns of patches, each at the input size")
    parser.add_argument("--learning-rate", type=float, help="yolo, inception_resnet: instead of the recipe's own")
    parser.add_argument("--batch-size", type=int, help="instead of each architecture's own")
    parser.add_argument("--width", type=int, help="heatmap: narrower than its 32 channels, for quick comparisons")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--device", default="auto")
    return parser


def micrographs_star(names: Iterable[str], pixel_size: float) -> str:
    """Return the text of a micrographs STAR of RELION 3.1, of one optics group."""
    names = list(names)
    optics = {
        **{"rlnOpticsGroupName": ["opticsGroup1"], "rlnOpticsGroup": ["1"]},
        **{"rlnMicrographPixelSize": [f"{pixel_size:g}"], "rlnVoltage": ["300"]},
        **{"rlnSphericalAberration": ["2.7"], "rlnAmplitudeContrast": ["0.1"]},
    }
    micrographs = {"rlnMicrographName": names, "rlnOpticsGroup": ["1"] * len(names)}
    blocks = (("optics", optics), ("micrographs", micrographs))
    return format_star([StarBlock(name, table=table_of(columns)) for name, columns in blocks])


def log_command(star: str, out: str, *, diameter_angstrom: float, threshold: float) -> list[str]:
    """Return the command of RELION's LoG picker for particles of this diameter, give or take a tenth."""
    return [
        *("relion_autopick", "--i", star, "--odir", f"{out}/", "--pickname", "autopick", "--LoG", "--shrink", "0"),
        *("--LoG_diam_min", f"{0.9 * diameter_angstrom:g}", "--LoG_diam_max", f"{1.1 * diameter_angstrom:g}"),
        # A sixth of the diameter is the proportion of RELION's own defaults.
        *("--lowpass", f"{diameter_angstrom / 6:g}", "--LoG_adjust_threshold", f"{threshold:g}"),
    ]


def figures(e: Evaluation) -> dict[str, Any]:
    """Return what the tables show."""
    distance, iou = e.criteria["distance"], e.criteria["iou"]
    return {
        "n_micrographs": len(e.rows),
        "n_labels": e.n_labels,
        "threshold": e.threshold,
        "auc_iou": iou.auc,
        "auc_distance": distance.auc,
        "f1": distance.default.f1,
        "f1_interval": distance.f1_interval,
        "precision": distance.default.precision,
        "recall": distance.default.recall,
        "best_f1": distance.best.f1,
        "best_threshold": distance.best.threshold,
        "precision_iou": iou.default.precision,
        "recall_iou": iou.default.recall,
        "mean_iou": iou.mean_iou,
        "centre_error_diameters": None
        if distance.centre_error_mean_px is None
        else distance.centre_error_mean_px / e.diameter_px,
    }


def table(columns: list[str], rows: list[list[Any]]) -> str:
    """Return a table in Markdown."""

    def shown(value: Any) -> str:
        return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)

    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(shown(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)
