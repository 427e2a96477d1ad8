"""Average the images of each class, aligned as they were found, and measure how well two halves of it agree."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from vitripick.classes import prepare
from vitripick.classes.expectation import in_threads
from vitripick.classes.polar import Images, Reals

# Two halves agree up to here: the usual limit for halves that were aligned apart (Rosenthal & Henderson 2003,
# J. Mol. Biol. 333, 721-745). These were aligned together, so the resolution is a rough one.
_AGREE = 0.143
_ROUNDS = 5
_FAR_MIDDLE = 0.4


@dataclass(frozen=True, eq=False)
class Halves:
    """Holds the averages of every second member of each class, and of the others.

    Attributes
    ----------
    first, second : (classes, size, size), float32
        0 for a class without such members.
    n_first, n_second : (classes,), int64
        Their members.
    """

    first: Images
    second: Images
    n_first: npt.NDArray[np.int64]
    n_second: npt.NDArray[np.int64]

    @property
    def averages(self) -> Images:
        """Return the average of all members of each class, (classes, size, size), float32."""
        n = np.maximum(self.n_first + self.n_second, 1)[:, None, None]
        sums = self.first * self.n_first[:, None, None] + self.second * self.n_second[:, None, None]
        return np.asarray(sums / n, np.float32)


def aligned(image: Images, angle_radians: float, shift_px: Reals) -> Images:
    """Return an image with its particle in the middle, turned back as its class is; 0 where it was not seen.

    Parameters
    ----------
    image : (size, size), float32
        Row 0 is the first stored row.
    angle_radians
        From the class to the image, from x towards y.
    shift_px : (2,), float64
        The particle lies here, x and y from the middle of the image.
    """
    size = image.shape[0]
    middle = np.full(2, size // 2, np.float64)
    cosine, sine = np.cos(angle_radians), np.sin(angle_radians)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    # OpenCV asks for each pixel of the result where it comes from.
    from_here = np.column_stack([turn, middle + shift_px - turn @ middle])
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, from_here, (size, size), flags=how), np.float32)


def halves(
    images: Images,
    class_index: npt.NDArray[np.int64],
    angle_radians: Reals,
    shift_px: Reals,
    n_classes: int,
    *,
    n_threads: int = 1,
) -> Halves:
    """Return the averages of both halves of each class; images that are in no class have an index of -1."""
    size = images.shape[1]

    def of_class(k: int) -> tuple[Images, Images, int, int]:
        members = np.flatnonzero(class_index == k)
        sums = np.zeros((2, size, size))
        for place, i in enumerate(members):
            sums[place % 2] += aligned(images[i], angle_radians[i], shift_px[i])
        n = [-(-len(members) // 2), len(members) // 2]
        first, second = (np.asarray(one / max(m, 1), np.float32) for one, m in zip(sums, n, strict=True))
        return first, second, n[0], n[1]

    found = list(in_threads(of_class, range(n_classes), n_threads))
    return Halves(
        np.stack([one[0] for one in found]),
        np.stack([one[1] for one in found]),
        np.array([one[2] for one in found], np.int64),
        np.array([one[3] for one in found], np.int64),
    )


def middles(averages: Images, radius_px: float) -> Reals:
    """Return where the power of each average has its middle, (classes, 2), x and y from the middle of the image.

    A class may be off its middle, but picks that are moved by its shifts should lie on the particle.
    """
    result = np.zeros((len(averages), 2))
    rows, columns = np.indices(averages.shape[1:]) - averages.shape[1] // 2
    for k, average in enumerate(averages):
        power = np.square(ndimage.gaussian_filter(average.astype(np.float64), 1.0))
        for _ in range(_ROUNDS):
            weight = power * (prepare.distances(averages.shape[1], result[k]) < radius_px)
            if weight.sum() > 0:
                result[k] = (weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()
    # A middle far out is that of a neighbour or of an edge.
    far = np.hypot(*result.T) > _FAR_MIDDLE * radius_px
    result[far] = 0
    return result


def resolutions_px(parts: Halves, radius_px: float) -> Reals:
    """Return the finest detail, in pixels, in which both halves of each class agree, (classes,); NaN where in none."""
    size = parts.first.shape[1]
    mask = prepare.soft_mask(prepare.distances(size), radius_px)
    spectra = [fft.fftshift(fft.fft2(half * mask, workers=1), axes=(1, 2)) for half in (parts.first, parts.second)]
    ring = np.rint(prepare.distances(size)).astype(np.intp)
    result = np.full(len(parts.first), np.nan)
    for k in range(len(result)):
        a, b = spectra[0][k], spectra[1][k]
        inside = ring < size // 2
        cross, power_a, power_b = (
            np.bincount(ring[inside], value[inside], minlength=size // 2)
            for value in ((a * b.conj()).real, np.abs(a) ** 2, np.abs(b) ** 2)
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            agreement = np.nan_to_num(cross / np.sqrt(power_a * power_b))
        below = np.flatnonzero(agreement[1:] < _AGREE)
        last = int(below[0]) if len(below) else size // 2 - 1
        if last > 1 and parts.n_second[k]:
            result[k] = size / last
    return result
