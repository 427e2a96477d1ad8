"""`train`: labelled micrographs in, a run folder with a model bundle out."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import platform
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

import vitripick
from vitripick.atomic import atomic_path, write_bytes_atomically, write_text_atomically
from vitripick.errors import UsageError
from vitripick.images import WHOLE
from vitripick.models import (
    Detector,
    Model,
    ModelCard,
    build_detector,
    choose_device,
    full_options,
    load_model,
    save_model,
)
from vitripick.pictures import training_curves_png
from vitripick.training.checkpoint import Progress, Row
from vitripick.training.data import TrainingData, load_training_data
from vitripick.training.finetune import Trainable, freeze_all_but_last, provenance, resolve_start, settings_from
from vitripick.training.loop import run_loop
from vitripick.training.settings import TrainingSet, TrainSettings
from vitripick.training.validate import Validation

log = logging.getLogger("vitripick")


@dataclass(frozen=True, eq=False)
class TrainResult:
    """What a run gave.

    Attributes
    ----------
    model
        Ready to pick.
    path
        The bundle, `OUT/model.safetensors`.
    rows
        The training curves.
    seconds
        Of this call; a resumed run counts only its own part.
    start_figures
        What validation said of the model it started from; None where it started from scratch.
    """

    model: Model
    path: Path
    rows: list[Row]
    seconds: float
    start_figures: dict[str, float] | None = None


def train(
    sets: Sequence[TrainingSet] | TrainingSet,
    out: str | Path,
    *,
    settings: TrainSettings | None = None,
    start: Model | str | Path | None = None,
    trainable: Trainable = "all",
    name: str | None = None,
    licence: str = "not stated",
    description: str = "",
    device: str = "auto",
    on_step: Callable[[int, int, float], None] | None = None,
    on_epoch: Callable[[Row], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> TrainResult:
    """Train a model on labelled micrographs; called again with the same arguments it goes on where it stopped.

    Parameters
    ----------
    sets
        Micrographs and labels; several particles are several sets, and count alike.
    out
        The run folder: `settings.json`, `split.json`, `curves.csv`, `curves.png`, `last.pt`, `model.safetensors`
        and `model.json` (the bundle's description, to read).
    settings
        The recipe; `default_settings()` of `heatmap` by default, or the fine-tuning defaults of the start model.
    start
        A model to go on from (one in memory, a released one's name, or a bundle): its weights, architecture, options
        and preparation. Left out: from scratch.
    trainable
        With `start`: `"all"` layers go on learning, or the last so many. A layer is a convolution with its
        normalisation.
    name, licence, description
        For the bundle; the name is the run folder's by default.
    device
        `cpu`, `cuda`, … or `auto`.
    on_step, on_epoch
        For progress: (step, steps, loss) after each step, the newest row of the curves after each validation.
    should_stop
        Asked after each step; true ends the run with `Stopped`, and the same call goes on from that step.

    Returns
    -------
    TrainResult
        With the best validated weights and the threshold tuned on the validation micrographs.

    Raises
    ------
    InputError, UsageError
        If data or settings cannot be used, or `out` holds another run.
    Stopped
        If `should_stop` said so. `OUT/best.safetensors` is there once something was validated.
    """
    started = time.perf_counter()
    out = Path(out)
    if start is None and trainable != "all":
        raise UsageError("only a trained model has layers worth keeping: give --from with --train-last.")
    origin = None if start is None else resolve_start(start)
    settings = (settings or TrainSettings()) if origin is None else settings_from(origin, settings)
    sets = [sets] if isinstance(sets, TrainingSet) else list(sets)
    target = choose_device(device)
    options = _options(settings)
    settings = settings.model_copy(update={"options": options})
    torch.manual_seed(settings.seed)
    detector = build_detector(settings.architecture, options)
    frozen: Sequence[torch.nn.Module] = ()
    if origin is None:
        preparation = detector.default_preparation(
            working_diameter_px=settings.working_diameter_px, input_size_px=settings.input_size_px
        ).with_patches(settings.patches or WHOLE)
        data = load_training_data(sets, settings, preparation)
        _set_priors(detector, data)
    else:
        preparation = origin.card.preparation
        data = load_training_data(sets, settings, preparation)
        # Priors such as the anchor are part of what the weights mean, and come with them.
        detector.load_state_dict(origin.detector.state_dict())
        if trainable != "all":
            frozen = freeze_all_but_last(detector, trainable)
    started_from = None if origin is None else provenance(origin, trainable)

    out.mkdir(parents=True, exist_ok=True)
    fingerprint = _fingerprint(data, settings, started_from)
    _write_provenance(out, sets, settings, data, target, fingerprint, started_from)
    card = ModelCard(
        name=name or out.resolve().name,
        description=description,
        licence=licence,
        architecture=settings.architecture,
        options=full_options(settings.architecture, options),
        preparation=preparation,
        **_particle(data),
        training=_training_summary(settings, data, started_from),
    )
    best_path = out / "best.safetensors"

    def keep_best(best: Detector, validation: Validation) -> None:
        figures = {"validation": {**vars(validation), "criterion": "F1 and AUC at d/4; AUC at IoU 0.6"}}
        update = {"threshold": validation.threshold, "training": {**card.training, **figures}}
        save_model(Model(best, card.model_copy(update=update)), best_path)

    def keep_curves(progress: Progress) -> None:
        _write_curves(out, progress.rows)
        if on_epoch is not None:
            on_epoch(progress.rows[-1])

    def tell(step: int, loss: float) -> None:
        if on_step is not None:
            on_step(step, settings.steps, loss)

    progress = run_loop(
        detector,
        data,
        settings,
        device=target,
        checkpoint=out / "last.pt",
        fingerprint=fingerprint,
        on_best=keep_best,
        on_epoch=keep_curves,
        on_step=tell,
        frozen=frozen,
        is_trained=origin is not None,
        should_stop=should_stop,
    )
    path = out / "model.safetensors"
    with atomic_path(path) as temporary:
        shutil.copyfile(best_path, temporary)
    model = load_model(path)
    write_text_atomically(out / "model.json", model.card.model_dump_json(indent=2) + "\n")
    return TrainResult(model, path, progress.rows, time.perf_counter() - started, progress.start_figures or None)


def _options(settings: TrainSettings) -> dict[str, Any]:
    """The scale that the settings choose, handed to the architecture where it has an option of that name."""
    options = dict(settings.options)
    known = full_options(settings.architecture, {})
    for key in ("working_diameter_px", "input_size_px"):
        value = getattr(settings, key)
        if value is None:
            continue
        if key not in known:
            option = {"input_size_px": "--input-size"}.get(key, "--" + key.replace("_", "-"))
            raise UsageError(f"architecture {settings.architecture!r} has no {option} to choose.")
        options[key] = value
    return options


def _set_priors(detector: Detector, data: TrainingData) -> None:
    boxes = [sample.labels[:, 2:] for sample in data.training if len(sample.labels)]
    detector.set_priors(np.concatenate(boxes).astype(np.float64) if boxes else np.empty((0, 2)))


def _particle(data: TrainingData) -> dict[str, Any]:
    """Which particle the bundle falls back on: only a model of one particle has one."""
    known = [d for d in data.diameters_angstrom if d is not None]
    span = (min(known), max(known)) if known else None
    if len(data.diameters_px) > 1:
        return {"diameter_range_angstrom": span}
    return {
        "diameter_px": data.diameters_px[0],
        "diameter_angstrom": data.diameters_angstrom[0],
        "diameter_range_angstrom": span,
    }


def _training_summary(
    settings: TrainSettings, data: TrainingData, started_from: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        **({} if started_from is None else {"started_from": started_from}),
        "settings": settings.model_dump(),
        "split": data.split,
        "diameters_px": data.diameters_px,
        "n_labels": int(sum(len(sample.labels) for sample in data.training)),
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    return {
        "vitripick": vitripick.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }


def _fingerprint(data: TrainingData, settings: TrainSettings, started_from: dict[str, Any] | None) -> str:
    """Of everything that decides the weights: the recipe, the start model, every prepared pixel and label."""
    digest = hashlib.sha256(settings.model_dump_json().encode())
    if started_from is not None:
        digest.update(f"{started_from['weights_sha256']} {started_from['trainable']}".encode())
    for sample in [*data.training, *data.validation]:
        digest.update(sample.name.encode())
        digest.update(sample.image.tobytes())
        digest.update(sample.labels.tobytes())
    return digest.hexdigest()


def _write_provenance(
    out: Path,
    sets: Sequence[TrainingSet],
    settings: TrainSettings,
    data: TrainingData,
    device: torch.device,
    fingerprint: str,
    started_from: dict[str, Any] | None,
) -> None:
    effective = {
        "sets": [entry.model_dump() for entry in sets],
        "training": settings.model_dump(),
        "started_from": started_from,
        "device": str(device),
        "threads": torch.get_num_threads(),
        "versions": _versions(),
        "fingerprint": fingerprint,
    }
    write_text_atomically(out / "settings.json", json.dumps(effective, indent=2) + "\n")
    write_text_atomically(out / "split.json", json.dumps(data.split, indent=2) + "\n")


def _write_curves(out: Path, rows: list[Row]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text_atomically(out / "curves.csv", text.getvalue())
    write_bytes_atomically(out / "curves.png", training_curves_png(rows))
