"""Read and write bundles of the network that sees filaments: safetensors with a card, as for particle models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from vitripick.atomic import atomic_path
from vitripick.errors import FormatError
from vitripick.models.card import KEY, ModelCard, file_sha256, read_model_card, resolve
from vitripick.models.filament_card import check_of_filaments
from vitripick.models.filament_network import FilamentNetwork


@dataclass(frozen=True, eq=False)
class FilamentModel:
    """Holds a network that sees filaments, ready to run.

    Attributes
    ----------
    network
        In evaluation mode.
    card
        What its bundle says; its `diameter_px` and `diameter_angstrom` are the width of the filament.
    sha256
        Hash of its file; empty for a model that was never saved.
    path
        The file it came from; None for a model that was never saved.
    """

    network: FilamentNetwork
    card: ModelCard
    sha256: str = ""
    path: Path | None = None

    @property
    def detector(self) -> FilamentNetwork:
        """Return what engines make graphs of: the network itself, as of a model of particles."""
        return self.network


def save_filament_model(model: FilamentModel, path: str | Path) -> None:
    """Write a bundle, whole or not at all."""
    weights = {name: value.detach().cpu().contiguous() for name, value in model.network.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(weights, temporary, metadata={KEY: model.card.model_dump_json()})


def load_filament_model(name_or_path: str | Path, *, device: str = "cpu") -> FilamentModel:
    """Return a model that sees filaments, the released one by its name or one from a bundle, on a device.

    Raises
    ------
    InputError
        If there is no such name or file.
    FormatError
        If the file is not a bundle, a bundle of particles, or damaged.
    """
    path = resolve(name_or_path)
    card = read_model_card(path)
    check_of_filaments(card, path)
    channels, width_px = card.options.get("width"), card.options.get("working_width_px")
    stride = card.options.get("stride")
    if not (
        isinstance(channels, int)
        and 4 <= channels <= 256
        and isinstance(width_px, float)
        and width_px > 0
        and stride in (2, 4)
    ):
        raise FormatError(f"{path}: no network of filaments has the options {card.options}.")
    try:
        with torch.device(
            "meta"
        ):  # built without memory for weights, because a damaged description may ask for any size
            empty = FilamentNetwork(width=channels, stride=stride, working_width_px=width_px)
        shapes = {key: tuple(value.shape) for key, value in empty.state_dict().items()}
        with safe_open(path, framework="numpy") as file:
            stored = {key: tuple(file.get_slice(key).get_shape()) for key in list(file.keys())}
        if shapes != stored:
            raise FormatError(f"{path}: the weights do not fit a network of filaments with the options {card.options}.")
        network = FilamentNetwork(width=channels, stride=stride, working_width_px=width_px)
        network.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise FormatError(f"{path}: these weights cannot be read ({error}).") from error
    network = network.eval().to(device)
    return FilamentModel(network, card, file_sha256(path), path)
