"""An architecture in one file with a head and a decoder of its own: how far are the four sides of the box?"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from vitripick.images import Preparation
from vitripick.models.detections import Decoding, Detections, register_decoder, sigmoid
from vitripick.models.detector import Detector, share_of_particles
from vitripick.models.registry import register

STRIDE = 8


@register_decoder("sides", confidence_channel=2)
def read_sides(maps, decoding, floor):
    """Read left, top, confidence, right, bottom: distances from the cell's middle, in units of a particle."""
    confidence = sigmoid(maps[2])
    rows, columns = np.nonzero(confidence >= floor)
    unit, middle = decoding.numbers["unit_px"], (decoding.stride - 1) / 2
    left, top, right, bottom = unit * maps[[0, 1, 3, 4]][:, rows, columns].astype(np.float64)
    return Detections(
        x=columns * decoding.stride + middle + (right - left) / 2,
        y=rows * decoding.stride + middle + (bottom - top) / 2,
        width=np.maximum(right + left, 1),
        height=np.maximum(bottom + top, 1),
        confidence=confidence[rows, columns].astype(np.float64),
    )


class SidesDetector(Detector):
    def __init__(self, working_diameter_px):
        super().__init__()
        self.stride = self.pad_to = STRIDE
        self.margin = 32
        self.working_diameter_px = working_diameter_px
        layers, n_in = [], 1
        for n_out in (8, 8, 16):
            layers += [nn.Conv2d(n_in, n_out, 3, stride=2, padding=1), nn.BatchNorm2d(n_out), nn.LeakyReLU(0.1)]
            n_in = n_out
        self.network = nn.Sequential(*layers, nn.Conv2d(n_in, 5, 1))

    def forward(self, images):
        return self.network(images)

    @property
    def decoding(self):
        numbers = {"unit_px": self.working_diameter_px}
        return Decoding(kind="sides", stride=STRIDE, pad_to=STRIDE, margin=self.margin, numbers=numbers)

    def default_preparation(self):
        return Preparation(working_diameter_px=self.working_diameter_px)

    def set_priors(self, box_sizes_px):
        """Nothing to take."""

    def targets(self, labels, shape):
        result = np.zeros((len(labels), 5, shape[0] // STRIDE, shape[1] // STRIDE), np.float32)
        for target, boxes in zip(result, labels, strict=True):
            for x, y, width, height in boxes:
                column, row = round((x - 3.5) / STRIDE), round((y - 3.5) / STRIDE)
                if 0 <= row < target.shape[1] and 0 <= column < target.shape[2]:
                    dx, dy = x - 3.5 - column * STRIDE, y - 3.5 - row * STRIDE
                    sides = np.array([width / 2 - dx, height / 2 - dy, 0, width / 2 + dx, height / 2 + dy])
                    target[:, row, column] = sides / self.working_diameter_px
                    target[2, row, column] = 1
        return torch.from_numpy(result)

    def loss(self, raw, targets, weight):
        weight = functional.avg_pool2d(weight, STRIDE)
        here = targets[:, 2:3] * weight
        n = share_of_particles(here.sum())
        errors = functional.binary_cross_entropy_with_logits(raw[:, 2:3], targets[:, 2:3], reduction="none")
        sides = [0, 1, 3, 4]
        return {
            "confidence": (errors * weight).sum() / n,
            "sides": (functional.smooth_l1_loss(raw[:, sides], targets[:, sides], reduction="none") * here).sum() / n,
        }


@register
def sides_toy(*, working_diameter_px: float = 24.0):
    """Three convolutions and the four sides of each box."""
    return SidesDetector(working_diameter_px)
