"""Run the training loop. Each step has its own seed, so a resumed run gives the same weights as an uninterrupted one.

Every random number of step s comes from (seed, s): crops, augmentation and dropout. So a checkpoint holds weights,
averaged weights, the optimiser and a step count, but no state of a generator.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from vitripick.errors import InputError, Stopped, parameter
from vitripick.models.detector import Detector
from vitripick.models.run import for_inference
from vitripick.settings.train import TrainSettings
from vitripick.training.batches import Batches, TrainingBatch
from vitripick.training.checkpoint import Checkpoint, TrainingProgress, TrainingState
from vitripick.training.finetune import keep_frozen
from vitripick.training.precision import autocast, training_precision
from vitripick.training.processes import Processes
from vitripick.training.samples import TrainingData
from vitripick.training.unlabelled import at_the_start, broadcast_places, reconsider, reconsiders
from vitripick.training.validate import Validation, validate

# Validation on fewer labels than this does not show which weights are better.
_FEW_LABELS = 10
# A checkpoint of `yolo` is 800 MB: on a GPU's machine writing it took longer than the 100 steps before it.
_SECONDS_BETWEEN_CHECKPOINTS = 30.0


OnBest = Callable[[Detector, Validation], None]


@dataclass(frozen=True)
class LoopCallbacks:
    """Holds the functions that the loop calls.

    Attributes
    ----------
    on_best
        Gets the averaged detector each time it is the best so far.
    on_epoch, on_step
        For curves and progress; the latter gets the step and its loss.
    should_stop
        Asked after each step.
    """

    on_best: OnBest
    on_epoch: Callable[[TrainingProgress], None]
    on_step: Callable[[int, float], None]
    should_stop: Callable[[], bool]


def run_loop(
    detector: Detector,
    data: TrainingData,
    settings: TrainSettings,
    *,
    processes: Processes,
    checkpoint: Checkpoint,
    callbacks: LoopCallbacks,
    is_trained: bool = False,
    n_workers: int = 0,
) -> TrainingProgress:
    """Train until the steps are done or patience runs out; go on from the checkpoint if there is one.

    Parameters
    ----------
    detector
        Fresh, or with the weights to start from, some of them frozen; trained in place.
    data, settings, processes
        What to learn from, how, and where: in this process alone, or among several.
    checkpoint
        Written after a validation, though not more often than every 30 s; at the end, and when the run is stopped. One
        of another run is refused.
    callbacks
        With several processes, only the first one keeps the best detector and asks whether to stop.
    is_trained
        Whether the detector comes from a model. Then it is validated first, and trained weights are kept only if they
        are better.
    n_workers
        Number of workers that draw crops (`Batches`); it does not change the weights.

    Raises
    ------
    UsageError
        If the checkpoint belongs to a run with other settings or data.
    Stopped
        If `should_stop` returned true; the checkpoint holds everything up to this step.
    """
    detector.to(device=processes.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = TrainingState(
        detector,
        averaged=build_average(detector),
        optimiser=_optimiser(detector, settings),
        progress=TrainingProgress(),
        samples=at_the_start(data.training, settings),
    )
    if checkpoint.path.is_file():
        checkpoint.restore(state)
    elif is_trained:
        if processes.is_first:
            average, validation = _validate(state, data)
            _keep_if_best(state.progress, average, validation, callbacks.on_best)
            state.progress.start_figures = dict(vars(validation))
        state.progress = processes.share(state.progress)
    network = processes.wrap(detector)
    batches = Batches(detector, state.samples, settings, n_workers=n_workers, rank=processes.rank)

    saved_at = time.monotonic()

    def save() -> None:
        nonlocal saved_at
        if processes.is_first:
            checkpoint.save(state)
            saved_at = time.monotonic()

    network.train()
    keep_frozen(detector)
    while not _is_done(state.progress, settings):
        first = state.progress.step
        end = min((first // settings.steps_per_epoch + 1) * settings.steps_per_epoch, settings.steps)
        for batch in batches.epoch(first, end):
            loss = _step(network, state, batch, settings, processes)
            state.progress.step += 1
            _average(state, settings.ema_decay)
            wants_stop = processes.is_first and callbacks.should_stop()
            loss, stops = processes.average([loss, float(wants_stop)])
            state.progress.losses.append(loss)
            callbacks.on_step(state.progress.step, loss)
            if state.progress.step == end:
                if processes.is_first:
                    _end_epoch(state, data, settings, callbacks.on_best)
                state.progress = processes.share(state.progress)
                if reconsiders(settings):
                    state.samples = broadcast_places(state.samples, processes)
                    batches.replace_samples(state.samples)
                if _is_done(state.progress, settings) or time.monotonic() - saved_at >= _SECONDS_BETWEEN_CHECKPOINTS:
                    save()
                callbacks.on_epoch(state.progress)
            if stops:
                save()
                raise Stopped(
                    f"stopped at step {state.progress.step} of {settings.steps}; run again to go on from here."
                )
    return state.progress


def _is_done(progress: TrainingProgress, settings: TrainSettings) -> bool:
    return progress.step >= settings.steps or progress.epochs_without_gain >= settings.patience_epochs


def learning_rate_at(step: int, settings: TrainSettings) -> float:
    """Return the rate of a step: a linear warm-up, then a cosine down to a hundredth, again after each restart."""
    warmup = max(1, round(settings.warmup_share * settings.steps))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    through = (step - warmup) / max(1, settings.steps - warmup)
    through = through * (settings.warm_restarts + 1) % 1
    return settings.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * through)))


def build_average(detector: Detector) -> dict[str, Tensor]:
    """Return the averaged weights' starting point: a copy of every parameter and buffer."""
    return {name: value.detach().clone() for name, value in detector.state_dict().items()}


def _step(
    network: nn.Module, state: TrainingState, batch: TrainingBatch, settings: TrainSettings, processes: Processes
) -> float:
    """Take one step of the optimiser and return its loss; with several processes, `network` wraps the detector."""
    detector, optimiser, step, device = state.detector, state.optimiser, state.progress.step, processes.device
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
            f"the loss became {value} at step {step}; lower {parameter('learning_rate')}, or look for micrographs "
            "whose intensities are broken (vitripick warns of NaN when it reads them)."
        )
    return value


def _seed_dropout(seed: int, device: torch.device) -> None:
    # torch.manual_seed is not used: without CUDA it keeps every call, with its stack, for a device that is never there.
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def _end_epoch(
    state: TrainingState,
    data: TrainingData,
    settings: TrainSettings,
    on_best: OnBest,
) -> None:
    """Validate, add to the curves, keep the best, and reconsider the samples to go on with."""
    progress = state.progress
    average, validation = _validate(state, data)
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
    state.samples = reconsider(data.training, for_inference(average, _device(state.averaged)), settings)


def _validate(state: TrainingState, data: TrainingData) -> tuple[Detector, Validation]:
    """Return the averaged detector and its figures."""
    average = copy.deepcopy(state.detector).eval()
    average.load_state_dict(state.averaged)
    return average, validate(for_inference(average, _device(state.averaged)), data.validation)


def _device(averaged: dict[str, Tensor]) -> torch.device:
    return next(iter(averaged.values())).device


def _keep_if_best(
    progress: TrainingProgress,
    detector: Detector,
    validation: Validation,
    on_best: OnBest,
) -> None:
    # Weights count as better only if they differ by more than one label in all; with very few labels this shows
    # nothing. Then the longest trained weights are kept, because they go on learning sizes after every particle is
    # found. The model that training began with must be beaten.
    few = validation.n_labels < _FEW_LABELS
    one_label = 1 / max(1, validation.n_labels)
    gained = few or validation.score > progress.best_score
    start = (progress.start_figures["auc"] + progress.start_figures["auc_iou"]) / 2 if progress.start_figures else -1.0
    progress.epochs_without_gain = 0 if gained else progress.epochs_without_gain + 1
    if few or (validation.score > start and validation.score >= progress.best_score - one_label):
        progress.best_score = max(progress.best_score, validation.score)
        progress.best_step = progress.step
        progress.best_threshold = validation.threshold
        on_best(detector, validation)


def _optimiser(detector: Detector, settings: TrainSettings) -> torch.optim.Optimizer:
    kind = torch.optim.Adam if settings.optimiser == "adam" else torch.optim.AdamW
    learning = [parameter for parameter in detector.parameters() if parameter.requires_grad]
    return kind(learning, lr=settings.learning_rate, weight_decay=settings.weight_decay)


@torch.no_grad()
def _average(state: TrainingState, decay: float) -> None:
    averaged, step = state.averaged, state.progress.step
    # At first the average follows closely, because it must forget the random start, or the model that it started from.
    decay = min(decay, step / (step + 10))
    current = state.detector.state_dict()
    learnt = [name for name, value in current.items() if value.dtype.is_floating_point]
    # All tensors are averaged in one call, because on a GPU hundreds of calls take longer than the sums.
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    average([averaged[name] for name in learnt], [current[name] for name in learnt], step)
    for name in current.keys() - set(learnt):
        averaged[name].copy_(current[name])
