"""Run a detector over one prepared image: pad, tile if it must, decode."""

from __future__ import annotations

import copy

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vitripick.geometry import Image
from vitripick.models.detector import Detections, Detector

# Larger images go through the network in tiles, so that memory stays bounded: 2048² needs about 0.6 GB.
_TILE_PX = 2048
# Picks below this are noise to every user; above it all are stored, so that a threshold never means another run.
FLOOR_CONFIDENCE = 0.05
# Two picks nearer than this share of the diameter are one particle seen twice. Labels of crowded micrographs come
# as near as 0.53 diameters in one pair of a hundred (EMPIAR-10017).
MINIMUM_DISTANCE_DIAMETERS = 0.5


def for_inference(detector: Detector, device: torch.device | str = "cpu") -> Detector:
    """A copy in evaluation mode with batch normalisation folded into the convolutions: same maps, 1.5-2x faster."""
    detector = copy.deepcopy(detector).eval()
    for module in list(detector.modules()):
        if isinstance(module, nn.Sequential):
            _fold(module)
    return detector.to(device=torch.device(device), memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _fold(parts: nn.Sequential) -> None:
    for i in range(len(parts) - 1):
        conv, norm = parts[i], parts[i + 1]
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            parts[i] = fuse_conv_bn_eval(conv, norm)
            parts[i + 1] = nn.Identity()


def detect(detector: Detector, image: Image, *, floor: float) -> Detections:
    """Everything that a detector finds in one prepared image, down to `floor` confidence.

    Parameters
    ----------
    detector
        In evaluation mode, on the device to run on.
    image : (h, w), float32
        Prepared; of any size.
    floor
        Lowest confidence to keep.

    Returns
    -------
    Detections
        In working pixels, centres inside the image only.
    """
    height, width = image.shape
    padded = _pad(image, detector.pad_to)
    raw = _raw_map(detector, padded)
    found = detector.decode(raw, floor=floor)[0]
    inside = (found.x > -0.5) & (found.x < width - 0.5) & (found.y > -0.5) & (found.y < height - 0.5)
    return Detections(
        x=found.x[inside],
        y=found.y[inside],
        width=found.width[inside],
        height=found.height[inside],
        confidence=found.confidence[inside],
    )


def _pad(image: Image, multiple: int) -> Image:
    """Mirror the image at its lower and right edge to the next multiple."""
    down, right = -image.shape[0] % multiple, -image.shape[1] % multiple
    padded = cv2.copyMakeBorder(image, 0, down, 0, right, cv2.BORDER_REFLECT)
    return np.asarray(padded, dtype=np.float32)


@torch.inference_mode()
def _raw_map(detector: Detector, padded: Image, tile_px: int = _TILE_PX) -> Tensor:
    """(1, c, h / stride, w / stride), stitched from overlapping tiles where the image is larger than `tile_px`.

    A tile reaches `margin` beyond the part of the map that is taken from it, so stitched and whole maps agree.
    """
    device = next(detector.parameters()).device
    height, width = padded.shape
    if detector.margin is None or max(height, width) <= tile_px:
        whole: Tensor = detector(_batch(padded, device))
        return whole
    s, margin = detector.stride, detector.margin
    step = max(detector.pad_to, (tile_px - 2 * margin) // detector.pad_to * detector.pad_to)
    stitched: Tensor | None = None
    for top in range(0, height, step):
        for left in range(0, width, step):
            bottom, right = min(top + step, height), min(left + step, width)
            y0, x0 = max(0, top - margin), max(0, left - margin)
            y1, x1 = min(height, bottom + margin), min(width, right + margin)
            raw = detector(_batch(padded[y0:y1, x0:x1], device))
            if stitched is None:
                stitched = raw.new_zeros((1, raw.shape[1], height // s, width // s))
            stitched[:, :, top // s : bottom // s, left // s : right // s] = raw[
                :, :, (top - y0) // s : (bottom - y0) // s, (left - x0) // s : (right - x0) // s
            ]
    assert stitched is not None
    return stitched


def _batch(image: Image, device: torch.device) -> Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(image))[None, None]
    return tensor.to(device).contiguous(memory_format=torch.channels_last)
