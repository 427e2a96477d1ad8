"""Guess with a small network how a micrograph would look without noise: to look at, not to measure.

It was trained on simulated pairs only, to reduce the mean square distance to the clean image. So where noise hides
everything, it returns the background. It works at a coarse pixel size; finer detail is left out, as by a low-pass.
"""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vitripick.errors import InputError, UsageError
from vitripick.geometry import Image
from vitripick.images import resize
from vitripick.models.loading import import_engine

# Å per pixel of the network's input. Coarser micrographs are not rescaled.
WORKING_PIXEL_SIZE = 6.0
# If the pixel size is not known: longer side of the network's input.
_WORKING_SIDE_PX = 680
# Sigma in working pixels of the blur that is the background; the network sees what is left, in units of its spread.
BACKGROUND_PX = 40.0
# Pixels beyond this number of spreads are gold, crystals or dead pixels.
CLIP = 8.0
# The network halves its image three times.
PAD_TO = 16
_TILE, _MARGIN = 1024, 80
_FILE = Path(__file__).parent / "released" / "denoiser.onnx"
_running = threading.Lock()


def denoise(image: Image, *, pixel_size: float | None) -> Image:
    """Return a guess of the image without noise, for looking at.

    Parameters
    ----------
    image : (rows, columns), float32
        In any intensity scale, particles dark or bright.
    pixel_size
        Å per pixel; None if it is not known.

    Returns
    -------
    (rows, columns), float32
        Same shape, scale and brightness.

    Raises
    ------
    InputError
        If the installation lacks the network.
    """
    return denoise_and_measure(image, pixel_size=pixel_size)[0]


def denoise_and_measure(image: Image, *, pixel_size: float | None) -> tuple[Image, float]:
    """Return the denoised image, and the spread of the noise at the pixel size of the network.

    What is much fainter than that spread may be nothing, so a picture should not stretch it to black and white.
    """
    if pixel_size is not None and not 0 < pixel_size < 1000:
        raise UsageError(f"the pixel size must be a positive number of Å, not {pixel_size}.")
    factor = WORKING_PIXEL_SIZE / pixel_size if pixel_size else max(image.shape) / _WORKING_SIDE_PX
    shape = image.shape
    small = np.nan_to_num(image, nan=_middle(image), posinf=_middle(image), neginf=_middle(image))
    if factor > 1:
        small = resize(small, (max(1, round(shape[0] / factor)), max(1, round(shape[1] / factor))))
    scaled, background, spread = standardised(small)
    found = _run(scaled) * np.float32(spread) + background
    # Pixels beyond the limits are far above the noise, so they are put back unchanged.
    beyond = np.abs(scaled) >= CLIP
    found[beyond] = small[beyond]
    return resize(found, (shape[0], shape[1])), spread


def standardised(image: Image) -> tuple[Image, Image, float]:
    """Return the input of the network (the image without its background, in units of its spread), the background and
    the spread."""
    middle = float(np.median(image))
    spread = 1.4826 * float(np.median(np.abs(image - np.float32(middle)))) or float(image.std()) or 1.0
    limited = np.clip(image, middle - CLIP * spread, middle + CLIP * spread).astype(np.float32)
    background = _wide_blur(limited)
    rest = image - background
    spread = 1.4826 * float(np.median(np.abs(rest))) or float(rest.std()) or 1.0
    return np.clip(rest / np.float32(spread), -CLIP, CLIP), background, spread


def _middle(image: Image) -> float:
    finite = image[np.isfinite(image)]
    return float(np.median(finite)) if finite.size else 0.0


def _wide_blur(image: Image) -> Image:
    factor = 8
    shape = (max(1, image.shape[1] // factor), max(1, image.shape[0] // factor))
    small = cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), BACKGROUND_PX / factor)
    return np.asarray(cv2.resize(small, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR), np.float32)


def _run(scaled: Image) -> Image:
    """Run the network on an image of any shape, in tiles that overlap."""
    height, width = scaled.shape
    bottom, right = -height % PAD_TO + _MARGIN, -width % PAD_TO + _MARGIN
    padded = np.pad(
        scaled, ((_MARGIN, bottom), (_MARGIN, right)), mode="symmetric" if min(scaled.shape) > 1 else "edge"
    )
    result = np.empty_like(scaled)
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            rows, columns = min(_TILE, height - top), min(_TILE, width - left)
            tall, wide = rows + -rows % PAD_TO + 2 * _MARGIN, columns + -columns % PAD_TO + 2 * _MARGIN
            part = padded[top : top + tall, left : left + wide]
            with _running:  # one at a time, because each call uses all cores
                found = _session().run(None, {"images": np.ascontiguousarray(part[None, None])})[0][0, 0]
            result[top : top + rows, left : left + columns] = found[
                _MARGIN : _MARGIN + rows, _MARGIN : _MARGIN + columns
            ]
    return result


@cache
def _session() -> Any:
    if not _FILE.is_file():
        raise InputError(f"{_FILE}: the denoiser is missing from this installation; install again.")
    onnxruntime = import_engine("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(_FILE), options, providers=["CPUExecutionProvider"])
