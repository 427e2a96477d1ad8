"""Define the head of the paper (Wagner et al. 2019) on any feature extractor: a grid of cells, at most one particle in
each.

A 1 x 1 convolution with six filters says about each cell where in it a particle's centre is, how large the box is as a
multiple of the one anchor box, and how sure it is. Loss, decoding and priors are here. A network of this family adds
its features, and trains by the paper's recipe unless it has another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vitripick.errors import UsageError, parameter
from vitripick.geometry import FloatArray
from vitripick.images import Preparation
from vitripick.models.detections import Decoding
from vitripick.models.detector import Detector, LabelArray, share_of_particles

_DROPOUT = 0.2
_OUTPUTS = 6  # x, y, w, h, confidence, class
# A missed particle costs five times what a false one does: this is what lets it learn from sparse labels.
_LAMBDA_COORD, _LAMBDA_OBJ, _LAMBDA_NOOBJ = 1.0, 5.0, 1.0
# Working pixels per cell, of every member.
STRIDE = 32

# The paper's recipe for training, for `@register(recipe=PAPER_RECIPE)`: Adam; each augmentation drawn at random; flips
# only, no rotation or scale. The shift of half a cell is ours: flips alone leave a particle at the same few places of
# its cell in every epoch.
PAPER_RECIPE: Mapping[str, Any] = {
    "steps": 2400,
    "batch_size": 4,
    "patience_epochs": 10,
    "optimiser": "adam",
    "learning_rate": 1e-4,
    "weight_decay": 0.0,
    "augmentation": {
        "rotate": False,
        "scale_jitter": 0.0,
        "shift_px": 16,
        "blur_chance": 0.5,
        "blur_sigma_px": 3.0,
        "box_blur_chance": 0.5,
        "noise_chance": 0.5,
        "noise_sd": 0.5,
        "dropout_chance": 0.5,
        "contrast_chance": 0.5,
        "contrast_range": 0.5,
        "contaminant_chance": 0.0,
        "noise_only_chance": 0.0,
    },
}


class GridDetector(Detector):
    """Puts the paper's head on `features`.

    Parameters
    ----------
    features
        Turns (n, 1, h, w) prepared images into (n, `n_features`, h / 32, w / 32).
    n_features
        Channels it gives.
    input_size_px
        Long side of the micrograph, or of each of its patches, in working pixels.
    """

    anchor_px: Tensor
    input_size_px: int

    def __init__(self, features: nn.Module, *, n_features: int, input_size_px: int) -> None:
        super().__init__()
        if input_size_px < STRIDE or input_size_px % STRIDE:
            raise UsageError(
                f"{parameter('input_size_px')} must be a multiple of {STRIDE} pixels, not {input_size_px}."
            )
        self.stride = STRIDE
        self.pad_to = STRIDE
        self.margin = None
        self.input_size_px = input_size_px
        self.features = features
        self.head = nn.Sequential(nn.Dropout(_DROPOUT), nn.Conv2d(n_features, _OUTPUTS, 1))
        # Width and height of the one anchor box in working pixels, from the training labels.
        self.register_buffer("anchor_px", torch.tensor([64.0, 64.0]))

    def forward(self, images: Tensor) -> Tensor:
        raw: Tensor = self.head(self.features(images))
        return raw

    def _boxes(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return x and y within the cell (0-1), w and h as multiples of the anchor, and confidence."""
        # exp is cut at about 8 anchors: an untrained network must not overflow.
        size = raw[:, 2:4].clamp(max=2.0).exp()
        return raw[:, 0].sigmoid(), raw[:, 1].sigmoid(), size[:, 0], size[:, 1], raw[:, 4].sigmoid()

    @property
    def decoding(self) -> Decoding:
        width, height = self.anchor_px.tolist()
        return Decoding(
            kind="grid",
            stride=self.stride,
            pad_to=self.pad_to,
            margin=self.margin,
            numbers={"anchor_width_px": width, "anchor_height_px": height},
        )

    def targets(self, labels: Sequence[LabelArray], shape: tuple[int, int]) -> Tensor:
        """Return (n, 5, h / 32, w / 32): x, y within the cell, w, h as multiples of the anchor, 1 where a particle is.

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
            # The nearest one comes last, so that it overwrites the others.
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
        n = share_of_particles(here.sum())
        # The size's error is that of its square root, as in YOLO (Redmon et al. 2016): small boxes count as much.
        size_error = (w.sqrt() - wanted_w.sqrt()) ** 2 + (h.sqrt() - wanted_h.sqrt()) ** 2
        place_error = (x - wanted_x) ** 2 + (y - wanted_y) ** 2
        return {
            "place": _LAMBDA_COORD * (here * place_error).sum() / n,
            "size": _LAMBDA_COORD * (here * size_error).sum() / n,
            "particle": _LAMBDA_OBJ * (here * (confidence - 1) ** 2).sum() / n,
            "no_particle": _LAMBDA_NOOBJ * (none * confidence**2).sum() / n,
        }

    def default_preparation(self) -> Preparation:
        return Preparation(scale_by="long_side", input_size_px=self.input_size_px)

    def set_priors(self, box_sizes_px: FloatArray) -> None:
        """Take the median label box, in working pixels, as the anchor."""
        if len(box_sizes_px):
            self.anchor_px.copy_(torch.from_numpy(np.median(box_sizes_px, axis=0)))
