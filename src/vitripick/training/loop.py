"""The training loop: seeded step by step, so that a killed run resumed gives the same weights as one that was not.

Every random number of step s comes from (seed, s): crops, augmentation and dropout. A checkpoint therefore holds
weights, averaged weights, the optimiser and a step count, and nothing of any generator.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from vitripick.errors import InputError, Stopped
from vitripick.models.detector import Detector
from vitripick.models.run import for_inference
from vitripick.training.batches import Batch, Batches
from vitripick.training.checkpoint import Progress, restore_checkpoint, save_checkpoint
from vitripick.training.data import Sample, TrainingData
from vitripick.training.finetune import keep_frozen
from vitripick.training.precision import autocast, training_precision
from vitripick.training.processes import Processes
from vitripick.training.settings import TrainSettings
from vitripick.training.unlabelled import at_the_start, reconsider, take_places
from vitripick.training.validate import Validation, validate

# Validation on fewer labels than this tells nothing of which weights are better.
_FEW_LABELS = 10
# A checkpoint of `yolo` is 800 MB: on a GPU's machine writing it took longer than the 100 steps before it.
_SECONDS_BETWEEN_CHECKPOINTS = 30.0


def run_loop(
    detector: Detector,
    data: TrainingData,
    settings: TrainSettings,
    *,
    processes: Processes,
    checkpoint: Path,
    fingerprint: str,
    on_best: Callable[[Detector, Validation], None],
    on_epoch: Callable[[Progress], None],
    on_step: Callable[[int, float], None],
    is_trained: bool = False,
    should_stop: Callable[[], bool] | None = None,
    n_workers: int = 0,
) -> Progress:
    """Train until the steps are done or patience runs out; goes on where `checkpoint` stands if it exists.

    Parameters
    ----------
    detector
        Fresh, or with the weights to start from, some of them frozen; trained in place.
    data, settings, processes
        What to learn from, how, and where: in this process alone, or among several.
    checkpoint
        `last.pt`, written after a validation, though not more often than every 30 s; at the end, and when the run is
        stopped.
    fingerprint
        Of settings and data: a checkpoint of another run is refused.
    on_best
        Gets the averaged detector each time it is the best so far.
    on_epoch, on_step
        For curves and progress.
    is_trained
        The detector comes from a model: it is validated as it is, and what training makes of it must be better.
    should_stop
        Asked after each step.
    n_workers
        How many draw crops beside the network (`Batches`); it changes no weight.

    Raises
    ------
    UsageError
        If the checkpoint belongs to a run with other settings or data.
    Stopped
        If `should_stop` said so; the checkpoint holds everything up to this step.
    """
    device = processes.device
    detector.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged = build_average(detector)
    optimiser = _optimiser(detector, settings)
    progress, samples = Progress(), at_the_start(data.training, settings)
    if checkpoint.is_file():
        progress, samples = restore_checkpoint(checkpoint, fingerprint, detector, averaged, optimiser, samples)
    elif is_trained:
        if processes.is_first:
            start = _validate(detector, averaged, data)
            progress.start_figures = dict(vars(start[1]))
            _keep_if_best(progress, *start, on_best)
        progress = processes.share(progress)
    network = processes.wrap(detector)
    batches = Batches(detector, samples, settings, n_workers=n_workers, rank=processes.rank)

    saved_at = time.monotonic()

    def save() -> None:
        nonlocal saved_at
        if processes.is_first:
            save_checkpoint(checkpoint, fingerprint, detector, averaged, optimiser, progress, samples)
            saved_at = time.monotonic()

    network.train()
    keep_frozen(detector)
    while not _is_done(progress, settings):
        end = min((progress.step // settings.steps_per_epoch + 1) * settings.steps_per_epoch, settings.steps)
        for batch in batches.epoch(progress.step, end):
            loss = _step(network, detector, optimiser, batch, settings, progress.step, processes)
            progress.step += 1
            _average(averaged, detector, settings.ema_decay, progress.step)
            wants_stop = processes.is_first and should_stop is not None and should_stop()
            loss, stops = processes.average([loss, float(wants_stop)])
            progress.losses.append(loss)
            on_step(progress.step, loss)
            if progress.step == end:
                if processes.is_first:
                    samples = _end_epoch(progress, detector, averaged, data, settings, on_best)
                progress, samples = processes.share(progress), take_places(samples, processes)
                batches.replace_samples(samples)
                if _is_done(progress, settings) or time.monotonic() - saved_at >= _SECONDS_BETWEEN_CHECKPOINTS:
                    save()
                on_epoch(progress)
            if stops:
                save()
                raise Stopped(f"stopped at step {progress.step} of {settings.steps}; run again to go on from here.")
    return progress


def _is_done(progress: Progress, settings: TrainSettings) -> bool:
    return progress.step >= settings.steps or progress.epochs_without_gain >= settings.patience_epochs


def learning_rate_at(step: int, settings: TrainSettings) -> float:
    """Linear warm-up, then a cosine down to a hundredth of `settings.learning_rate`, as often as there are restarts."""
    warmup = max(1, round(settings.warmup_share * settings.steps))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    through = (step - warmup) / max(1, settings.steps - warmup)
    through = through * (settings.warm_restarts + 1) % 1
    return settings.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * through)))


def build_average(detector: Detector) -> dict[str, Tensor]:
    """The averaged weights' starting point: a copy of every parameter and buffer."""
    return {name: value.detach().clone() for name, value in detector.state_dict().items()}


def _step(
    network: nn.Module,
    detector: Detector,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    settings: TrainSettings,
    step: int,
    processes: Processes,
) -> float:
    """One step of the optimiser; `network` is the detector, or what wraps it among several processes."""
    device = processes.device
    for group in optimiser.param_groups:
        group["lr"] = learning_rate_at(step, settings)
    _seed_dropout(settings.seed * 1_000_003 + step + processes.rank * 7_919, device)
    images = batch.images.to(device).contiguous(memory_format=torch.channels_last)
    precision = training_precision(settings.precision, device, settings.architecture)
    with autocast(precision, device):
        raw = network(images)
    parts = detector.loss(raw.float(), batch.targets.to(device), batch.weight.to(device))
    loss = torch.stack(list(parts.values())).sum()
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(detector.parameters(), 10.0)
    optimiser.step()
    value = float(loss.detach())
    if not math.isfinite(value):
        raise InputError(
            f"the loss became {value} at step {step}; lower --learning-rate, or look for micrographs whose "
            "intensities are broken (vitripick warns of NaN when it reads them)."
        )
    return value


def _seed_dropout(seed: int, device: torch.device) -> None:
    # Not torch.manual_seed: without CUDA it remembers every call, with its stack, for a device that never comes.
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def _end_epoch(
    progress: Progress,
    detector: Detector,
    averaged: dict[str, Tensor],
    data: TrainingData,
    settings: TrainSettings,
    on_best: Callable[[Detector, Validation], None],
) -> list[Sample]:
    """Validate; gives the samples to go on with."""
    average, validation = _validate(detector, averaged, data)
    progress.rows.append(
        {
            "step": progress.step,
            "train_loss": float(np.mean(progress.losses)),
            "validation_f1": validation.f1,
            "validation_auc": validation.auc,
            "validation_auc_iou": validation.auc_iou,
            "threshold": validation.threshold,
            "learning_rate": learning_rate_at(progress.step - 1, settings),
        }
    )
    progress.losses.clear()
    _keep_if_best(progress, average, validation, on_best)
    return reconsider(data.training, for_inference(average, _device(averaged)), settings)


def _validate(detector: Detector, averaged: dict[str, Tensor], data: TrainingData) -> tuple[Detector, Validation]:
    """The averaged detector, and how good it is."""
    average = copy.deepcopy(detector).eval()
    average.load_state_dict(averaged)
    return average, validate(for_inference(average, _device(averaged)), data.validation)


def _device(averaged: dict[str, Tensor]) -> torch.device:
    return next(iter(averaged.values())).device


def _keep_if_best(
    progress: Progress, detector: Detector, validation: Validation, on_best: Callable[[Detector, Validation], None]
) -> None:
    # So few labels tell no weights from others: then the longest trained are it. So are they of equals: where every
    # particle is found early, sizes are still being learnt. A model that training began with must be beaten.
    few = validation.n_labels < _FEW_LABELS
    gained = few or validation.score > progress.best_score
    progress.epochs_without_gain = 0 if gained else progress.epochs_without_gain + 1
    if gained or (validation.score == progress.best_score and progress.best_step > 0):
        progress.best_score = validation.score
        progress.best_step = progress.step
        progress.best_threshold = validation.threshold
        on_best(detector, validation)


def _optimiser(detector: Detector, settings: TrainSettings) -> torch.optim.Optimizer:
    kind = torch.optim.Adam if settings.optimiser == "adam" else torch.optim.AdamW
    learning = [parameter for parameter in detector.parameters() if parameter.requires_grad]
    return kind(learning, lr=settings.learning_rate, weight_decay=settings.weight_decay)


@torch.no_grad()
def _average(averaged: dict[str, Tensor], detector: Detector, decay: float, step: int) -> None:
    # Early on the average follows closely: it must remember neither a random start nor the model it started from.
    decay = min(decay, step / (step + 10))
    current = detector.state_dict()
    learnt = [name for name, value in current.items() if value.dtype.is_floating_point]
    # All at once: on a GPU a call for each of hundreds of tensors takes longer than the sums.
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    average([averaged[name] for name in learnt], [current[name] for name in learnt], step)
    for name in current.keys() - set(learnt):
        averaged[name].copy_(current[name])
