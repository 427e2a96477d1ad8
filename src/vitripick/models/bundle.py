"""Read and write model bundles: weights and everything needed to use them, in one file.

A bundle is a safetensors file, which holds no code and is safe to load from anywhere. Its header has a JSON description
under the key `vitripick`: architecture and options, preparation, particle, threshold, training data, licence.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from vitripick.atomic import atomic_path
from vitripick.errors import FormatError, InputError, UsageError, parameter
from vitripick.models.architectures import build_detector
from vitripick.models.card import KEY, ModelCard, file_sha256, read_model_card, resolve
from vitripick.models.detector import Detector
from vitripick.models.model import Model
from vitripick.text import listed


@dataclass(frozen=True, eq=False)
class TorchModel:
    """Holds a model whose weights are in torch, ready to pick.

    Attributes
    ----------
    detector
        In evaluation mode.
    card
        The description in the bundle.
    sha256
        Hash of its file; empty for a model that was never saved.
    path
        The file it came from; None for a model that was never saved.
    """

    detector: Detector
    card: ModelCard
    sha256: str = ""
    path: Path | None = None

    @property
    def network(self) -> Detector:
        """Return what `detect` runs: the detector itself, in torch."""
        return self.detector


def save_model(model: Model, path: str | Path) -> None:
    """Write a bundle, whole or not at all; errors as in `load_weights`."""
    model = load_weights(model)
    weights = {name: value.detach().cpu().contiguous() for name, value in model.detector.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(weights, temporary, metadata={KEY: model.card.model_dump_json()})


def load_weights(model: Model | str | Path) -> TorchModel:
    """Return a model with its weights in torch; they are loaded from its bundle if need be.

    Parameters
    ----------
    model
        A model of any kind, a released model's name, or a bundle's path.

    Raises
    ------
    InputError
        If there is no such name or file, or the weights are neither in torch nor in a bundle.
    FormatError
        If the file is not one of our bundles, or its weights do not fit its description.
    """
    if isinstance(model, TorchModel):
        return model
    if isinstance(model, str | Path):
        return _read(resolve(model))
    if model.path is None:
        raise InputError(f"model {model.card.name!r} was never saved, so its weights cannot be loaded.")
    return _read(model.path)


def _read(path: Path) -> TorchModel:
    card = read_model_card(path)
    try:
        with torch.device(
            "meta"
        ):  # built without memory for weights, because a damaged description may ask for any size
            empty = build_detector(card.architecture, card.options)
        shapes = {key: tuple(value.shape) for key, value in empty.state_dict().items()}
        with safe_open(path, framework="numpy") as file:
            stored = {key: tuple(file.get_slice(key).get_shape()) for key in list(file.keys())}
    except (UsageError, ValueError, TypeError, ArithmeticError, LookupError, RuntimeError, SafetensorError) as error:
        raise FormatError(
            f"{path}: no network can be made of architecture {card.architecture!r} with options {card.options}: {error}"
        ) from error
    wrong = sorted(key for key in {*shapes, *stored} if shapes.get(key) != stored.get(key))
    if wrong:
        raise FormatError(
            f"{path}: the weights do not fit architecture {card.architecture!r} with options {card.options}: "
            f"{listed(wrong, most=3)} differ in name or shape."
        )
    detector = build_detector(card.architecture, card.options)
    try:
        detector.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise FormatError(
            f"{path}: the weights do not fit architecture {card.architecture!r} with options {card.options}: {error}"
        ) from error
    detector.eval()
    return TorchModel(detector=detector, card=card, sha256=file_sha256(path), path=path)


def choose_device(name: str) -> torch.device:
    """Return the device for `cpu`, `cuda`, `cuda:1` … or `auto` (CUDA where there is one), never a silent fallback.

    Raises
    ------
    InputError
        If the device asked for is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(
            f"{parameter('device', name, quoted=True)} is not a device; give cpu, cuda, cuda:0 … or auto."
        ) from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(
            f"{parameter('device', name)}: torch sees no CUDA device here; run `vitripick doctor`, or use cpu."
        )
    return device
