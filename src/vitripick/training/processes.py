"""One training over several processes, on as many GPUs or on CPU cores: torchrun starts them, DistributedDataParallel
keeps their weights the same.

Together they act like one process with a batch that is larger by their number. Batch normalisation takes its statistics
over all of them, losses are normalised by the particles of all (`share_of_particles`), and each draws its own share of
the common batch. The first one validates, writes, and sends the results to the others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """Describes this process among those of one training.

    Attributes
    ----------
    rank, world
        Its number, and how many there are.
    device
        The device on which it computes.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Return whether this is the process that validates, writes and reports."""
        return self.rank == 0

    def wrap(self, detector: nn.Module) -> nn.Module:
        """Return the detector to call in training: gradients are averaged over all processes."""
        if self.world == 1:
            return detector
        _synchronise_normalisation(detector, self.device)
        ids = [self.device.index] if self.device.type == "cuda" else None
        return DistributedDataParallel(detector, device_ids=ids)

    def average(self, values: Sequence[float]) -> list[float]:
        """Return each value's mean over all processes."""
        if self.world == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor)
        return [float(value) for value in tensor / self.world]

    def share(self, value: T) -> T:
        """Return the first process's value in all of them; every process waits for it here."""
        if self.world == 1:
            return value
        holder: list[Any] = [value]
        dist.broadcast_object_list(holder, src=0, device=self.device)
        return holder[0]  # type: ignore[no-any-return]


@contextmanager
def join_processes(device: torch.device) -> Iterator[Processes]:
    """Join the processes that torchrun started (the environment names them), or work alone."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Processes(0, 1, device)
        return
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(dist.get_rank(), world, device)
    finally:
        dist.destroy_process_group()


def _synchronise_normalisation(detector: nn.Module, device: torch.device) -> None:
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(detector)  # type: ignore[no-untyped-call]
        return
    # torch's own works on GPUs only.
    for module in detector.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = _SyncBatchNorm2d


class _Sum(torch.autograd.Function):
    """Adds up over all processes; the gradient of the sum in one goes to the losses of all."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        total = own.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


class _SyncBatchNorm2d(nn.BatchNorm2d):
    """Normalises over the batches of all processes, which are of one size."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        n = x.numel() / x.shape[1] * dist.get_world_size()
        # About the running mean, so that the difference of two large numbers loses nothing.
        assert self.running_mean is not None
        assert self.running_var is not None
        about = self.running_mean.detach().clone()
        centred = x - about[:, None, None]
        own = torch.stack([centred.sum((0, 2, 3)), (centred**2).sum((0, 2, 3))])
        sums: Tensor = _Sum.apply(own)  # type: ignore[no-untyped-call]
        shift = sums[0] / n
        variance = sums[1] / n - shift**2
        with torch.no_grad():
            momentum = 0.1 if self.momentum is None else self.momentum
            self.running_mean.lerp_(about + shift, momentum)
            self.running_var.lerp_(variance * (n / (n - 1)), momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        normal: Tensor = (centred - shift[:, None, None]) * scale[:, None, None] + self.bias[:, None, None]
        return normal
