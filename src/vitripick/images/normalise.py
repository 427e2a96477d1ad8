"""Even out what differs across a micrograph and between micrographs: ice thickness, illumination, contrast."""

from __future__ import annotations

import cv2
import numpy as np

from vitripick.geometry import Image

# Pixels beyond this many robust standard deviations are not ice or protein, but gold, carbon or dead pixels.
_OUTLIER = 6.0
# A place with less than this share of the typical contrast is not amplified to the typical contrast.
_CONTRAST_FLOOR = 0.4


def normalise_locally(image: Image, *, sigma_px: float, clip: float = 5.0) -> Image:
    """Subtract the local mean and divide by the local standard deviation, both measured robustly.

    The local window is a Gaussian. Statistics are taken twice. The second time leaves out pixels more than three local
    standard deviations off, so that an ice crystal or a carbon edge leaves no halo in which particles vanish. Contrast
    far below the micrograph's own (a beam's dark corner, empty carbon) is not amplified.

    Parameters
    ----------
    image : (h, w), float32
        In any intensity scale; already at the working scale.
    sigma_px
        Standard deviation of the window, in pixels of `image`: a few particle diameters.
    clip
        The result is clipped to ± this many standard deviations.

    Returns
    -------
    (h, w), float32
        About zero mean and unit variance everywhere; all zero for a constant image.
    """
    median = _median(image)
    spread = 1.4826 * _median(np.abs(image - np.float32(median)))
    if spread == 0.0:
        # More than half of the pixels have one value, so the plain spread stands in; if that is zero, there is nothing.
        spread = float(image.std())
        if spread == 0.0:
            return np.zeros_like(image)
    # This is a third of what preparing costs, so it works in place where it can.
    scaled: Image = image - np.float32(median)
    scaled /= np.float32(spread)
    np.clip(scaled, -_OUTLIER, _OUTLIER, out=scaled)

    mean, deviation = _statistics(scaled, None, sigma_px)
    if not deviation.any():
        return np.zeros_like(image)
    scaled_off = np.abs(scaled - mean)
    inside = (scaled_off < 3.0 * deviation).astype(np.float32)
    mean, deviation = _statistics(scaled, inside, sigma_px)
    if not deviation.any():
        return np.zeros_like(image)
    scaled -= mean
    scaled /= deviation
    return np.clip(scaled, -clip, clip, out=scaled)


def _statistics(scaled: Image, inside: Image | None, sigma_px: float) -> tuple[Image, Image]:
    """Return the local mean and standard deviation of the pixels where `inside` is 1, or of all without `inside`."""
    if inside is None:
        share: Image | float = 1.0
        mean = _blur(scaled, sigma_px)
        off = scaled - mean
        np.square(off, out=off)
    else:
        share = np.maximum(_blur(inside, sigma_px), 1e-3)
        mean = _blur(scaled * inside, sigma_px)
        mean /= share
        off = scaled - mean
        np.square(off, out=off)
        off *= inside
    deviation = _blur(off, sigma_px)
    deviation /= share
    np.maximum(deviation, 0, out=deviation)
    np.sqrt(deviation, out=deviation)
    # Where nearly all pixels are outliers there is nothing to measure, so the micrograph's own contrast stands in.
    typical = np.float32(_median(deviation))
    if inside is not None:
        deviation[share < 0.1] = typical
    np.maximum(deviation, np.float32(_CONTRAST_FLOOR) * typical, out=deviation)
    if typical == 0.0:
        deviation[:] = 0
    return mean, deviation


def _median(values: Image) -> float:
    """Return what `np.median` gives for finite values, but faster.

    NumPy partitions at one place with vector code, but not at three places.
    """
    half = values.size // 2
    parted = np.partition(values, half, axis=None)
    if values.size % 2:
        return float(parted[half])
    return float((parted[:half].max() + parted[half]) / np.float32(2))


def _blur(image: Image, sigma_px: float) -> Image:
    """Blur with a Gaussian; wide ones use a coarser grid, 20 times faster and equal to a fraction of a per cent."""
    height, width = image.shape
    step = max(1, int(sigma_px / 4))
    small = (max(1, round(width / step)), max(1, round(height / step)))
    coarse = cv2.resize(image, small, interpolation=cv2.INTER_AREA) if step > 1 else image
    blurred = cv2.GaussianBlur(
        coarse,
        (0, 0),
        sigmaX=sigma_px * small[0] / width,
        sigmaY=sigma_px * small[1] / height,
        borderType=cv2.BORDER_REFLECT,
    )
    if step > 1:
        blurred = cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(blurred, dtype=np.float32)
