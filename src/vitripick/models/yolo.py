"""Define `yolo`, the network of Wagner et al. 2019, layer by layer (their Table 2), with their head and loss
(`grid.py`).

One look at the whole micrograph, 1024 x 1024 in, a 32 x 32 grid out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vitripick.models.detector import Detector
from vitripick.models.grid import PAPER_RECIPE, GridDetector
from vitripick.models.registry import register

# The paper's 21 convolutions: filters and kernel; "P" is a 2 x 2 max-pool.
_LAYERS = (
    (32, 3), "P", (64, 3), "P", (128, 3), (64, 1), (128, 3), "P", (256, 3), (128, 1), (256, 3), "P",
    (512, 3), (256, 1), (512, 3), (256, 1), (512, 3), "P",
    (1024, 3), (512, 1), (1024, 3), (512, 1), (1024, 3), (1024, 3), (1024, 3), (1024, 3),
)  # fmt: skip
_PASSED_ON, _LAST = "layer13", "layer21"
# The 1 x 1 convolution of the passthrough, as in YOLOv2 (Redmon & Farhadi 2017); the paper does not give its width.
_PASSTHROUGH_FILTERS = 64


class Darknet(nn.Module):
    """Extracts the paper's features: `layer1` to `layer21`, `pool1` to `pool5`, and the passthrough."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []
        n_in, n_layers, n_pools = 1, 0, 0
        for layer in _LAYERS:
            if isinstance(layer, str):
                n_pools += 1
                self._append(f"pool{n_pools}", nn.MaxPool2d(2))
                continue
            n_layers += 1
            name, (filters, kernel) = f"layer{n_layers}", layer
            if name == _LAST:
                # Space to depth: the 64 x 64 map of layer 13 becomes 32 x 32, with four times the channels.
                self.passthrough = nn.Sequential(_conv(512, _PASSTHROUGH_FILTERS, 1), nn.PixelUnshuffle(2))
                n_in += 4 * _PASSTHROUGH_FILTERS
            self._append(name, _conv(n_in, filters, kernel))
            n_in = filters
        self.n_features = n_in

    def forward(self, x: Tensor) -> Tensor:
        fine = x
        for name in self.order:
            if name == _LAST:
                x = torch.cat([self.passthrough(fine), x], dim=1)
            x = self.get_submodule(name)(x)
            if name == _PASSED_ON:
                fine = x
        return x

    def _append(self, name: str, module: nn.Module) -> None:
        self.order.append(name)
        self.add_module(name, module)


@register(recipe=PAPER_RECIPE)
def yolo(*, input_size_px: int = 1024) -> Detector:
    """Return the network of Wagner et al. 2019, layer by layer (docs/architectures.md has the table)."""
    features = Darknet()
    return GridDetector(features, n_features=features.n_features, input_size_px=input_size_px)


def _conv(n_in: int, n_out: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(n_out),
        nn.LeakyReLU(0.1, inplace=True),
    )
