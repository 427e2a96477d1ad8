"""`yolo`: the network, loss and decoding of Wagner et al. 2019, layer by layer (their Table 2).

One look at the whole micrograph, 1024 x 1024 in, a 32 x 32 grid out; each cell says where in it a particle's centre
is, how large the box is, and how sure it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vitripick.geometry import FloatArray
from vitripick.images import Preparation
from vitripick.models.detections import Decoding
from vitripick.models.detector import Detector, LabelArray
from vitripick.models.registry import register

# The paper's 21 convolutions: filters and kernel; "P" is a 2 x 2 max-pool.
_FIRST = (
    (32, 3), "P", (64, 3), "P", (128, 3), (64, 1), (128, 3), "P", (256, 3), (128, 1), (256, 3), "P",
    (512, 3), (256, 1), (512, 3), (256, 1), (512, 3),
)  # fmt: skip
_SECOND = ("P", (1024, 3), (512, 1), (1024, 3), (512, 1), (1024, 3), (1024, 3), (1024, 3))
_LAST_FILTERS = 1024
# The 1 x 1 convolution of the passthrough, as in YOLOv2 (Redmon & Farhadi 2017); the paper does not give its width.
_PASSTHROUGH_FILTERS = 64
_DROPOUT = 0.2
_OUTPUTS = 6  # x, y, w, h, confidence, class
# A missed particle costs five times what a false one does: this is what lets it learn from sparse labels.
_LAMBDA_COORD, _LAMBDA_OBJ, _LAMBDA_NOOBJ = 1.0, 5.0, 1.0


class YoloDetector(Detector):
    """See the module's docstring; `yolo` builds it."""

    anchor_px: Tensor

    def __init__(self, *, input_size_px: int) -> None:
        super().__init__()
        if input_size_px % 32:
            raise ValueError(f"yolo's input must be a multiple of 32 pixels, not {input_size_px}")
        self.stride = 32
        self.pad_to = 32
        self.margin = None
        self.input_size_px = input_size_px
        self.layers1_13 = _stack(_FIRST, 1)
        self.layers14_20 = _stack(_SECOND, 512)
        self.passthrough = nn.Sequential(_conv(512, _PASSTHROUGH_FILTERS, 1), nn.PixelUnshuffle(2))
        self.layer21 = _conv(_LAST_FILTERS + 4 * _PASSTHROUGH_FILTERS, _LAST_FILTERS, 3)
        self.head = nn.Sequential(nn.Dropout(_DROPOUT), nn.Conv2d(_LAST_FILTERS, _OUTPUTS, 1))
        # Width and height of the one anchor box in working pixels, from the training labels.
        self.register_buffer("anchor_px", torch.tensor([64.0, 64.0]))

    def forward(self, images: Tensor) -> Tensor:
        fine = self.layers1_13(images)
        coarse = self.layers14_20(fine)
        merged = self.layer21(torch.cat([self.passthrough(fine), coarse], dim=1))
        raw: Tensor = self.head(merged)
        return raw

    def _boxes(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Raw maps to x and y within the cell (0-1), w and h as multiples of the anchor, and confidence."""
        # exp is cut at about 8 anchors: an untrained network must not overflow.
        size = raw[:, 2:4].clamp(max=2.0).exp()
        return raw[:, 0].sigmoid(), raw[:, 1].sigmoid(), size[:, 0], size[:, 1], raw[:, 4].sigmoid()

    @property
    def decoding(self) -> Decoding:
        width, height = self.anchor_px.tolist()
        return Decoding(
            kind="grid", stride=self.stride, pad_to=self.pad_to, margin=self.margin, anchor_px=(width, height)
        )

    def targets(self, labels: Sequence[LabelArray], shape: tuple[int, int]) -> Tensor:
        """(n, 5, h / 32, w / 32): x and y within the cell, w and h as multiples of the anchor, 1 where a particle is.

        A cell holds one particle: of several, the one nearest to the cell's middle.
        """
        rows, columns = shape[0] // self.stride, shape[1] // self.stride
        anchor = self.anchor_px.cpu().numpy()
        result = np.zeros((len(labels), 5, rows, columns), np.float32)
        for target, boxes in zip(result, labels, strict=True):
            if not len(boxes):
                continue
            centre = (boxes[:, :2] + 0.5) / self.stride
            cell = np.floor(centre).astype(int)
            inside = np.all((cell >= 0) & (cell < (columns, rows)), axis=1)
            within = centre - cell
            # Nearest last, so that it is the one that stays.
            for i in np.argsort(-np.abs(within - 0.5).max(axis=1), kind="stable"):
                if bool(inside[i]):
                    column, row = cell[i]
                    target[:, row, column] = (*within[i], *(boxes[i, 2:] / anchor), 1.0)
        return torch.from_numpy(result)

    def loss(self, raw: Tensor, targets: Tensor, weight: Tensor) -> dict[str, Tensor]:
        x, y, w, h, confidence = self._boxes(raw)
        wanted_x, wanted_y, wanted_w, wanted_h, particle = targets.unbind(1)
        # A cell on the edge of what is labelled counts in proportion.
        known = functional.avg_pool2d(weight, self.stride)[:, 0]
        here, none = particle * known, (1 - particle) * known
        n = here.sum().clamp(min=1.0)
        # The size's error is that of its square root, as in YOLO (Redmon et al. 2016): small boxes count as much.
        size_error = (w.sqrt() - wanted_w.sqrt()) ** 2 + (h.sqrt() - wanted_h.sqrt()) ** 2
        place_error = (x - wanted_x) ** 2 + (y - wanted_y) ** 2
        return {
            "place": _LAMBDA_COORD * (here * place_error).sum() / n,
            "size": _LAMBDA_COORD * (here * size_error).sum() / n,
            "particle": _LAMBDA_OBJ * (here * (confidence - 1) ** 2).sum() / n,
            "no_particle": _LAMBDA_NOOBJ * (none * confidence**2).sum() / n,
        }

    @classmethod
    def default_preparation(cls, *, working_diameter_px: float | None, input_size_px: int | None) -> Preparation:
        return Preparation(scale_by="long_side", input_size_px=1024 if input_size_px is None else input_size_px)

    def set_priors(self, box_sizes_px: FloatArray) -> None:
        """The anchor is the median label box, in working pixels."""
        if len(box_sizes_px):
            self.anchor_px.copy_(torch.from_numpy(np.median(box_sizes_px, axis=0)))


@register
def yolo(*, input_size_px: int = 1024) -> Detector:
    """The network of Wagner et al. 2019, layer by layer (docs/architectures.md has the table)."""
    return YoloDetector(input_size_px=input_size_px)


def _conv(n_in: int, n_out: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(n_out),
        nn.LeakyReLU(0.1, inplace=True),
    )


def _stack(layers: Sequence[tuple[int, int] | str], n_in: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for layer in layers:
        if isinstance(layer, str):
            parts.append(nn.MaxPool2d(2))
        else:
            parts.append(_conv(n_in, layer[0], layer[1]))
            n_in = layer[0]
    return nn.Sequential(*parts)
