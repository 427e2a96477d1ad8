"""Load any model with its weights in torch, of particles or of filaments."""

from __future__ import annotations

from vitripick.models.bundle import TorchModel, load_weights
from vitripick.models.filament_bundle import FilamentModel, load_filament_model
from vitripick.models.filament_card import ARCHITECTURE
from vitripick.models.model import Model


def weights_of(model: Model) -> TorchModel | FilamentModel:
    """Return a model of particles or of filaments with its weights in torch; errors as in `load_weights`."""
    if isinstance(model, FilamentModel):
        return model
    if model.card.architecture == ARCHITECTURE and model.path is not None:
        return load_filament_model(model.path)
    return load_weights(model)
