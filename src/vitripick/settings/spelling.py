"""Spell the parameters of the library as the command line does; messages name them with
`vitripick.errors.parameter`."""

from __future__ import annotations

from vitripick.settings import option_names
from vitripick.settings.convert import ConvertSettings
from vitripick.settings.pick import PickSettings
from vitripick.settings.simulate import SimulateSettings
from vitripick.settings.train import About, TrainingSet, TrainSettings
from vitripick.settings.watch import WatchSettings

# If an option is not called like its field, the settings say so.
_OPTIONS = {
    name: option
    for settings in (PickSettings, WatchSettings, ConvertSettings, TrainSettings, TrainingSet, About, SimulateSettings)
    for name, option in option_names(settings).items()
    if option != name
}
# Parameters of functions, and attributes, that have another name on the command line.
_OTHERS = {
    "Boxes.micrograph": "micrograph",
    "Boxes.pixel_size": "micrograph",
    "Boxes.shape": "micrograph",
    "changes": "set",
    "format": "from",
    "n_workers": "jobs",
    "start": "from",
    "to": "format",
    "trainable": "train_last",
}


def flag(option: str) -> str:
    """Return how an option is typed: `--minimum-distance` for `minimum_distance`."""
    return "--" + option.replace("_", "-")


def as_flag(parameter: str) -> str:
    """Return the option that stands for a parameter of the library.

    Examples
    --------
    >>> as_flag("diameter_px"), as_flag("minimum_distance_diameters"), as_flag("start")
    ('--diameter-px', '--minimum-distance', '--from')
    """
    return flag(_OPTIONS.get(parameter) or _OTHERS.get(parameter, parameter))
