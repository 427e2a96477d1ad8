"""Describe a model without torch, with its weights on the disk, in torch, or on another engine.

`ModelFile` (here) has its weights on the disk, `TorchModel` (`bundle.py`) in torch, `EngineModel`
(`engines/choose.py`) on an engine. `load_weights` turns any model into the second, `load_on_engine` into the third.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vitripick.models.card import ModelCard, file_sha256, read_model_card, resolve
from vitripick.models.detections import Network


class Model(Protocol):
    """Holds the description of a model, loaded or not."""

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
    """Describes a model that can pick."""

    @property
    def network(self) -> Network:
        """Return what `detect` runs."""


@dataclass(frozen=True)
class ModelFile:
    """Describes a model whose weights are not loaded; picking on another engine than torch needs no more.

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
