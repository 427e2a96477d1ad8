"""Architectures, their registry, model bundles, the table of released weights, and the engines that run networks."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# Every name is imported on first use, because help texts need none of these, and picking on another engine needs no
# torch.
_HOME = {
    "ARCHITECTURES": "architectures",
    "ARCHITECTURE_NAMES": "architecture_names",
    "Architecture": "registry",
    "build_detector": "architectures",
    "full_options": "architectures",
    "register": "registry",
    "Model": "model",
    "LoadedModel": "model",
    "ModelFile": "model",
    "open_model": "model",
    "TorchModel": "bundle",
    "choose_device": "bundle",
    "load_model": "engines.choose",
    "load_weights": "bundle",
    "save_model": "bundle",
    "ModelCard": "card",
    "file_sha256": "card",
    "read_model_card": "card",
    "DECODERS": "detections",
    "Decoding": "detections",
    "Detections": "detections",
    "Network": "detections",
    "register_decoder": "detections",
    "Detector": "detector",
    "device_name": "device",
    "Description": "layers",
    "Layer": "layers",
    "describe": "layers",
    "DEFAULT_MODEL": "released",
    "RELEASED": "released",
    "released_path": "released",
}

__all__ = [
    "ARCHITECTURES",
    "ARCHITECTURE_NAMES",
    "DECODERS",
    "DEFAULT_MODEL",
    "RELEASED",
    "Architecture",
    "Decoding",
    "Description",
    "Detections",
    "Detector",
    "Layer",
    "LoadedModel",
    "Model",
    "ModelCard",
    "ModelFile",
    "Network",
    "TorchModel",
    "build_detector",
    "choose_device",
    "describe",
    "device_name",
    "file_sha256",
    "full_options",
    "load_model",
    "load_weights",
    "open_model",
    "read_model_card",
    "register",
    "register_decoder",
    "released_path",
    "save_model",
]

if TYPE_CHECKING:
    from vitripick.models.architecture_names import ARCHITECTURE_NAMES
    from vitripick.models.architectures import ARCHITECTURES, build_detector, full_options
    from vitripick.models.bundle import TorchModel, choose_device, load_weights, save_model
    from vitripick.models.card import ModelCard, file_sha256, read_model_card
    from vitripick.models.detections import DECODERS, Decoding, Detections, Network, register_decoder
    from vitripick.models.detector import Detector
    from vitripick.models.device import device_name
    from vitripick.models.engines.choose import load_model
    from vitripick.models.layers import Description, Layer, describe
    from vitripick.models.model import LoadedModel, Model, ModelFile, open_model
    from vitripick.models.registry import Architecture, register
    from vitripick.models.released import DEFAULT_MODEL, RELEASED, released_path


# These modules import torch.
_IN_TORCH = {"architectures", "bundle", "detector", "layers", "registry"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        if _HOME[name] in _IN_TORCH:
            from vitripick.models.loading import import_torch

            import_torch(f"vitripick.models.{name}")
        value = getattr(importlib.import_module(f"vitripick.models.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'vitripick.models' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
