"""Read the description of a model of filaments, without its weights and without torch."""

from __future__ import annotations

from pathlib import Path

from vitripick.errors import FormatError, UsageError, parameter
from vitripick.models.card import ModelCard
from vitripick.models.model import Model, ModelFile, open_model

# The released model.
DEFAULT_FILAMENT_MODEL = "filaments"
# The name of the network in the card of such a bundle.
ARCHITECTURE = "filaments"


def check_kind(model: Model, *, filaments: bool) -> None:
    """Raise `UsageError` if a model finds particles where filaments are to be traced, or the other way round."""
    name = model.card.name
    if filaments and model.card.architecture != ARCHITECTURE:
        raise UsageError(f"model {name!r} finds particles, not filaments.")
    if not filaments and model.card.architecture == ARCHITECTURE:
        raise UsageError(
            f"model {name!r} traces filaments and finds no particles: give {parameter('filaments', True)}, or a model "
            "of particles."
        )


def open_filament_model(name_or_path: str | Path) -> ModelFile:
    """Return the released model by its name, or a bundle by its path, without its weights.

    Raises
    ------
    InputError
        If there is no such name or file.
    FormatError
        If the file is not a bundle, or a bundle of particles.
    """
    model = open_model(name_or_path)
    check_of_filaments(model.card, model.path)
    return model


def check_of_filaments(card: ModelCard, path: Path) -> None:
    """Raise `FormatError` if a bundle holds another network."""
    if card.architecture != ARCHITECTURE:
        raise FormatError(
            f"{path}: model {card.name!r} finds particles, not filaments; give a "
            "model of filaments, such as one that a training with filaments wrote."
        )
