"""Define the network that sees filaments: the trunk of `heatmap` with a head for centre line, direction and width.

Every filament is brought to one width in working pixels, as `heatmap` brings every particle to one diameter. Of each
cell the network says: does a centre line run here, where exactly (offset x and y), in which direction (cosine and sine
of twice the angle, because a line has no front end), and how wide is the filament?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial import cKDTree
from torch import Tensor, nn
from torch.nn import functional

from vitripick.geometry import Filament, FloatArray, angle_between
from vitripick.models.detections import Decoding
from vitripick.models.heatmap import HeatmapDetector

Batch = npt.NDArray[np.float32]
# Raw maps: heat, offset x, offset y, cosine, sine, log width. Targets have one more: where offset and width count.
N_MAPS = 6
# Sigma of the heat across the centre line, in widths, and the cells around the line that have full heat.
_HEAT_SIGMA = 0.11
_FULL_HEAT_CELLS = 0.5
# Offset, direction and width are learned within this many widths of the centre line.
_OFFSET_WIDTHS = 0.35
# Where another filament is this near and turned by more than this, there are two directions, so none is learned.
_CROSSING_WIDTHS = 0.5
_CROSSING_RADIANS = 0.35


class FilamentNetwork(nn.Module):
    """See the docstring of the module.

    Parameters
    ----------
    width
        Channels of the first layer; deeper ones have multiples of it.
    stride
        Working pixels per cell of the maps: 2 or 4.
    working_width_px
        Width of every filament in the prepared image.
    """

    def __init__(self, *, width: int = 32, stride: int = 4, working_width_px: float = 12.0) -> None:
        super().__init__()
        self.trunk = HeatmapDetector(width=width, stride=stride, working_diameter_px=working_width_px)
        self.working_width_px = working_width_px
        before = self.trunk.head[0]
        final = nn.Conv2d(2 * width, N_MAPS, 1)
        self.trunk.head = nn.Sequential(before, final)
        assert final.bias is not None
        nn.init.zeros_(final.bias)
        nn.init.constant_(final.bias[:1], -3.0)

    @property
    def stride(self) -> int:
        """Return working pixels per cell of the maps."""
        return self.trunk.stride

    @property
    def decoding(self) -> Decoding:
        """Return how the raw maps are read, by this and every other engine."""
        return Decoding(
            kind="filaments",
            stride=self.stride,
            pad_to=self.trunk.pad_to,
            margin=self.trunk.margin,
            numbers={"working_width_px": self.working_width_px},
        )

    def forward(self, images: Tensor) -> Tensor:
        """Turn prepared images (n, 1, h, w) into raw maps (n, 6, h / stride, w / stride); sides are multiples of 16."""
        raw: Tensor = self.trunk(images)
        return raw

    @torch.inference_mode()
    def run(self, images: Batch) -> Batch:
        """Turn prepared images into raw maps, both in NumPy, on the device that the weights are on."""
        device = next(self.parameters()).device
        tensor = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        result: Batch = self(tensor.contiguous(memory_format=torch.channels_last)).float().cpu().numpy()
        return result


def filament_targets(
    filaments: Sequence[Filament], shape: tuple[int, int], *, stride: int, working_width_px: float
) -> Batch:
    """Return the target maps of an image: (8, rows, columns).

    They are heat, offset x, offset y, cosine, sine, log width, 1 where offset and width count, 1 where the direction
    counts. A filament without a width has the working width.

    Parameters
    ----------
    filaments
        In pixels of the image.
    shape
        (h, w) of the image.
    stride, working_width_px
        As the network's.
    """
    rows, columns = shape[0] // stride, shape[1] // stride
    target = np.zeros((N_MAPS + 2, rows, columns), np.float32)
    if not filaments:
        return target
    line = _sampled(filaments, stride, working_width_px)
    grid_y, grid_x = np.mgrid[:rows, :columns]
    cells = np.column_stack([grid_x.ravel(), grid_y.ravel()]).astype(np.float64)
    distance, nearest = cKDTree(line.at).query(cells)
    width, angle = line.width[nearest], line.angle[nearest]
    sigma = _HEAT_SIGMA * width / stride
    offset = line.at[nearest] - cells
    counts = distance <= np.maximum(_OFFSET_WIDTHS * width / stride, 1.0)
    flat = target.reshape(len(target), -1)
    flat[0] = np.exp(-0.5 * (np.maximum(distance - _FULL_HEAT_CELLS, 0) / sigma) ** 2)
    flat[1], flat[2] = offset[:, 0], offset[:, 1]
    flat[3], flat[4] = np.cos(2 * angle), np.sin(2 * angle)
    flat[5] = np.log(width / working_width_px)
    flat[6] = flat[7] = counts
    for number in range(len(filaments)):
        others = line.number != number
        here = np.flatnonzero(counts & (line.number[nearest] == number))
        if not (others.any() and len(here)):
            continue
        far, which = cKDTree(line.at[others]).query(cells[here])
        near = far <= _CROSSING_WIDTHS * width[here] / stride
        turned = angle_between(angle[here], line.angle[others][which]) > _CROSSING_RADIANS
        flat[7, here[near & turned]] = 0
    return target


@dataclass(frozen=True, eq=False)
class _Line:
    """Holds points of all centre lines: places in cells, directions, widths in pixels, numbers of the filaments."""

    at: FloatArray
    angle: FloatArray
    width: FloatArray
    number: npt.NDArray[np.int64]


def _sampled(filaments: Sequence[Filament], stride: int, working_width_px: float) -> _Line:
    places, angles, widths, numbers = [], [], [], []
    for number, one in enumerate(filaments):
        width = one.width if np.isfinite(one.width) else working_width_px
        at, angle = one.at(np.linspace(0, one.length, max(2, int(one.length / (0.25 * stride)) + 1)))
        places.append((at - (stride - 1) / 2) / stride)
        angles.append(angle)
        widths.append(np.full(len(at), width))
        numbers.append(np.full(len(at), number, np.int64))
    return _Line(np.concatenate(places), np.concatenate(angles), np.concatenate(widths), np.concatenate(numbers))


def filament_loss(raw: Tensor, targets: Tensor, weight: Tensor | None = None) -> dict[str, Tensor]:
    """Return the parts of the loss by name, each a scalar; their sum is minimised.

    Parameters
    ----------
    raw : (n, 6, rows, columns)
        Of the network.
    targets : (n, 8, rows, columns)
        Of `filament_targets`.
    weight : (n, 1, rows, columns), or None
        0 where labels say nothing.
    """
    heat, wanted = raw[:, :1], targets[:, :1]
    seen = torch.ones_like(heat) if weight is None else weight
    focus = (heat.sigmoid() - wanted).abs() ** 2
    error = functional.binary_cross_entropy_with_logits(heat, wanted, reduction="none")
    counts, clear = targets[:, 6:7] * seen, targets[:, 7:8] * seen
    n, n_clear = counts.sum().clamp(min=1.0), clear.sum().clamp(min=1.0)
    offset = functional.smooth_l1_loss(raw[:, 1:3], targets[:, 1:3], reduction="none", beta=0.25)
    turn = functional.smooth_l1_loss(raw[:, 3:5], targets[:, 3:5], reduction="none", beta=0.25)
    width = functional.smooth_l1_loss(raw[:, 5:6], targets[:, 5:6], reduction="none", beta=0.1)
    return {
        "heat": 8 * (focus * error * seen).sum() / n,
        "offset": (offset * counts).sum() / n,
        "direction": (turn * clear).sum() / n_clear,
        "width": (width * counts).sum() / n,
    }
