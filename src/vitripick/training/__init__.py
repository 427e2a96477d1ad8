"""Targets, loss, augmentation, the loop, training plans."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# Every name is imported on first use: help texts need the settings, which need no torch.
_HOME = {
    "Callbacks": "callbacks",
    "TrainResult": "run",
    "train": "run",
    "About": "settings",
    "Augmentation": "settings",
    "SimulatedSet": "settings",
    "TrainSettings": "settings",
    "TrainingSet": "settings",
    "default_settings": "settings",
    "read_training_plan": "settings",
}

__all__ = [
    "About",
    "Augmentation",
    "Callbacks",
    "SimulatedSet",
    "TrainResult",
    "TrainSettings",
    "TrainingSet",
    "default_settings",
    "read_training_plan",
    "train",
]

if TYPE_CHECKING:
    from vitripick.training.callbacks import Callbacks
    from vitripick.training.run import TrainResult, train
    from vitripick.training.settings import (
        About,
        Augmentation,
        SimulatedSet,
        TrainingSet,
        TrainSettings,
        default_settings,
        read_training_plan,
    )


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(f"vitripick.training.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'vitripick.training' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
