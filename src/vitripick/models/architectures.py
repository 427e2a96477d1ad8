"""The registry with every architecture in it; a module of its own, because importing them takes torch along."""

from vitripick.models import heatmap as _heatmap
from vitripick.models import inception_resnet as _inception_resnet
from vitripick.models import yolo as _yolo
from vitripick.models.registry import ARCHITECTURES, build_detector, full_options, register

# Imported for their place in the registry: one line an architecture.
_REGISTERED = (_heatmap, _inception_resnet, _yolo)

__all__ = ["ARCHITECTURES", "build_detector", "full_options", "register"]
