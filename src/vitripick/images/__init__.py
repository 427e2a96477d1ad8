"""Downscale, normalise and cut images: image in, image out."""

from vitripick.images.border import Border, find_border
from vitripick.images.normalise import normalise_locally
from vitripick.images.patches import WHOLE, Patches, Window, patch_windows
from vitripick.images.prepare import Preparation, Prepared, prepare
from vitripick.images.resize import resize, resize_fourier
from vitripick.images.spots import spot_map, spot_maps

__all__ = [
    "WHOLE",
    "Border",
    "Patches",
    "Preparation",
    "Prepared",
    "Window",
    "find_border",
    "normalise_locally",
    "patch_windows",
    "prepare",
    "resize",
    "resize_fourier",
    "spot_map",
    "spot_maps",
]
