"""Targets, loss, augmentation, the loop, recipes."""

from vitripick.training.run import TrainResult, train
from vitripick.training.settings import (
    Augmentation,
    SimulatedSet,
    TrainingSet,
    TrainSettings,
    default_settings,
    read_recipe,
)

__all__ = [
    "Augmentation",
    "SimulatedSet",
    "TrainResult",
    "TrainSettings",
    "TrainingSet",
    "default_settings",
    "read_recipe",
    "train",
]
