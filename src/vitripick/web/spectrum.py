"""Draw the power spectrum of a micrograph, in which Thon rings can be seen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from vitripick.geometry import Image

SIDE_PX = 512
# More pieces hardly reduce the noise further, and the user waits for the picture.
_MOST_PIECES = 150


def power_spectrum(image: Image) -> npt.NDArray[np.float32]:
    """Return the mean power of overlapping pieces, its logarithm, without what falls off from the middle.

    Parameters
    ----------
    image : (height, width), float32
        A micrograph in full-size pixels.

    Returns
    -------
    (n, n), float32
        Frequency 0 in the middle, Nyquist at the edges; n is 512, or the shorter side of a smaller micrograph. About 0
        on average at each distance from the middle, and 1 its standard deviation.
    """
    side = min(SIDE_PX, *image.shape) // 2 * 2
    starts = [np.arange(0, length - side + 1, max(1, side // 2)) for length in image.shape]
    places = [(y, x) for y in starts[0] for x in starts[1]]
    places = places[:: -(-len(places) // _MOST_PIECES)]
    window = np.hanning(side).astype(np.float32)
    taper = window[:, None] * window[None, :]
    power = np.zeros((side, side // 2 + 1))
    for y, x in places:
        piece = image[y : y + side, x : x + side]
        power += np.abs(fft.rfft2((piece - piece.mean()) * taper)) ** 2
    half = np.log(power + power.max() * 1e-12 + np.finfo(np.float32).tiny)
    full = np.concatenate([half, np.roll(half[::-1], 1, axis=0)[:, -2:0:-1]], axis=1)
    full = fft.fftshift(full)
    middle = side // 2
    distance = np.hypot(*np.ogrid[-middle:middle, -middle:middle]).round().astype(np.intp)
    mean = np.bincount(distance.ravel(), full.ravel()) / np.bincount(distance.ravel())
    # Wider than a ring, so that the rings stay.
    full -= ndimage.gaussian_filter1d(mean, max(2.0, side / 25))[distance]
    spread = full[distance > 3].std() if side > 8 else 0.0
    return np.asarray(full / (spread or 1.0), np.float32)


def picture_of(spectrum: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return a power spectrum in greys, three standard deviations to each side."""
    return np.asarray(np.clip(spectrum * (127 / 3) + 128, 0, 255), np.uint8)
