"""Architectures, their registry, model bundles, the table of released weights, and the engines that run networks."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vitripick.models.card import ModelCard, ModelFile, file_sha256, open_model, read_model_card
from vitripick.models.detections import Decoding, Detections, Network
from vitripick.models.device import device_name
from vitripick.models.released import DEFAULT_MODEL, RELEASED, released_path

# Imported on first use: these need torch, and picking with another engine does not.
_HOME = {
    "ARCHITECTURES": "vitripick.models.architectures",
    "Description": "vitripick.models.describe",
    "Layer": "vitripick.models.describe",
    "describe": "vitripick.models.describe",
    "build_detector": "vitripick.models.architectures",
    "full_options": "vitripick.models.architectures",
    "register": "vitripick.models.architectures",
    "Detector": "vitripick.models.detector",
    "Model": "vitripick.models.bundle",
    "choose_device": "vitripick.models.bundle",
    "load_model": "vitripick.models.bundle",
    "save_model": "vitripick.models.bundle",
}

__all__ = [
    "ARCHITECTURES",
    "DEFAULT_MODEL",
    "RELEASED",
    "Decoding",
    "Description",
    "Detections",
    "Detector",
    "Layer",
    "Model",
    "ModelCard",
    "ModelFile",
    "Network",
    "build_detector",
    "choose_device",
    "describe",
    "device_name",
    "file_sha256",
    "full_options",
    "load_model",
    "open_model",
    "read_model_card",
    "register",
    "released_path",
    "save_model",
]

if TYPE_CHECKING:
    from vitripick.models.architectures import ARCHITECTURES, build_detector, full_options, register
    from vitripick.models.bundle import Model, choose_device, load_model, save_model
    from vitripick.models.describe import Description, Layer, describe
    from vitripick.models.detector import Detector


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'vitripick.models' has no attribute {name!r}")
