"""Model bundles: weights and everything needed to use them, in one file.

A bundle is a safetensors file (no code in it, safe to load from anywhere) whose header carries a JSON description
under the key `vitripick`: architecture and options, preparation, particle, threshold, training data, licence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from vitripick.atomic import atomic_path
from vitripick.errors import FormatError, InputError
from vitripick.images import Preparation
from vitripick.models.detector import Detector
from vitripick.models.registry import build_detector
from vitripick.models.released import RELEASED, released_path
from vitripick.settings import Settings

_KEY = "vitripick"


class ModelCard(Settings):
    """What a bundle says about itself.

    Attributes
    ----------
    bundle_version
        Of this description's layout.
    name, description, licence
        For people.
    architecture, options
        What `build_detector` needs.
    preparation
        How micrographs are brought to the network.
    diameter_px, diameter_angstrom
        The particle it was trained on, where it was trained on one: picking falls back on it.
    diameter_range_angstrom
        Of the training particles, where known.
    threshold
        Default confidence threshold, tuned on the validation micrographs.
    training
        Data, split, seed, versions: provenance, not read by any code.
    """

    bundle_version: int = 1
    name: str
    description: str = ""
    licence: str = "not stated"
    architecture: str
    options: dict[str, Any] = Field(default_factory=dict)
    preparation: Preparation
    diameter_px: float | None = None
    diameter_angstrom: float | None = None
    diameter_range_angstrom: tuple[float, float] | None = None
    threshold: float = 0.3
    training: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Model:
    """A detector with its card, ready to pick.

    Attributes
    ----------
    detector
        In evaluation mode.
    card
        What the bundle says.
    sha256
        Of the file it came from; empty for one that was never saved.
    """

    detector: Detector
    card: ModelCard
    sha256: str = ""


def save_model(model: Model, path: str | Path) -> None:
    """Write a bundle, whole or not at all."""
    weights = {name: value.detach().cpu().contiguous() for name, value in model.detector.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(weights, temporary, metadata={_KEY: model.card.model_dump_json()})


def load_model(name_or_path: str | Path) -> Model:
    """A released model by its name, or a bundle by its path.

    Raises
    ------
    InputError
        If there is no such name or file.
    FormatError
        If the file is not one of our bundles, or its weights do not fit its description.
    """
    path = _resolve(name_or_path)
    card = read_model_card(path)
    detector = build_detector(card.architecture, card.options)
    try:
        detector.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise FormatError(
            f"{path}: the weights do not fit architecture {card.architecture!r} with options {card.options}: {error}"
        ) from error
    detector.eval()
    return Model(detector=detector, card=card, sha256=file_sha256(path))


def read_model_card(name_or_path: str | Path) -> ModelCard:
    """The description of a bundle, without its weights; errors as in `load_model`."""
    path = _resolve(name_or_path)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise FormatError(
            f"{path}: not a model bundle (no safetensors file: {error}). vitripick train writes model.safetensors."
        ) from error
    if _KEY not in metadata:
        raise FormatError(
            f"{path}: a safetensors file without a vitripick description; bundles come from vitripick train."
        )
    try:
        return ModelCard.model_validate(json.loads(metadata[_KEY]))
    except (ValidationError, json.JSONDecodeError) as error:
        raise FormatError(
            f"{path}: this bundle's description cannot be read ({error}); was it written by a newer vitripick?"
        ) from error


def file_sha256(path: str | Path) -> str:
    """Of the file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return (
            hashlib.file_digest(file, "sha256").hexdigest()
            if hasattr(hashlib, "file_digest")
            else (hashlib.sha256(file.read()).hexdigest())
        )


def choose_device(name: str) -> torch.device:
    """`cpu`, `cuda`, `cuda:1` … or `auto` (CUDA where there is one), never a silent fallback.

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
        raise InputError(f"--device {name!r} is not a device; give cpu, cuda, cuda:0 … or auto.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"--device {name}: torch sees no CUDA device here; run `vitripick doctor`, or use cpu.")
    return device


def _resolve(name_or_path: str | Path) -> Path:
    if str(name_or_path) in RELEASED:
        return released_path(str(name_or_path))
    path = Path(name_or_path)
    if not path.is_file():
        raise InputError(
            f"no model {str(name_or_path)!r}: neither a released one ({', '.join(RELEASED) or 'none yet'}) "
            "nor a file. `vitripick models` lists what is there."
        )
    return path
