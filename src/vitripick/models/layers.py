"""List the layers of an architecture in a table, from the network itself and not from a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vitripick.models.architectures import build_detector

# The side of the image shown where the architecture does not choose one: a training crop.
_CROP_PX = 192


@dataclass(frozen=True)
class Layer:
    """Describes one convolution, with the normalisation and activation that follow it, or one pool.

    Attributes
    ----------
    name
        Its place in the network.
    kind, filters, kernel, stride
        `"convolution"` or `"pool"`; filters of a convolution.
    follows
        Normalisation, activation and dropout right before the next layer.
    output
        Channels, rows and columns.
    n_parameters
        Learnt numbers, those of the normalisation included.
    """

    name: str
    kind: str
    filters: int | None
    kernel: str
    stride: int
    follows: tuple[str, ...]
    output: tuple[int, int, int]
    n_parameters: int


@dataclass(frozen=True)
class Description:
    """Holds an architecture's layers in the order in which an image meets them, and their sums."""

    architecture: str
    input_size_px: int
    stride: int
    layers: tuple[Layer, ...]
    n_parameters: int
    gigaflop: float

    @property
    def n_convolutions(self) -> int:
        """Return how many convolutions there are, those of the head included."""
        return sum(layer.kind == "convolution" for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """Return the table as JSON can hold it."""
        own = {**vars(self), "layers": [vars(layer) for layer in self.layers]}
        return {**own, "n_convolutions": self.n_convolutions}


def describe(name: str, options: dict[str, Any] | None = None) -> Description:
    """Build the architecture without memory for its weights and send an image without pixels through it.

    Raises
    ------
    UsageError
        As in `build_detector`.
    """
    with torch.device("meta"):
        detector = build_detector(name, options).eval()
    side = _CROP_PX if detector.input_size_px is None else detector.input_size_px
    seen: list[tuple[str, nn.Module, tuple[int, int, int]]] = []
    handles = []
    for path, module in detector.named_modules():
        if not next(module.children(), None):

            def note(module: nn.Module, given: Any, output: Tensor, path: str = path) -> None:
                seen.append((path, module, (int(output.shape[1]), int(output.shape[2]), int(output.shape[3]))))

            handles.append(module.register_forward_hook(note))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        detector(torch.zeros(1, 1, side, side, device="meta"))
    for handle in handles:
        handle.remove()
    return Description(
        architecture=name,
        input_size_px=side,
        stride=detector.stride,
        layers=_layers(seen),
        n_parameters=sum(parameter.numel() for parameter in detector.parameters()),
        gigaflop=counter.get_total_flops() / 1e9,
    )


def _layers(seen: list[tuple[str, nn.Module, tuple[int, int, int]]]) -> tuple[Layer, ...]:
    result: list[Layer] = []
    before: tuple[str, ...] = ()
    for path, module, output in seen:
        own = sum(parameter.numel() for parameter in module.parameters())
        if isinstance(module, nn.Conv2d | nn.MaxPool2d):
            size = module.kernel_size if isinstance(module.kernel_size, tuple) else (module.kernel_size,) * 2
            stride = module.stride[0] if isinstance(module.stride, tuple) else module.stride
            convolution = isinstance(module, nn.Conv2d)
            result.append(
                Layer(
                    name=_short(path),
                    kind="convolution" if convolution else "pool",
                    filters=module.out_channels if isinstance(module, nn.Conv2d) else None,
                    kernel=f"{size[0]}x{size[1]}",
                    stride=int(stride),
                    follows=before,
                    output=output,
                    n_parameters=own,
                )
            )
            before = ()
        elif isinstance(module, nn.Dropout):
            before = (*before, _name_of(module))
        elif result:
            last = result[-1]
            changed = {
                "follows": (*last.follows, _name_of(module)),
                "output": output,
                "n_parameters": last.n_parameters + own,
            }
            result[-1] = Layer(**{**vars(last), **changed})
        else:
            before = (*before, _name_of(module))
    return tuple(result)


def _short(path: str) -> str:
    """Return the place without the numbers that only say where in its block a convolution stands."""
    parts = path.removeprefix("features.").split(".")
    while len(parts) > 1 and parts[-1] in ("0", "1", "2"):
        parts.pop()
    return ".".join(parts)


def _name_of(module: nn.Module) -> str:
    if isinstance(module, nn.BatchNorm2d):
        return "batch norm"
    if isinstance(module, nn.LeakyReLU):
        return f"leaky ReLU {module.negative_slope:g}"
    if isinstance(module, nn.Dropout):
        return f"after dropout {module.p:g}"
    if isinstance(module, nn.PixelUnshuffle):
        return f"space to depth {module.downscale_factor}"
    return type(module).__name__
