"""Save and load the state of a run, so that a killed run can go on: weights, averaged weights, optimiser, progress."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vitripick.atomic import atomic_path
from vitripick.errors import UsageError, parameter
from vitripick.models.detector import Detector
from vitripick.training.samples import Sample

Row = dict[str, float]


@dataclass
class TrainingProgress:
    """Holds the progress of a run: all that resuming needs besides the weights.

    Attributes
    ----------
    step
        Optimiser steps done.
    rows
        One for each validation: the training curves.
    best_score
        Score of the best validation so far.
    best_step, best_threshold
        Step and threshold of the weights that are kept: the best ones, or ones that are trained longer and less than
        one label worse.
    epochs_without_gain
        Number of validations since then.
    losses
        Losses of the steps since the last validation.
    start_figures
        Figures of the model that a fine-tuning started from.
    """

    step: int = 0
    rows: list[Row] = field(default_factory=list)
    best_score: float = -1.0
    best_step: int = 0
    best_threshold: float = 0.3
    epochs_without_gain: int = 0
    losses: list[float] = field(default_factory=list)
    start_figures: dict[str, float] = field(default_factory=dict)


@dataclass
class TrainingState:
    """Holds the state of a run at one step: all that changes while it trains.

    Attributes
    ----------
    detector
        The network that learns.
    averaged
        Its averaged weights and buffers, by name.
    optimiser
        With its own state.
    progress
        The progress of the run.
    samples
        The training samples, with what the averaged network found at their unlabelled places.
    """

    detector: Detector
    averaged: dict[str, Tensor]
    optimiser: torch.optim.Optimizer
    progress: TrainingProgress
    samples: list[Sample]


@dataclass(frozen=True)
class Checkpoint:
    """Holds the file that a killed run goes on from.

    Attributes
    ----------
    path
        Of the file; it need not be there yet.
    fingerprint
        Of the run's settings and data.
    """

    path: Path
    fingerprint: str

    def save(self, state: TrainingState) -> None:
        """Write the checkpoint, whole or not at all."""
        content: dict[str, Any] = {
            "fingerprint": self.fingerprint,
            "weights": state.detector.state_dict(),
            "averaged": state.averaged,
            "optimiser": state.optimiser.state_dict(),
            "progress": vars(state.progress),
            # What the averaged network found at unlabelled places at the last validation; pixels come from the data.
            "labels": [torch.from_numpy(sample.labels) for sample in state.samples],
            "open_places": [torch.from_numpy(sample.knowledge.open_places) for sample in state.samples],
        }
        with atomic_path(self.path) as temporary:
            torch.save(content, temporary)

    def restore(self, state: TrainingState) -> None:
        """Restore the state of the checkpoint.

        Raises
        ------
        UsageError
            If it belongs to a run with other settings or data.
        """
        device = next(state.detector.parameters()).device
        # weights_only: a checkpoint is data and must not be able to run code.
        content = torch.load(self.path, map_location=device, weights_only=True)
        if content["fingerprint"] != self.fingerprint:
            raise UsageError(
                f"{self.path} belongs to a run with other settings or data; give another {parameter('out')}, or remove "
                "that folder."
            )
        state.detector.load_state_dict(content["weights"])
        state.optimiser.load_state_dict(content["optimiser"])
        for name, value in content["averaged"].items():
            state.averaged[name].copy_(value)
        state.progress = TrainingProgress(**content["progress"])
        state.samples = [
            sample.with_labels(labels.cpu().numpy(), places.cpu().numpy())
            for sample, labels, places in zip(state.samples, content["labels"], content["open_places"], strict=True)
        ]
