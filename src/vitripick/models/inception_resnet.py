"""Define `inception_resnet`: the paper's head on the features of Inception-ResNet-v2, from its comparison of
architectures.

Written from the figures of Szegedy, Ioffe, Vanhoucke & Alemi 2017 ("Inception-v4, Inception-ResNet and the Impact of
Residual Connections on Learning", AAAI). Two differences, both because a detector must know exactly where each cell
lies: every convolution and pool is padded, so that the whole is 1/32 and not a border less; and the average pool and
classifier at its end are replaced by the head of `grid.py`. Residuals are scaled down by 0.2 before they are added,
within the 0.1-0.3 that they recommend.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from vitripick.models.detector import Detector
from vitripick.models.grid import PAPER_RECIPE, GridDetector
from vitripick.models.registry import register

_RESIDUAL_SCALE = 0.2
Kernel = int | tuple[int, int]


class Branches(nn.Module):
    """Runs the same input through several branches, and puts their channels one after another."""

    def __init__(self, **branches: nn.Module) -> None:
        super().__init__()
        self.names = list(branches)
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.get_submodule(name)(x) for name in self.names], dim=1)


class Residual(nn.Module):
    """Adds scaled branches to the input, after a linear 1 x 1 convolution back to `channels` (their Fig. 20)."""

    def __init__(self, channels: int, n_branch: int, **branches: nn.Module) -> None:
        super().__init__()
        self.branches = Branches(**branches)
        self.linear = nn.Conv2d(n_branch, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + _RESIDUAL_SCALE * self.linear(self.branches(x)))


def inception_resnet_v2() -> nn.Sequential:
    """Return (n, 1, h, w) to (n, 2144, h / 32, w / 32): stem, 5 A, reduction A, 10 B, reduction B, 5 C."""
    parts: dict[str, nn.Module] = {"stem": _stem()}
    parts |= {f"a{i}": _block_a() for i in range(1, 6)}
    # Fig. 7 with k, l, m, n = 256, 256, 384, 384 (Table 1): to 1152 channels at 1/16.
    parts["reduction_a"] = Branches(
        pool=_pool(),
        one=_conv(384, 384, 3, 2),
        two=nn.Sequential(_conv(384, 256, 1), _conv(256, 256, 3), _conv(256, 384, 3, 2)),
    )
    parts |= {f"b{i}": _block_b() for i in range(1, 11)}
    # Fig. 18: to 2144 channels at 1/32.
    parts["reduction_b"] = Branches(
        pool=_pool(),
        one=nn.Sequential(_conv(1152, 256, 1), _conv(256, 384, 3, 2)),
        two=nn.Sequential(_conv(1152, 256, 1), _conv(256, 288, 3, 2)),
        three=nn.Sequential(_conv(1152, 256, 1), _conv(256, 288, 3), _conv(288, 320, 3, 2)),
    )
    parts |= {f"c{i}": _block_c() for i in range(1, 6)}
    return nn.Sequential(OrderedDict(parts))


def _stem() -> nn.Sequential:
    """Return Fig. 3, shared with Inception-v4: to 384 channels at 1/8; one channel in instead of three."""
    return nn.Sequential(
        _conv(1, 32, 3, 2),
        _conv(32, 32, 3),
        _conv(32, 64, 3),
        Branches(pool=_pool(), one=_conv(64, 96, 3, 2)),
        Branches(
            one=nn.Sequential(_conv(160, 64, 1), _conv(64, 96, 3)),
            two=nn.Sequential(_conv(160, 64, 1), _conv(64, 64, (7, 1)), _conv(64, 64, (1, 7)), _conv(64, 96, 3)),
        ),
        Branches(one=_conv(192, 192, 3, 2), pool=_pool()),
    )


def _block_a() -> Residual:
    """Return the block of Fig. 16."""
    return Residual(
        384,
        128,
        one=_conv(384, 32, 1),
        two=nn.Sequential(_conv(384, 32, 1), _conv(32, 32, 3)),
        three=nn.Sequential(_conv(384, 32, 1), _conv(32, 48, 3), _conv(48, 64, 3)),
    )


def _block_b() -> Residual:
    """Return the block of Fig. 17; its 1154 filters would not fit the 1152 channels that it is added to."""
    return Residual(
        1152,
        384,
        one=_conv(1152, 192, 1),
        two=nn.Sequential(_conv(1152, 128, 1), _conv(128, 160, (1, 7)), _conv(160, 192, (7, 1))),
    )


def _block_c() -> Residual:
    """Return the block of Fig. 19; its 2048 filters would not fit the 2144 channels that it is added to."""
    return Residual(
        2144,
        448,
        one=_conv(2144, 192, 1),
        two=nn.Sequential(_conv(2144, 192, 1), _conv(192, 224, (1, 3)), _conv(224, 256, (3, 1))),
    )


# torch 2.13 writes past its memory in this network's backward pass in bfloat16 on a CPU with AMX: the process dies.
@register(recipe=PAPER_RECIPE, bf16_on_cpu=False)
def inception_resnet(*, input_size_px: int = 1024) -> Detector:
    """Return Inception-ResNet-v2 features (Szegedy et al. 2017) under the paper's head, loss and recipe."""
    return GridDetector(inception_resnet_v2(), n_features=2144, input_size_px=input_size_px)


def _conv(n_in: int, n_out: int, kernel: Kernel, stride: int = 1) -> nn.Sequential:
    high, wide = (kernel, kernel) if isinstance(kernel, int) else kernel
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, (high, wide), stride=stride, padding=(high // 2, wide // 2), bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(inplace=True),
    )


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, stride=2, padding=1)
