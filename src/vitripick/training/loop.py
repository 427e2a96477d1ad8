"""The training loop: seeded step by step, so that a killed run resumed gives the same weights as one that was not.

Every random number of step s comes from (seed, s): crops, augmentation and dropout. A checkpoint therefore holds
weights, averaged weights, the optimiser and a step count, and nothing of any generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vitripick.atomic import atomic_path
from vitripick.errors import InputError, UsageError
from vitripick.models import build_detector
from vitripick.models.detector import Detector
from vitripick.models.run import for_inference
from vitripick.training.contaminants import paint_contaminants, replace_by_noise
from vitripick.training.crops import augment, draw_crop, draw_whole
from vitripick.training.data import Sample, TrainingData
from vitripick.training.settings import TrainSettings
from vitripick.training.validate import Validation, validate

Row = dict[str, float]


@dataclass
class Progress:
    """Where a run stands, all that resuming needs beside the weights.

    Attributes
    ----------
    step
        Optimiser steps done.
    rows
        One for each validation: the training curves.
    best_score, best_step, best_threshold
        Of the best validation so far.
    epochs_without_gain
        Validations since.
    """

    step: int = 0
    rows: list[Row] = field(default_factory=list)
    best_score: float = -1.0
    best_step: int = 0
    best_threshold: float = 0.3
    epochs_without_gain: int = 0


@dataclass(frozen=True, eq=False)
class Batch:
    """One step's input: images (n, 1, p, p), the detector's targets, weight (n, 1, p, p)."""

    images: Tensor
    targets: Tensor
    weight: Tensor


def run_loop(
    detector: Detector,
    data: TrainingData,
    settings: TrainSettings,
    *,
    device: torch.device,
    checkpoint: Path,
    fingerprint: str,
    on_best: Callable[[Detector, Validation], None],
    on_epoch: Callable[[Progress], None],
    on_step: Callable[[int, float], None],
) -> Progress:
    """Train until the steps are done or patience runs out; goes on where `checkpoint` stands if it exists.

    Parameters
    ----------
    detector
        Fresh, or with the weights to start from; trained in place.
    data, settings, device
        What to learn from, how, and where.
    checkpoint
        `last.pt`, written after each validation.
    fingerprint
        Of settings and data: a checkpoint of another run is refused.
    on_best
        Gets the averaged detector each time it is the best so far.
    on_epoch, on_step
        For curves and progress.

    Raises
    ------
    UsageError
        If the checkpoint belongs to a run with other settings or data.
    """
    detector.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged = build_average(detector)
    optimiser = _optimiser(detector, settings)
    progress = Progress()
    if checkpoint.is_file():
        progress = _restore(checkpoint, fingerprint, detector, averaged, optimiser, device)
    batches = _Batches(detector, data.training, settings)
    detector.train()
    losses: list[float] = []
    with ThreadPoolExecutor(1, thread_name_prefix="crops") as worker:
        pending = worker.submit(batches.draw, progress.step)
        while progress.step < settings.steps and progress.epochs_without_gain < settings.patience_epochs:
            batch = pending.result()
            pending = worker.submit(batches.draw, progress.step + 1)
            losses.append(_step(detector, optimiser, batch, settings, progress.step, device))
            progress.step += 1
            _average(averaged, detector, settings.ema_decay, progress.step)
            on_step(progress.step, losses[-1])
            if progress.step % settings.steps_per_epoch == 0 or progress.step == settings.steps:
                _end_epoch(progress, averaged, data, settings, float(np.mean(losses)), on_best)
                losses.clear()
                _save(checkpoint, fingerprint, detector, averaged, optimiser, progress)
                on_epoch(progress)
        pending.cancel()
    return progress


def learning_rate_at(step: int, settings: TrainSettings) -> float:
    """Linear warm-up, then a cosine down to a hundredth of `settings.learning_rate`."""
    warmup = max(1, round(settings.warmup_share * settings.steps))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    through = (step - warmup) / max(1, settings.steps - warmup)
    return settings.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * through)))


def build_average(detector: Detector) -> dict[str, Tensor]:
    """The averaged weights' starting point: a copy of every parameter and buffer."""
    return {name: value.detach().clone() for name, value in detector.state_dict().items()}


class _Batches:
    """Draws the batch of any step, the same one whenever it is asked for."""

    def __init__(self, detector: Detector, samples: Sequence[Sample], settings: TrainSettings) -> None:
        self.detector, self.settings = detector, settings
        self.sets: list[list[Sample]] = []
        for index in sorted({sample.set_index for sample in samples}):
            self.sets.append([sample for sample in samples if sample.set_index == index])

    def draw(self, step: int) -> Batch:
        settings = self.settings
        crops = []
        for position in range(settings.batch_size):
            rng = np.random.default_rng([settings.seed, step, position])
            # Sets count alike, whatever their size.
            own = self.sets[rng.integers(len(self.sets))]
            sample = own[rng.integers(len(own))]
            if self.detector.margin is None:
                crop = draw_whole(sample, rng, settings, self.detector.pad_to)
            else:
                crop = draw_crop(sample, rng, settings)
            if rng.random() < settings.augmentation.noise_only_chance:
                crop = replace_by_noise(crop, rng)
            if rng.random() < settings.augmentation.contaminant_chance:
                crop = paint_contaminants(crop, rng, diameter_px=sample.diameter_px)
            crops.append((augment(crop.image, rng, settings.augmentation), crop.labels, crop.weight))
        images = torch.from_numpy(np.stack([image for image, _, _ in crops])[:, None])
        weight = torch.from_numpy(np.stack([weight for _, _, weight in crops])[:, None])
        shape = (int(images.shape[2]), int(images.shape[3]))
        targets = self.detector.targets([labels for _, labels, _ in crops], shape)
        return Batch(images, targets, weight)


def _step(
    detector: Detector,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    settings: TrainSettings,
    step: int,
    device: torch.device,
) -> float:
    for group in optimiser.param_groups:
        group["lr"] = learning_rate_at(step, settings)
    _seed_dropout(settings.seed * 1_000_003 + step, device)
    images = batch.images.to(device).contiguous(memory_format=torch.channels_last)
    # bf16 only where the hardware has it: on CPUs it is emulated and ten times slower.
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=device.type == "cuda"):
        raw = detector(images)
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
    averaged: dict[str, Tensor],
    data: TrainingData,
    settings: TrainSettings,
    train_loss: float,
    on_best: Callable[[Detector, Validation], None],
) -> None:
    detector = _detector_like(averaged, settings)
    validation = validate(for_inference(detector, next(iter(averaged.values())).device), data.validation)
    progress.rows.append(
        {
            "step": progress.step,
            "train_loss": train_loss,
            "validation_f1": validation.f1,
            "validation_auc": validation.auc,
            "validation_auc_iou": validation.auc_iou,
            "threshold": validation.threshold,
            "learning_rate": learning_rate_at(progress.step - 1, settings),
        }
    )
    if validation.score > progress.best_score:
        progress.best_score = validation.score
        progress.best_step = progress.step
        progress.best_threshold = validation.threshold
        progress.epochs_without_gain = 0
        on_best(detector, validation)
    else:
        progress.epochs_without_gain += 1


def _detector_like(averaged: dict[str, Tensor], settings: TrainSettings) -> Detector:
    detector = build_detector(settings.architecture, settings.options)
    detector.load_state_dict(averaged)
    return detector.eval()


def _optimiser(detector: Detector, settings: TrainSettings) -> torch.optim.Optimizer:
    kind = torch.optim.Adam if settings.optimiser == "adam" else torch.optim.AdamW
    return kind(detector.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)


@torch.no_grad()
def _average(averaged: dict[str, Tensor], detector: Detector, decay: float, step: int) -> None:
    # Early on the average follows closely: it must not remember the random start.
    decay = min(decay, step / (step + 10))
    for name, value in detector.state_dict().items():
        if value.dtype.is_floating_point:
            averaged[name].lerp_(value, 1 - decay)
        else:
            averaged[name].copy_(value)


def _save(
    path: Path,
    fingerprint: str,
    detector: Detector,
    averaged: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
    progress: Progress,
) -> None:
    state: dict[str, Any] = {
        "fingerprint": fingerprint,
        "weights": detector.state_dict(),
        "averaged": averaged,
        "optimiser": optimiser.state_dict(),
        "progress": vars(progress),
    }
    with atomic_path(path) as temporary:
        torch.save(state, temporary)


def _restore(
    path: Path,
    fingerprint: str,
    detector: Detector,
    averaged: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
    device: torch.device,
) -> Progress:
    # weights_only: a checkpoint is data and must not be able to run code.
    state = torch.load(path, map_location=device, weights_only=True)
    if state["fingerprint"] != fingerprint:
        raise UsageError(
            f"{path} belongs to a run with other settings or data; give another --out, or remove that folder."
        )
    detector.load_state_dict(state["weights"])
    optimiser.load_state_dict(state["optimiser"])
    for name, value in state["averaged"].items():
        averaged[name].copy_(value)
    return Progress(**state["progress"])
