"""Train a model: labelled micrographs in, a run folder with a model bundle out."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vitripick.atomic import atomic_path, check_folder, write_text_atomically
from vitripick.cores import usable_cores
from vitripick.errors import ResourceError, UsageError, parameter
from vitripick.images import WHOLE, Preparation
from vitripick.models import (
    Detector,
    Model,
    ModelCard,
    TorchModel,
    build_detector,
    choose_device,
    full_options,
    load_weights,
    read_model_card,
    save_model,
)
from vitripick.settings.train import About, SimulatedSet, TrainingSet, TrainSettings
from vitripick.text import count
from vitripick.training.callbacks import Callbacks
from vitripick.training.checkpoint import Checkpoint, Row, TrainingProgress
from vitripick.training.data import load_training_data
from vitripick.training.finetune import Trainable, freeze_all_but_last, provenance, settings_from
from vitripick.training.loop import LoopCallbacks, run_loop
from vitripick.training.processes import Processes, join_processes
from vitripick.training.samples import TrainingData
from vitripick.training.simulated import with_simulated
from vitripick.training.training_record import (
    check_run_folder,
    fingerprint,
    training_summary,
    write_curves,
    write_provenance,
)
from vitripick.training.validate import Validation


@dataclass(frozen=True, eq=False)
class TrainResult:
    """Holds the result of a training.

    Attributes
    ----------
    model
        EngineModel to pick.
    path
        The bundle, `OUT/model.safetensors`.
    rows
        The training curves.
    seconds
        Seconds of this call; a resumed run counts only its own part.
    start_figures
        Figures of the model that it started from; None if it started from scratch.
    """

    model: TorchModel
    path: Path
    rows: list[Row]
    seconds: float
    start_figures: dict[str, float] | None = None


def train(
    sets: Sequence[TrainingSet | SimulatedSet] | TrainingSet,
    out: str | Path,
    *,
    settings: TrainSettings | None = None,
    start: Model | str | Path | None = None,
    trainable: Trainable = "all",
    about: About | None = None,
    device: str = "auto",
    n_workers: int | None = None,
    simulated_fields: str | Path | None = None,
    callbacks: Callbacks | None = None,
) -> TrainResult:
    """Train a model on labelled micrographs; called again with the same arguments it goes on where it stopped.

    If torchrun starts several processes, each of them calls this. Then the batch is larger by their number, and only
    the first one writes and reports.

    Parameters
    ----------
    sets
        Micrographs and labels, or what to simulate; several particles are several sets, and count alike.
    out
        The run folder: `settings.json`, `split.json`, `curves.csv`, `curves.png`, `last.pt`, `model.safetensors`
        and `model.json` (the bundle's description, to read).
    settings
        How to train; by default `default_settings()`, or the fine-tuning defaults of the start model.
    start
        A model to go on from (one in memory, a released one's name, or a bundle): its weights, architecture, options
        and preparation. Left out: from scratch.
    trainable
        With `start`: `"all"` layers go on learning, or a number of the last ones. A layer is a convolution with its
        normalisation.
    about
        Name, licence and description of the new model.
    device
        `cpu`, `cuda`, … or `auto`.
    n_workers
        Processes (threads, for whole micrographs and patches) that draw and augment beside the network; how many
        changes no weight. By default none on a CPU, where the network needs the cores, and up to eight for a GPU.
    simulated_fields
        Where simulated fields are kept, for several runs on the same ones; `OUT/fields` by default.
    callbacks
        For progress, and to stop the run.

    Returns
    -------
    TrainResult
        With the best validated weights and the threshold tuned on the validation micrographs.

    Raises
    ------
    InputError, UsageError
        If data or settings cannot be used, or `out` holds another run.
    ResourceError
        If memory runs out.
    Stopped
        If a callback asked for it. `OUT/best.safetensors` is there once something was validated.
    """
    started = time.perf_counter()
    out, callbacks = Path(out), callbacks or Callbacks()
    if start is None and trainable != "all":
        raise UsageError(
            f"only a trained model has layers to keep: give {parameter('start')} with {parameter('trainable')}."
        )
    origin = None if start is None else load_weights(start)
    settings = (settings or TrainSettings()) if origin is None else settings_from(origin, settings)
    sets = [sets] if isinstance(sets, TrainingSet) else list(sets)
    settings = settings.model_copy(update={"options": _options(settings)})
    check_folder(out)
    torch.manual_seed(settings.seed)
    detector = build_detector(settings.architecture, settings.options)
    if origin is None:
        preparation = detector.default_preparation().with_patches(settings.patches or WHOLE)
    else:
        preparation = origin.card.preparation
    target = choose_device(device)
    callbacks.on_stage("reading micrographs and labels")
    data = _load(sets, settings, preparation, Path(simulated_fields or out / "fields"), callbacks)
    if origin is None:
        _set_priors(detector, data)
    else:
        # Priors such as the anchor belong to the weights, and are taken over with them.
        detector.load_state_dict(origin.detector.state_dict())
        if trainable != "all":
            freeze_all_but_last(detector, trainable)
    started_from = None if origin is None else provenance(origin, trainable)
    card = _card(about or About(), out, settings, preparation, data, started_from)
    best_path, path = out / "best.safetensors", out / "model.safetensors"

    def keep_best(best: Detector, validation: Validation) -> None:
        figures = {"validation": {**vars(validation), "criterion": "F1 and AUC at d/4; AUC at IoU 0.6"}}
        update = {"threshold": validation.threshold, "training": {**card.training, **figures}}
        save_model(TorchModel(best, card.model_copy(update=update)), best_path)

    with join_processes(target) as processes:

        def keep_curves(progress: TrainingProgress) -> None:
            if processes.is_first:
                write_curves(out, progress.rows)
                callbacks.on_epoch(progress.rows[-1])

        def report_step(step: int, loss: float) -> None:
            if processes.is_first:
                callbacks.on_step(step, settings.steps, loss)

        run_fingerprint = fingerprint(data, settings, started_from, processes.world)
        checkpoint = Checkpoint(out / "last.pt", run_fingerprint)
        check_run_folder(out, checkpoint)
        processes.share(None)
        if processes.is_first:
            out.mkdir(parents=True, exist_ok=True)
            write_provenance(out, sets, settings, data, processes, run_fingerprint, started_from)
            callbacks.on_stage(_in_words(settings, data, str(target)))
        try:
            progress = run_loop(
                detector,
                data,
                settings,
                processes=processes,
                checkpoint=checkpoint,
                callbacks=LoopCallbacks(keep_best, keep_curves, report_step, callbacks.should_stop),
                is_trained=origin is not None,
                n_workers=_n_workers(n_workers, processes),
            )
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise ResourceError(
                f"out of memory while training ({error}); give a smaller {parameter('batch_size')}, or a smaller "
                f"{parameter('input_size_px')}."
            ) from error
        if processes.is_first:
            with atomic_path(path) as temporary:
                shutil.copyfile(best_path, temporary)
            write_text_atomically(out / "model.json", read_model_card(path).model_dump_json(indent=2) + "\n")
        processes.share(None)
    return TrainResult(
        load_weights(path), path, progress.rows, time.perf_counter() - started, progress.start_figures or None
    )


def _load(
    sets: Sequence[TrainingSet | SimulatedSet],
    settings: TrainSettings,
    preparation: Preparation,
    fields: Path,
    callbacks: Callbacks,
) -> TrainingData:
    if not sets:
        raise UsageError("nothing to train on: give at least one TrainingSet or SimulatedSet.")
    labelled = [entry for entry in sets if isinstance(entry, TrainingSet)]
    simulated = [entry for entry in sets if isinstance(entry, SimulatedSet)]
    data = load_training_data(labelled, settings, preparation)
    return with_simulated(data, simulated, fields, preparation, on_chunk=callbacks.on_field)


def _in_words(settings: TrainSettings, data: TrainingData, device: str) -> str:
    """Return what the training works on, in a line."""
    teaching, validating = ({(s.set_index, s.name) for s in part} for part in (data.training, data.validation))
    labels = count("label", sum(len(sample.labels) for sample in data.training))
    # If there is a single micrograph, one part of it trains and the other validates.
    validate = "a part of it validates" if teaching == validating else f"{count('other', len(validating))} to validate"
    return (
        f"training {settings.architecture} on {device}: {settings.steps} steps, "
        f"{count('micrograph', len(teaching))} with {labels}, {validate}"
    )


def _card(
    about: About,
    out: Path,
    settings: TrainSettings,
    preparation: Preparation,
    data: TrainingData,
    started_from: dict[str, Any] | None,
) -> ModelCard:
    return ModelCard(
        name=about.name or out.resolve().name,
        description=about.description,
        licence=about.licence,
        architecture=settings.architecture,
        options=full_options(settings.architecture, settings.options),
        preparation=preparation,
        **_particle(data),
        training=training_summary(settings, data, started_from),
    )


def _n_workers(wanted: int | None, processes: Processes) -> int:
    if wanted is not None:
        return wanted
    if processes.device.type == "cpu":
        return 0
    return min(8, max(0, usable_cores() // processes.world - 1))


def _options(settings: TrainSettings) -> dict[str, Any]:
    """Return the architecture's options, with the scale that the settings choose where it has such an option."""
    options = dict(settings.options)
    known = full_options(settings.architecture, {})
    for key in ("working_diameter_px", "input_size_px"):
        value = getattr(settings, key)
        if value is None:
            continue
        if key not in known:
            raise UsageError(f"architecture {settings.architecture!r} has no {parameter(key)} to choose.")
        options[key] = value
    return options


def _set_priors(detector: Detector, data: TrainingData) -> None:
    boxes = [sample.labels[:, 2:] for sample in data.training if len(sample.labels)]
    detector.set_priors(np.concatenate(boxes).astype(np.float64) if boxes else np.empty((0, 2)))


def _particle(data: TrainingData) -> dict[str, Any]:
    """Return the particle that the bundle uses by default: only a model of one particle has one."""
    known = [d for d in data.diameters_angstrom if d is not None]
    span = (min(known), max(known)) if known else None
    if len(data.split) > 1 or not data.diameters_px:
        return {"diameter_range_angstrom": span}
    return {
        "diameter_px": data.diameters_px[0],
        "diameter_angstrom": data.diameters_angstrom[0],
        "diameter_range_angstrom": span,
    }
