"""Turn the full-size micrograph into the image that a network sees, and coordinates back.

A model bundle carries its `Preparation`, and picking and training both call `prepare`, so they cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from vitripick.errors import UsageError, parameter
from vitripick.geometry import FloatArray, Image, Micrograph
from vitripick.images.border import NO_BORDER, Border, find_border
from vitripick.images.normalise import normalise_locally
from vitripick.images.patches import WHOLE, Patches, patch_length
from vitripick.images.resize import resize
from vitripick.settings import Settings


class Preparation(Settings):
    """Says how micrographs are brought to a network's scale.

    Attributes
    ----------
    scale_by
        `"particle"`: the particle spans `working_diameter_px`, whatever its size in the micrograph.
        `"long_side"`: the long side of the micrograph becomes `input_size_px`, as in the paper. The picker pads the
        short side and never stretches it.
    working_diameter_px
        Particle diameter in working pixels, for `scale_by="particle"`.
    input_size_px
        Long side in working pixels, for `scale_by="long_side"`; with patches, that of each patch.
    patches
        Rows and columns of overlapping patches that the network sees as one batch; (1, 1) is the whole micrograph.
    background_diameters
        Sigma of the local normalisation's window, in particle diameters. With `"long_side"` the particle may have any
        size, so sigma is a sixteenth of the input.
    clip
        Normalised intensities are clipped to ± this.
    """

    scale_by: Literal["particle", "long_side"] = "particle"
    working_diameter_px: float = Field(default=24.0, gt=0, le=1024)
    input_size_px: int = Field(default=1024, gt=0, le=65536)
    patches: Patches = WHOLE
    background_diameters: float = Field(default=2.0, gt=0, le=100)
    clip: float = Field(default=5.0, gt=0)

    def working_shape(self, shape: tuple[int, int], *, diameter_px: float | None) -> tuple[int, int]:
        """Return (rows, columns) of a micrograph of `shape` at the working scale.

        Raises
        ------
        UsageError
            If the scale depends on the particle's diameter and none is given.
        """
        if self.scale_by == "long_side":
            patch = (patch_length(length, n) for length, n in zip(shape, self.patches, strict=True))
            factor = self.input_size_px / max(patch)
        else:
            if diameter_px is None or not diameter_px > 0:
                raise UsageError(
                    "this model scales every particle to one size, so it needs the diameter: "
                    f"give {parameter('diameter_angstrom')} or {parameter('diameter_px')}."
                )
            factor = self.working_diameter_px / diameter_px
        return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))

    @property
    def background_sigma_px(self) -> float:
        """Return sigma of the local normalisation's window in working pixels."""
        if self.scale_by == "long_side":
            return self.input_size_px / 16
        return self.background_diameters * self.working_diameter_px

    def with_patches(self, patches: Patches) -> Preparation:
        """Return the same preparation with these patches.

        Raises
        ------
        UsageError
            If the scale is that of the particle, which then has one size already, so patches change nothing.
        """
        if self.scale_by == "particle" and patches != WHOLE:
            raise UsageError(
                f"{parameter('patches')} makes small particles larger for a network that sees the whole micrograph; "
                f"this one brings every particle to one size by itself: leave {parameter('patches')} out."
            )
        return self.model_copy(update={"patches": patches})


@dataclass(frozen=True, eq=False)
class Prepared:
    """Holds a micrograph as a network sees it.

    Attributes
    ----------
    image : (h, w), float32
        About zero mean and unit variance everywhere.
    full_shape
        (rows, columns) of the micrograph it came from.
    border
        Working pixels along its sides that hold no image.
    warnings
        What was tolerated when the micrograph was read.
    """

    image: Image
    full_shape: tuple[int, int]
    border: Border = NO_BORDER
    warnings: tuple[str, ...] = ()

    @property
    def scale(self) -> tuple[float, float]:
        """Return working pixels per full-size pixel along y and x; they differ by at most one pixel over the image."""
        return self.image.shape[0] / self.full_shape[0], self.image.shape[1] / self.full_shape[1]

    def to_full(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return working-pixel coordinates in full-size pixels; middles of pixels count, not corners."""
        scale_y, scale_x = self.scale
        return (x + 0.5) / scale_x - 0.5, (y + 0.5) / scale_y - 0.5

    def to_working(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return full-size coordinates in working pixels."""
        scale_y, scale_x = self.scale
        return (x + 0.5) * scale_x - 0.5, (y + 0.5) * scale_y - 0.5


def prepare(
    micrograph: Micrograph | Image,
    preparation: Preparation,
    *,
    diameter_px: float | None = None,
    invert: bool = False,
) -> Prepared:
    """Downscale to the working scale in one step and normalise there.

    Parameters
    ----------
    micrograph
        At full size, in any intensity scale; an image is (rows, columns), float32.
    preparation
        From the model bundle.
    diameter_px
        Particle diameter in full-size pixels; needed where the working scale depends on it.
    invert
        Invert the contrast, because networks know dark particles only.

    Raises
    ------
    UsageError
        If the scale depends on the particle's diameter and none is given.
    MicrographError
        If the pixels are still in their file and cannot be read.
    """
    if isinstance(micrograph, np.ndarray):
        micrograph = Micrograph(micrograph)
    working_shape = preparation.working_shape(micrograph.shape, diameter_px=diameter_px)
    reduced = micrograph.reduced(working_shape)
    if reduced is None:
        micrograph = micrograph.in_memory()
        reduced = _resized(micrograph.image, working_shape)
    small = np.ascontiguousarray(reduced, dtype=np.float32)
    normalised = normalise_locally(small, sigma_px=preparation.background_sigma_px, clip=preparation.clip)
    if invert:
        np.negative(normalised, out=normalised)
    return Prepared(normalised, micrograph.shape, find_border(small), micrograph.warnings)


def _resized(image: Image, shape: tuple[int, int]) -> Image:
    # Averages of one value differ in their last digit, and normalising would amplify that to noise.
    # A few pixels nearly always show that it is not constant; only where they do not, all are looked at.
    few = image[:: max(1, image.shape[0] // 16), :: max(1, image.shape[1] // 16)]
    if few.min() == few.max() and float(image.min()) == float(image.max()):
        return np.zeros(shape, np.float32)
    return resize(image, shape)
