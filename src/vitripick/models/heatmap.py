"""Define `heatmap`, the default network: a small U-Net that marks the centre of every particle.

Every particle is seen at one size (the bundle's working diameter), so a small network is enough. It gives, at a
quarter of the working resolution, a heat (is a particle's centre here?), the offset to that centre and the particle's
size. Dense 3x3 convolutions with ReLU and channels in multiples of 16 after a space-to-depth stem: the layout that
CPU engines run fastest. The idea of centres as heat maps is that of CenterNet (Zhou et al. 2019); the loss on soft
targets is the quality focal loss (Li et al. 2020).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor, nn
from torch.nn import functional

from vitripick.geometry import FloatArray
from vitripick.images import Preparation
from vitripick.models.detections import Batch, Decoding
from vitripick.models.detector import Detector, LabelArray, share_of_particles
from vitripick.models.registry import register

# Sigma of the target's heat as a share of the particle's diameter: about the scatter of people's clicks.
_HEAT_SIGMA = 0.12
# Cells within this many cells of a centre have full heat, so that confidence does not depend on where between cells
# a particle lies (0.71 is the farthest that the nearest cell can be).
_FULL_HEAT_CELLS = 0.71
# Cells within this many cells of a centre learn offset and size: the peak and its neighbours.
_OFFSET_CELLS = 2.0


class HeatmapDetector(Detector):
    """See the module's docstring; `heatmap` builds it."""

    def __init__(self, *, width: int, stride: int, working_diameter_px: float, junk: bool = False) -> None:
        super().__init__()
        if stride not in (2, 4):
            raise ValueError(f"heatmap has stride 2 or 4, not {stride}")
        self.stride = stride
        self.pad_to = 16
        # Receptive field: 140 px to each side (docs/architectures.md adds it up), rounded up to pad_to.
        self.margin = 160
        self.working_diameter_px = working_diameter_px
        self.learns_junk = junk
        w = width
        self.stem = nn.Sequential(nn.PixelUnshuffle(2), _conv(4, w), _Residual(w))
        self.down4 = nn.Sequential(_conv(w, 2 * w, stride=2), _Residual(2 * w))
        self.down8 = nn.Sequential(_conv(2 * w, 3 * w, stride=2), _Residual(3 * w))
        self.down16 = nn.Sequential(_conv(3 * w, 4 * w, stride=2), _Residual(4 * w), _Residual(4 * w))
        self.lateral16 = nn.Conv2d(4 * w, 2 * w, 1)
        self.lateral8 = nn.Conv2d(3 * w, 2 * w, 1)
        self.lateral4 = nn.Conv2d(2 * w, 2 * w, 1)
        self.merge8 = _conv(2 * w, 2 * w)
        self.merge4 = _conv(2 * w, 2 * w)
        if stride == 2:
            self.lateral2 = nn.Conv2d(w, 2 * w, 1)
            self.merge2 = _conv(2 * w, 2 * w)
        self.head = nn.Sequential(_conv(2 * w, 2 * w), nn.Conv2d(2 * w, 5 if junk else 4, 1))
        final = self.head[1]
        assert isinstance(final, nn.Conv2d)
        assert final.bias is not None
        nn.init.zeros_(final.bias)
        # The bias starts at "one cell in a hundred is a centre", so that empty cells do not dominate the first steps.
        nn.init.constant_(final.bias[:1], -4.6)

    def forward(self, images: Tensor) -> Tensor:
        at2 = self.stem(images)
        at4 = self.down4(at2)
        at8 = self.down8(at4)
        at16 = self.down16(at8)
        up = self.merge8(_double(self.lateral16(at16)) + self.lateral8(at8))
        up = self.merge4(_double(up) + self.lateral4(at4))
        if self.stride == 2:
            up = self.merge2(_double(up) + self.lateral2(at2))
        raw: Tensor = self.head(up)
        return raw

    @property
    def decoding(self) -> Decoding:
        return Decoding(
            kind="heatmap",
            stride=self.stride,
            pad_to=self.pad_to,
            margin=self.margin,
            junk=self.learns_junk,
            numbers={"working_diameter_px": self.working_diameter_px},
        )

    def targets(self, labels: Sequence[LabelArray], shape: tuple[int, int], junk: Batch | None = None) -> Tensor:
        """Return (n, 6, rows, columns): heat, offset x, offset y, log size, 1 where these three count, junk."""
        rows, columns = shape[0] // self.stride, shape[1] // self.stride
        grid_y, grid_x = np.mgrid[:rows, :columns].astype(np.float32)
        cells = np.column_stack([grid_x.ravel(), grid_y.ravel()])
        result = np.zeros((len(labels), 6, rows, columns), np.float32)
        half = self.stride // 2
        result[:, 5] = -1 if junk is None else junk[:, half :: self.stride, half :: self.stride]
        for target, boxes in zip(result, labels, strict=True):
            if not len(boxes):
                continue
            centres = (boxes[:, :2] - (self.stride - 1) / 2) / self.stride
            distance, nearest = cKDTree(centres).query(cells)
            size = np.sqrt(boxes[:, 2] * boxes[:, 3])
            sigma = _HEAT_SIGMA * size[nearest] / self.stride
            heat = np.exp(-0.5 * (np.maximum(distance - _FULL_HEAT_CELLS, 0) / sigma) ** 2)
            offset = centres[nearest] - cells
            target[0] = heat.reshape(rows, columns)
            target[1] = offset[:, 0].reshape(rows, columns)
            target[2] = offset[:, 1].reshape(rows, columns)
            target[3] = np.log(size[nearest] / self.working_diameter_px).reshape(rows, columns)
            target[4] = (distance <= _OFFSET_CELLS).reshape(rows, columns)
        return torch.from_numpy(result)

    def loss(self, raw: Tensor, targets: Tensor, weight: Tensor) -> dict[str, Tensor]:
        weight = functional.avg_pool2d(weight, self.stride)
        heat, wanted = raw[:, :1], targets[:, :1]
        focus = (heat.sigmoid() - wanted).abs() ** 2
        cross_entropy = functional.binary_cross_entropy_with_logits(heat, wanted, reduction="none")
        counts = targets[:, 4:5] * weight
        n_particles = share_of_particles(counts.sum() / (np.pi * _OFFSET_CELLS**2))
        n_cells = share_of_particles(counts.sum())
        offset_error = functional.smooth_l1_loss(raw[:, 1:3], targets[:, 1:3], reduction="none", beta=0.25)
        size_error = functional.smooth_l1_loss(raw[:, 3:4], targets[:, 3:4], reduction="none", beta=0.1)
        parts = {
            "heat": (focus * cross_entropy * weight).sum() / n_particles,
            "offset": (offset_error * counts).sum() / n_cells,
            "size": (size_error * counts).sum() / n_cells,
        }
        if self.learns_junk:
            is_junk = targets[:, 5:6]
            known = (is_junk >= 0).float()
            error = functional.binary_cross_entropy_with_logits(raw[:, 4:5], is_junk.clamp(min=0), reduction="none")
            parts["junk"] = (error * known).sum() / share_of_particles(known.sum())
        return parts

    def default_preparation(self) -> Preparation:
        return Preparation(scale_by="particle", working_diameter_px=self.working_diameter_px)

    def set_priors(self, box_sizes_px: FloatArray) -> None:
        """Do nothing, because every particle has the working diameter."""


@register
def heatmap(*, width: int = 32, stride: int = 4, working_diameter_px: float = 24.0, junk: bool = False) -> Detector:
    """Return a small U-Net with a centre heat map, for particles brought to one working diameter.

    With `junk` it also says where carbon, ice, gold and clumps are.
    """
    return HeatmapDetector(width=width, stride=stride, working_diameter_px=working_diameter_px, junk=junk)


def _conv(n_in: int, n_out: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    """Adds two 3x3 convolutions to its input (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(self.first(x)))


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")
