"""Define the contract of an architecture: what the rest of the package knows about a network.

A detector turns a batch of prepared images into raw maps, raw maps into detections, and labels into targets and a
loss. Nothing outside its own module knows which network it is. All coordinates here are in working pixels, the
pixels of the prepared image; (0, 0) is the middle of the first one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor, nn

from vitripick.geometry import FloatArray
from vitripick.images import Preparation
from vitripick.models.detections import Batch, Decoding, Detections, decode

# (n, 4), float32: x, y, width, height of the labels of one image, in working pixels.
LabelArray = npt.NDArray[np.float32]


class Detector(nn.Module, ABC):
    """Describes a network with everything that depends on its architecture.

    Attributes
    ----------
    stride
        Working pixels per cell of the raw maps; images must be multiples of `pad_to`.
    pad_to
        Image sides must be multiples of this.
    margin
        Working pixels around a place on which the raw map there depends: tiles overlap by this much on each side.
        None if the network must see the whole image at once.
    input_size_px
        Long side, in working pixels, of the image that the network sees at once: the micrograph, or one of its patches.
        None if it takes images of any size.
    learns_junk
        Whether `targets` takes `junk`, (n, h, w): 1 where a place is junk, 0 where none is, -1 where that is unknown.
    """

    stride: int
    pad_to: int
    margin: int | None
    input_size_px: int | None = None
    learns_junk: bool = False

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Turn prepared images (n, 1, h, w) into raw maps (n, c, h / stride, w / stride)."""

    @property
    @abstractmethod
    def decoding(self) -> Decoding:
        """Return how the raw maps are read (`detections.decode`), by this and every other engine."""

    def decode(self, raw: Tensor, *, floor: float) -> list[Detections]:
        """Return the detections of each image with at least `floor` confidence."""
        return decode(raw.detach().float().cpu().numpy(), self.decoding, floor=floor)

    @torch.inference_mode()
    def run(self, images: Batch) -> Batch:
        """Turn prepared images (n, 1, h, w) into raw maps, both in NumPy, on the device that the weights are on."""
        device = next(self.parameters()).device
        tensor = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        raw: Tensor = self(tensor.contiguous(memory_format=torch.channels_last))
        result: Batch = raw.float().cpu().numpy()
        return result

    @abstractmethod
    def targets(self, labels: Sequence[LabelArray], shape: tuple[int, int]) -> Tensor:
        """Turn the labels of images of `shape` (h, w) into targets, which `loss` compares with the raw maps."""

    @abstractmethod
    def loss(self, raw: Tensor, targets: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """Return the parts of the loss by name, each a scalar; their sum is minimised.

        `weight` is (n, 1, h, w), 0 where labels say nothing (outside the micrograph, its border band), else 1.
        """

    @abstractmethod
    def default_preparation(self) -> Preparation:
        """Return how micrographs are prepared for this network, at the scale that its options chose."""

    @abstractmethod
    def set_priors(self, box_sizes_px: FloatArray) -> None:
        """Set what the network knows before training (such as an anchor) from the labels' sizes in working pixels."""


def share_of_particles(count: Tensor) -> Tensor:
    """Return the divisor of a sum over particles: at least 1 in all; with several processes, the share of this one.

    The mean of the processes' losses is then the loss of all their particles, however these are spread.

    Parameters
    ----------
    count
        How many particles (or cells) this process's batch holds; a scalar.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return count.clamp(min=1.0)
    total = count.detach().clone()
    dist.all_reduce(total)
    return total.clamp(min=1.0) / dist.get_world_size()
