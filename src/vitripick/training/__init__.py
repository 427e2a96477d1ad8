"""Targets, loss, augmentation, the loop, training plans."""

from vitripick.settings.train import About, Augmentation, SimulatedSet, TrainingSet, TrainSettings
from vitripick.training.callbacks import Callbacks
from vitripick.training.plan import default_settings, read_training_plan
from vitripick.training.run import TrainResult, train

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
