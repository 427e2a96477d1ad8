"""What a network found, and how that is read from its raw maps: NumPy only, so that picking need not wait for torch.

All coordinates here are in working pixels, the pixels of the prepared image; (0, 0) is the middle of the first one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from vitripick.geometry import FloatArray
from vitripick.settings import Settings

# Prepared images (n, 1, h, w) or raw maps (n, c, h / stride, w / stride).
Batch = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Detections:
    """What a detector found in one image, in working pixels.

    Attributes
    ----------
    x, y : (n,), float64
        Centres.
    width, height : (n,), float64
        The size the network saw.
    confidence : (n,), float64
        0-1.
    junk : (rows, columns), float32, or None
        How likely each place of the image, in cells of the network's stride, is junk: carbon, ice, gold, clumps; None
        from a network that does not say.
    """

    x: FloatArray
    y: FloatArray
    width: FloatArray
    height: FloatArray
    confidence: FloatArray
    junk: Batch | None = None

    def __len__(self) -> int:
        return len(self.x)

    def select(self, which: npt.NDArray[np.bool_]) -> Detections:
        """Some of the detections, in the same order; what is known of the ground stays."""
        x, y, width, height = self.x[which], self.y[which], self.width[which], self.height[which]
        return Detections(x, y, width, height, self.confidence[which], junk=self.junk)


class Decoding(Settings):
    """How raw maps are to be read, and what images a network takes; goes into the graphs of the other engines.

    Attributes
    ----------
    kind
        `"heatmap"`: heat, offset x and y, log size, with a peak for each particle. `"grid"`: the paper's cells.
    stride
        Working pixels per cell of the raw maps.
    pad_to
        Image sides must be multiples of this.
    margin
        Working pixels around a place on which the raw map there depends: tiles overlap by this much on each side.
        None if the network must see the whole image at once.
    working_diameter_px
        Of `"heatmap"`: the size whose logarithm is 0.
    anchor_px
        Of `"grid"`: width and height of the one anchor box.
    junk
        Of `"heatmap"`: there is a fifth map, the logit that a place is junk.
    """

    kind: Literal["heatmap", "grid"]
    stride: int
    pad_to: int
    margin: int | None = None
    working_diameter_px: float = 0.0
    anchor_px: tuple[float, float] = (0.0, 0.0)
    junk: bool = False


class Network(Protocol):
    """What finding particles needs of a network, whichever engine runs it."""

    @property
    def decoding(self) -> Decoding:
        """How its raw maps are read."""

    def run(self, images: Batch) -> Batch:
        """(n, 1, h, w) prepared images to (n, c, h / stride, w / stride) raw maps; from any thread."""


def decode(raw: Batch, decoding: Decoding, *, floor: float) -> list[Detections]:
    """Raw maps to the detections of each image with at least `floor` confidence.

    Parameters
    ----------
    raw : (n, c, h / stride, w / stride), float32
        As the network gives them.
    decoding
        Of that network.
    floor
        Lowest confidence to keep.
    """
    read = _heatmap if decoding.kind == "heatmap" else _grid
    return [read(maps, decoding, floor) for maps in raw]


def _heatmap(maps: Batch, decoding: Decoding, floor: float) -> Detections:
    heat = _sigmoid(maps[0])
    # A cell that is as hot as the hottest of its neighbours is a peak; outside of the map it is infinitely cold.
    peaks = (heat >= floor) & (heat == cv2.dilate(heat, np.ones((3, 3), np.uint8)))
    rows, columns = np.nonzero(peaks)
    offset_x, offset_y, log_size = maps[1:4, rows, columns].astype(np.float64)
    size = decoding.working_diameter_px * np.exp(np.clip(log_size, -2, 2))
    middle = (decoding.stride - 1) / 2
    return Detections(
        x=(columns + offset_x) * decoding.stride + middle,
        y=(rows + offset_y) * decoding.stride + middle,
        width=size,
        height=size.copy(),
        confidence=heat[rows, columns].astype(np.float64),
        junk=_sigmoid(maps[4]) if decoding.junk else None,
    )


def _grid(maps: Batch, decoding: Decoding, floor: float) -> Detections:
    confidence = _sigmoid(maps[4])
    rows, columns = np.nonzero(confidence >= floor)
    x, y = _sigmoid(maps[:2, rows, columns]).astype(np.float64)
    # exp is cut at about 8 anchors: an untrained network must not overflow.
    width, height = np.exp(np.minimum(maps[2:4, rows, columns], 2.0)).astype(np.float64)
    # Within-cell 0-1 runs from the outline of the cell's first pixel: the middle of that pixel is at -0.5.
    return Detections(
        x=(columns + x) * decoding.stride - 0.5,
        y=(rows + y) * decoding.stride - 0.5,
        width=decoding.anchor_px[0] * width,
        height=decoding.anchor_px[1] * height,
        confidence=confidence[rows, columns].astype(np.float64),
    )


def _sigmoid(values: Batch) -> Batch:
    # By tanh, which cannot overflow.
    result: Batch = 0.5 * np.tanh(0.5 * values) + 0.5
    return result
