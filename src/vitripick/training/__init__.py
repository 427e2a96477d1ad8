"""Targets, loss, augmentation, the loop, training plans."""

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
