"""An architecture in one file: the paper's head on five convolutions."""

from torch import nn

from vitripick.models.detector import Detector
from vitripick.models.grid import PAPER_RECIPE, GridDetector
from vitripick.models.registry import register


@register(recipe={**PAPER_RECIPE, "batch_size": 2}, bf16_on_cpu=False)
def paper_toy(*, width: int = 8, input_size_px: int = 256) -> Detector:
    """Five convolutions under the paper's head."""
    layers, n_in = [], 1
    for n_out in (width, width, 2 * width, 2 * width, 4 * width):
        layers += [nn.Conv2d(n_in, n_out, 3, stride=2, padding=1), nn.BatchNorm2d(n_out), nn.LeakyReLU(0.1)]
        n_in = n_out
    return GridDetector(nn.Sequential(*layers), n_features=n_in, input_size_px=input_size_px)
