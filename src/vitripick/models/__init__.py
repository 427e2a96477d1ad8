"""Architectures, their registry, model bundles, the table of released weights."""

from vitripick.models import heatmap as _heatmap
from vitripick.models import inception_resnet as _inception_resnet
from vitripick.models import yolo as _yolo
from vitripick.models.bundle import (
    Model,
    ModelCard,
    choose_device,
    file_sha256,
    load_model,
    read_model_card,
    save_model,
)
from vitripick.models.describe import Description, Layer, describe
from vitripick.models.detector import Detections, Detector
from vitripick.models.registry import ARCHITECTURES, build_detector, full_options, register
from vitripick.models.released import DEFAULT_MODEL, RELEASED, released_path

# Imported for their place in the registry: one line an architecture.
_REGISTERED = (_heatmap, _inception_resnet, _yolo)

__all__ = [
    "ARCHITECTURES",
    "DEFAULT_MODEL",
    "RELEASED",
    "Description",
    "Detections",
    "Detector",
    "Layer",
    "Model",
    "ModelCard",
    "build_detector",
    "choose_device",
    "describe",
    "file_sha256",
    "full_options",
    "load_model",
    "read_model_card",
    "register",
    "released_path",
    "save_model",
]
