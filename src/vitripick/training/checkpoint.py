"""What a killed run goes on from: weights, averaged weights, the optimiser and where the run stands."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vitripick.atomic import atomic_path
from vitripick.errors import UsageError
from vitripick.models.detector import Detector
from vitripick.training.data import Sample

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
    losses
        Of the steps since the last validation.
    start_figures
        What validation said of the model a fine-tuning started from.
    """

    step: int = 0
    rows: list[Row] = field(default_factory=list)
    best_score: float = -1.0
    best_step: int = 0
    best_threshold: float = 0.3
    epochs_without_gain: int = 0
    losses: list[float] = field(default_factory=list)
    start_figures: dict[str, float] = field(default_factory=dict)


def save_checkpoint(
    path: Path,
    fingerprint: str,
    detector: Detector,
    averaged: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
    progress: Progress,
    samples: Sequence[Sample],
) -> None:
    """Write the checkpoint, whole or not at all."""
    state: dict[str, Any] = {
        "fingerprint": fingerprint,
        "weights": detector.state_dict(),
        "averaged": averaged,
        "optimiser": optimiser.state_dict(),
        "progress": vars(progress),
        # What the averaged network made of unlabelled places at the last validation; pixels come from the data.
        "labels": [torch.from_numpy(sample.labels) for sample in samples],
        "open_places": [torch.from_numpy(sample.open_places) for sample in samples],
    }
    with atomic_path(path) as temporary:
        torch.save(state, temporary)


def restore_checkpoint(
    path: Path,
    fingerprint: str,
    detector: Detector,
    averaged: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
    samples: Sequence[Sample],
) -> tuple[Progress, list[Sample]]:
    """Load the checkpoint into detector, average and optimiser; gives the progress and the samples as they were.

    Raises
    ------
    UsageError
        If it belongs to a run with other settings or data.
    """
    device = next(detector.parameters()).device
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
    kept = [
        dataclasses.replace(sample, labels=labels.cpu().numpy(), open_places=places.cpu().numpy())
        for sample, labels, places in zip(samples, state["labels"], state["open_places"], strict=True)
    ]
    return Progress(**state["progress"]), kept
