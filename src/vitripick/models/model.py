"""A model wherever its weights are: on the disk, in torch, or on another engine. Without torch.

`ModelFile` (here) has its weights on the disk, `TorchModel` (`bundle.py`) in torch, `EngineModel`
(`engines/choose.py`) on an engine. `load_weights` gives the second of any model, `load_on_engine` the third.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vitripick.models.card import ModelCard, file_sha256, read_model_card, resolve
from vitripick.models.detections import Network


class Model(Protocol):
    """Holds what is known about a model, loaded or not."""

    @property
    def card(self) -> ModelCard:
        """Return what its bundle says."""

    @property
    def sha256(self) -> str:
        """Return the hash of its bundle; empty for a model that was never saved."""

    @property
    def path(self) -> Path | None:
        """Return its bundle; None for a model that was never saved."""


class LoadedModel(Model, Protocol):
    """Is a model that can pick."""

    @property
    def network(self) -> Network:
        """Return what `detect` runs."""


@dataclass(frozen=True)
class ModelFile:
    """Is a model whose weights are not loaded: all that picking needs where another engine than torch runs the network.

    Attributes
    ----------
    path
        Of the bundle.
    card
        What it says.
    sha256
        Of the file.
    """

    path: Path
    card: ModelCard
    sha256: str


def open_model(name_or_path: str | Path) -> ModelFile:
    """Return a released model by its name, or a bundle by its path, without its weights.

    Errors are those of `read_model_card`.
    """
    path = resolve(name_or_path)
    return ModelFile(path, read_model_card(path), file_sha256(path))
