"""Train the network that sees filaments: on simulated fields, or on micrographs with labelled filaments."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vitripick.models.filament_network import FilamentNetwork, filament_loss

# Images (p, p) and targets (8, p / 2, p / 2), half precision.
Sample = tuple[npt.NDArray[np.float16], npt.NDArray[np.float16]]


def fit_filaments(
    network: FilamentNetwork,
    batches: Iterator[tuple[Tensor, Tensor, Tensor | None]],
    *,
    device: torch.device,
    steps: int | None = None,
    seconds: float | None = None,
    learning_rate: float = 2e-3,
    bf16: bool = False,
    seed: int = 1,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
    every: int = 50,
    should_stop: Callable[[], bool] = lambda: False,
) -> FilamentNetwork:
    """Train a network and return the running mean of its weights, in evaluation mode on the CPU.

    Parameters
    ----------
    network
        Trained in place.
    batches
        Images (n, 1, p, p), targets (n, 8, p / 2, p / 2) and weights or None, without end.
    device
        Where to train.
    steps, seconds
        How long: one of the two.
    learning_rate
        The largest; it rises over the first 3 % and falls as a cosine.
    bf16
        Compute in bfloat16 on a CPU, too, as a GPU does anyway.
    seed
        Of turning and of changes of contrast.
    on_step, every
        Called every so often with the parts of the loss.
    should_stop
        Asked before each step; if it returns true, the training ends there.
    """
    if (steps is None) == (seconds is None):
        raise ValueError("give either steps or seconds")
    network.to(device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    mean = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=0.02)
    generator = torch.Generator().manual_seed(seed)
    began, step = time.monotonic(), 0
    while True:
        done = step / steps if steps is not None else (time.monotonic() - began) / float(seconds or 1)
        if done >= 1 or should_stop():
            break
        warm = min(1.0, (step + 1) / 60)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * warm * (0.01 + 0.99 * (1 + math.cos(math.pi * min(done, 1))) / 2)
        images, targets, weight = next(batches)
        images, targets = images.to(device).float(), targets.to(device).float()
        weight = None if weight is None else weight.to(device).float()
        images, targets, weight = _turned(images, targets, weight, generator)
        images = _with_other_contrast(images, generator)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16 or device.type == "cuda"):
            raw = network(images.contiguous(memory_format=torch.channels_last))
        parts = filament_loss(raw.float(), targets, weight)
        loss = torch.stack(list(parts.values())).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        _follow(mean, network, min(0.998, (step + 1) / (step + 10)))
        if on_step is not None and step % every == 0:
            on_step(step, {name: float(value.detach()) for name, value in parts.items()})
        step += 1
    return mean.cpu().eval()


@torch.no_grad()
def _follow(mean: FilamentNetwork, network: FilamentNetwork, keep: float) -> None:
    for one, other in zip(mean.state_dict().values(), network.state_dict().values(), strict=True):
        if one.dtype.is_floating_point:
            one.lerp_(other, 1 - keep)
        else:
            one.copy_(other)


def _turned(
    images: Tensor, targets: Tensor, weight: Tensor | None, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the batch mirrored and with its axes exchanged at random; vectors and directions turn along."""
    flip_x, flip_y, swap = torch.rand(3, generator=generator) < 0.5

    def mapped(batch: Tensor) -> Tensor:
        axes = [axis for axis, on in ((3, flip_x), (2, flip_y)) if on]
        batch = batch.flip(axes) if axes else batch
        return batch.transpose(2, 3) if swap else batch

    images, weight = mapped(images), None if weight is None else mapped(weight)
    targets = mapped(targets)
    # heat, offset x, offset y, cos 2a, sin 2a, log width, counts, clear
    sign = torch.ones(targets.shape[1], device=targets.device)
    sign[1] *= -1 if flip_x else 1
    sign[2] *= -1 if flip_y else 1
    sign[4] *= -1 if bool(flip_x) != bool(flip_y) else 1
    targets = targets * sign[None, :, None, None]
    if swap:
        targets = targets[:, [0, 2, 1, 3, 4, *range(5, targets.shape[1])]]
        targets[:, 3] *= -1
    return images, targets, weight


def _with_other_contrast(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return the images with another contrast each, some with noise on top."""
    n = len(images)
    scale = (0.75 + 0.5 * torch.rand(n, generator=generator)).to(images.device)
    noise = (torch.rand(n, generator=generator) ** 3 * 0.8).to(images.device)
    noisy = images + noise[:, None, None, None] * torch.randn_like(images)
    noisy = noisy / (1 + noise[:, None, None, None] ** 2).sqrt()
    return (noisy * scale[:, None, None, None]).clamp(-5, 5)
