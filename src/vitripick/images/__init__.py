"""Downscale, normalise, cut: image in, image out."""

from vitripick.images.normalise import normalise_locally
from vitripick.images.prepare import Preparation, Prepared, prepare
from vitripick.images.resize import resize, resize_fourier

__all__ = ["Preparation", "Prepared", "normalise_locally", "prepare", "resize", "resize_fourier"]
