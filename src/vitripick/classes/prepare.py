"""Bring particle images to the scale of the classification: checked, normalised, scaled down, masked."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from vitripick.classes.polar import Images, Reals
from vitripick.errors import InputError, UsageError, parameter

# The background lies outside a circle of three quarters of the box, as in RELION.
_BACKGROUND_SHARE = 0.75
_IMAGES_AT_ONCE = 512
# Width of the mask's soft border, in pixels of the classification.
_SOFT_PX = 3.0
# Low-passes by which simulated images of nothing, and of clumps, stand out most.
_INSIDE_PX, _OUTSIDE_PX = 1.5, 1.0


def checked(images: npt.ArrayLike, *, name: str = "images") -> Images:
    """Return a stack of square images as float32.

    Raises
    ------
    InputError
        If there are none, they are not a stack of squares with an even side, or hold NaN or infinities.
    """
    stack = np.asarray(images, np.float32)
    if stack.ndim != 3 or stack.shape[1] != stack.shape[2] or stack.shape[1] < 16 or stack.shape[1] % 2:
        raise InputError(
            f"{name}: a stack of square images of an even side, 16 pixels or more, is needed, not an array of "
            f"{stack.shape}."
        )
    if not len(stack):
        raise InputError(f"{name}: there are no images to classify.")
    bad = ~np.isfinite(stack.reshape(len(stack), -1)).all(axis=1)
    if bad.any():
        raise InputError(
            f"{name}: {int(bad.sum())} of {len(stack)} images hold NaN or infinite pixels, first number "
            f"{int(bad.argmax()) + 1}; leave them out."
        )
    return stack


def check_diameter(diameter_px: float, size_px: int) -> None:
    """Refuse a particle that does not fit into its image.

    Raises
    ------
    UsageError
        If the diameter is not above 0, or larger than 0.95 of the image's side.
    """
    if not 4 <= diameter_px <= 0.95 * size_px:
        raise UsageError(
            f"{parameter('diameter_px', round(diameter_px, 2))}: images of {size_px} px take particles of 4 to "
            f"{0.95 * size_px:.0f} px."
        )


def distances(size_px: int, centre: npt.ArrayLike = (0.0, 0.0)) -> Reals:
    """Return the distance of each pixel of a square image from its middle, or from (x, y) beside it."""
    x0, y0 = np.asarray(centre, np.float64)
    rows, columns = np.ogrid[:size_px, :size_px]
    return np.asarray(np.hypot(rows - size_px // 2 - y0, columns - size_px // 2 - x0))


def soft_mask(distance: Reals, radius_px: float) -> Images:
    """Return 1 inside of a radius and 0 outside, with a raised cosine of 3 pixels between."""
    ramp = np.clip((distance - radius_px) / _SOFT_PX, 0, 1)
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * ramp), np.float32)


def at_scale(images: Images, size_px: int) -> Images:
    """Return images at another size by cropping or padding their transforms, with a background of mean 0 and sd 1.

    An image whose background is constant gets a mean of 0 alone.
    """
    parts = [_at_scale(images[i : i + _IMAGES_AT_ONCE], size_px) for i in range(0, len(images), _IMAGES_AT_ONCE)]
    return np.concatenate(parts) if parts else np.empty((0, size_px, size_px), np.float32)


def _at_scale(images: Images, size_px: int) -> Images:
    old = images.shape[1]
    if size_px != old:
        spectra = fft.fftshift(fft.fft2(images, workers=1), axes=(1, 2))
        low = old // 2 - size_px // 2
        if low >= 0 and size_px < old:
            spectra = spectra[:, low : low + size_px, low : low + size_px]
        else:
            after = size_px - old + low
            spectra = np.pad(spectra, ((0, 0), (-low, after), (-low, after)))
        spectra = fft.ifftshift(spectra, axes=(1, 2))
        images = fft.ifft2(spectra, workers=1).real * np.float32((size_px / old) ** 2)
    background = distances(size_px) > _BACKGROUND_SHARE * size_px / 2
    outside = images[:, background].astype(np.float64)
    mean, deviation = outside.mean(axis=1), outside.std(axis=1)
    # Rounding leaves a constant image with a tiny deviation.
    flat = deviation <= 1e-6 * np.maximum(np.abs(mean), np.abs(images).max(axis=(1, 2)))
    deviation[flat | (deviation == 0)] = 1.0
    return np.asarray((images - mean[:, None, None]) / deviation[:, None, None], np.float32)


def masked(images: Images, centres: Reals, radius_px: float) -> Images:
    """Return images that are 0 outside of a circle around (n, 2) centres, x and y in pixels from the middle."""
    result = np.empty_like(images)
    for i, (image, centre) in enumerate(zip(images, centres, strict=True)):
        result[i] = image * soft_mask(distances(images.shape[1], centre), radius_px)
    return result


def powers(images: Images, diameter_px: float) -> tuple[Reals, Reals]:
    """Return the mean power of low-passed images inside the particle's circle, and outside of it."""
    size = images.shape[1]
    distance = distances(size)
    inside = distance < diameter_px / 2
    # Corners of a square are farther than the border of any particle, so there is always an outside.
    outside = distance > min(diameter_px / 2, 0.6 * size)
    result = np.empty((2, len(images)))
    for i, image in enumerate(images):
        for row, (width, where) in enumerate(((_INSIDE_PX, inside), (_OUTSIDE_PX, outside))):
            smooth = ndimage.gaussian_filter(image, width, mode="reflect").astype(np.float64)
            result[row, i] = np.square(smooth)[where].mean()
    return result[0], result[1]
