"""Train models: targets, loss, augmentation, the loop, and training plans."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vitripick.settings.train import About, Augmentation, SimulatedSet, TrainingSet, TrainSettings
from vitripick.training.callbacks import Callbacks

# These are imported on first use, because they import torch, which a plain installation leaves out.
_HOME = {
    "TrainResult": "run",
    "adapt_to_run": "adapting",
    "default_settings": "plan",
    "read_training_plan": "plan",
    "train": "run",
}

__all__ = [
    "About",
    "Augmentation",
    "Callbacks",
    "SimulatedSet",
    "TrainResult",
    "TrainSettings",
    "TrainingSet",
    "adapt_to_run",
    "default_settings",
    "read_training_plan",
    "train",
]

if TYPE_CHECKING:
    from vitripick.training.adapting import adapt_to_run
    from vitripick.training.plan import default_settings, read_training_plan
    from vitripick.training.run import TrainResult, train


def __getattr__(name: str) -> Any:
    if name in _HOME:
        from vitripick.models.loading import import_torch

        import_torch("training")
        value = getattr(importlib.import_module(f"vitripick.training.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'vitripick.training' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
