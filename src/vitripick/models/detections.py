"""Read detections from the raw maps of a network, with NumPy only, so that picking need not wait for torch.

All coordinates here are in working pixels, the pixels of the prepared image; (0, 0) is the middle of the first one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from vitripick.errors import UsageError
from vitripick.geometry import FloatArray
from vitripick.settings import Settings

# Prepared images (n, 1, h, w) or raw maps (n, c, h / stride, w / stride).
Batch = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Detections:
    """Holds what a detector found in one image, in working pixels.

    Attributes
    ----------
    x, y : (n,), float64
        Centres.
    width, height : (n,), float64
        The size the network saw.
    confidence : (n,), float64
        0-1.
    junk : (rows, columns), float32, or None
        Probability that each cell of the network's stride is junk (carbon, ice, gold, clumps); None if the network has
        no junk map.
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
        """Return some of the detections, in the same order; the junk map stays whole."""
        x, y, width, height = self.x[which], self.y[which], self.width[which], self.height[which]
        return Detections(x, y, width, height, self.confidence[which], junk=self.junk)


class Decoding(Settings):
    """Says how raw maps are read, and which images a network takes; it is stored in the graphs of other engines.

    Attributes
    ----------
    kind
        The decoder's name in `DECODERS`.
    stride
        Working pixels per cell of the raw maps.
    pad_to
        Image sides must be multiples of this.
    margin
        Working pixels around a place on which the raw map there depends: tiles overlap by this much on each side.
        None if the network must see the whole image at once.
    junk
        Whether one of the maps says where junk is.
    numbers
        Further numbers that this decoder needs, by name, such as the size that sizes are multiples of.
    """

    kind: str
    stride: int
    pad_to: int
    margin: int | None = None
    junk: bool = False
    numbers: dict[str, float] = Field(default_factory=dict)

    @property
    def confidence_channel(self) -> int:
        """Return which of the raw maps is the confidence's logit; errors as in `find_decoder`."""
        return find_decoder(self.kind).confidence_channel


class Network(Protocol):
    """Lists what a network must offer to find particles, on any engine."""

    @property
    def decoding(self) -> Decoding:
        """Return how its raw maps are read."""

    def run(self, images: Batch) -> Batch:
        """Turn prepared images (n, 1, h, w) into raw maps (n, c, h / stride, w / stride); from any thread."""


Read = Callable[[Batch, Decoding, float], Detections]


@dataclass(frozen=True)
class Decoder:
    """Reads raw maps in one way.

    Attributes
    ----------
    read
        From the maps of one image, (c, h / stride, w / stride), their decoding, and the lowest confidence to keep.
    confidence_channel
        Which of the maps is the confidence's logit; engines are compared by it.
    """

    read: Read
    confidence_channel: int


# Decoders by name. The ones here need no torch, so picking need not wait for it. A decoder that only one architecture
# uses may be registered in that architecture's file.
DECODERS: dict[str, Decoder] = {}


def register_decoder(kind: str, *, confidence_channel: int) -> Callable[[Read], Read]:
    """Add a decoder under a name, as `@register_decoder("name", confidence_channel=0)`.

    Parameters
    ----------
    kind
        Its name, which a network's `decoding` gives as `kind`.
    confidence_channel
        As in `Decoder`.

    Raises
    ------
    ValueError
        If there is a decoder of this name already.
    """

    def add(read: Read) -> Read:
        if kind in DECODERS:
            raise ValueError(f"a decoder named {kind!r} is registered already: {DECODERS[kind].read!r}")
        DECODERS[kind] = Decoder(read, confidence_channel)
        return read

    return add


def find_decoder(kind: str) -> Decoder:
    """Return the decoder of this name, if the file that registers it was imported.

    Raises
    ------
    UsageError
        If there is none.
    """
    if kind not in DECODERS:
        raise UsageError(f"no decoder is called {kind!r}; there are: {', '.join(sorted(DECODERS))}.")
    return DECODERS[kind]


def decode(raw: Batch, decoding: Decoding, *, floor: float) -> list[Detections]:
    """Return the detections of each image with at least `floor` confidence.

    Parameters
    ----------
    raw : (n, c, h / stride, w / stride), float32
        As the network gives them.
    decoding
        Of that network.
    floor
        Lowest confidence to keep.

    Raises
    ------
    UsageError
        If there is no decoder of this kind.
    """
    decoder = find_decoder(decoding.kind)
    return [decoder.read(maps, decoding, floor) for maps in raw]


@register_decoder("heatmap", confidence_channel=0)
def _read_peaks(maps: Batch, decoding: Decoding, floor: float) -> Detections:
    """Read the maps heat, offset x, offset y and log size: each peak of the heat is a particle. A fifth may be junk."""
    heat = sigmoid(maps[0])
    # A cell that is as hot as the hottest of its neighbours is a peak; outside the map, heat counts as minus infinity.
    peaks = (heat >= floor) & (heat == cv2.dilate(heat, np.ones((3, 3), np.uint8)))
    rows, columns = np.nonzero(peaks)
    offset_x, offset_y, log_size = maps[1:4, rows, columns].astype(np.float64)
    size = decoding.numbers["working_diameter_px"] * np.exp(np.clip(log_size, -2, 2))
    middle = (decoding.stride - 1) / 2
    return Detections(
        x=(columns + offset_x) * decoding.stride + middle,
        y=(rows + offset_y) * decoding.stride + middle,
        width=size,
        height=size.copy(),
        confidence=heat[rows, columns].astype(np.float64),
        junk=sigmoid(maps[4]) if decoding.junk else None,
    )


@register_decoder("grid", confidence_channel=4)
def _read_cells(maps: Batch, decoding: Decoding, floor: float) -> Detections:
    """Read the paper's cells: x and y within the cell, width and height relative to the anchor, confidence, class."""
    confidence = sigmoid(maps[4])
    rows, columns = np.nonzero(confidence >= floor)
    x, y = sigmoid(maps[:2, rows, columns]).astype(np.float64)
    # exp is cut at about 8 anchors: an untrained network must not overflow.
    width, height = np.exp(np.minimum(maps[2:4, rows, columns], 2.0)).astype(np.float64)
    # Within-cell 0-1 runs from the outline of the cell's first pixel: the middle of that pixel is at -0.5.
    return Detections(
        x=(columns + x) * decoding.stride - 0.5,
        y=(rows + y) * decoding.stride - 0.5,
        width=decoding.numbers["anchor_width_px"] * width,
        height=decoding.numbers["anchor_height_px"] * height,
        confidence=confidence[rows, columns].astype(np.float64),
    )


@register_decoder("filaments", confidence_channel=0)
def _read_lines(maps: Batch, decoding: Decoding, floor: float) -> Detections:
    """Read cells on centre lines from heat, offset x, offset y, cosine, sine, log width; by these engines are compared.

    Tracing takes the maps themselves.
    """
    heat = sigmoid(maps[0])
    rows, columns = np.nonzero(heat >= floor)
    offset_x, offset_y = maps[1:3, rows, columns].astype(np.float64)
    width = decoding.numbers["working_width_px"] * np.exp(np.clip(maps[5, rows, columns].astype(np.float64), -1.5, 1.5))
    middle = (decoding.stride - 1) / 2
    return Detections(
        x=(columns + offset_x) * decoding.stride + middle,
        y=(rows + offset_y) * decoding.stride + middle,
        width=width,
        height=width.copy(),
        confidence=heat[rows, columns].astype(np.float64),
    )


def sigmoid(values: Batch) -> Batch:
    """Return 1 / (1 + exp(-values))."""
    # tanh cannot overflow, unlike exp.
    result: Batch = 0.5 * np.tanh(0.5 * values) + 0.5
    return result
