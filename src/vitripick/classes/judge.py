"""Guess what a class shows, particle, edge, junk or empty, from its own average, and which images do not belong to it.

The limits were chosen on simulated classes, and looked at on real ones; `benchmarks/accuracy/classes.py` repeats the
simulated part. A guess is relative to the other classes: most picks are taken for particles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from vitripick.classes import prepare
from vitripick.classes.average import Halves
from vitripick.classes.polar import Images, Reals

Guess: TypeAlias = Literal["particle", "edge", "junk", "empty"]
GUESSES: tuple[Guess, ...] = ("particle", "edge", "junk", "empty")

Bools: TypeAlias = npt.NDArray[np.bool_]

# Edges of carbon or of a crystal: a plane explains this share of the average, and it does not end with the particle.
_PLANE, _PLANE_BEYOND = 0.35, 0.2
# Ice and dirt are stronger than particles by these factors in power; the weaker ones are also smoother.
_STRONG, _STRONGER, _SMOOTH = 10.0, 4.0, 0.5
# Other things are both less alike and smoother than particles, by these factors.
_LESS_ALIKE, _SMOOTHER = 0.65, 0.65
# A class as large as this share of the usual one is rather another view, or another molecule.
_SMALL = 0.75
# A class whose members are far less alike is junk at any size.
_FAR_LESS_ALIKE = 0.4
# A class shows nothing if this many of its members are as faint as noise.
_FAINT_SHARE = 0.6
# A class with fewer members is not judged by itself.
_FEW = 4
# An image is unusual if its power beside the particle differs by this many deviations.
_OUTLIER_DEVIATIONS = 2.2
# An image is taken for empty if it is fainter than this share of images of noise alone.
_NOISE_SHARE = 0.97
# If more images than this are as faint as noise, their noise is not noise: denoised or crowded micrographs have none.
_FAINT_AT_MOST = 0.4
# And if less than this share of them can be noise: then particles are faint, and their faintest ones are not noise.
_NOISE_AMONG_FAINT = 0.18
# The quietest surroundings show the noise: neighbours do not reach into them.
_QUIET_SHARE = 0.1
_N_WHITE = 500


@dataclass(frozen=True, eq=False)
class Signs:
    """Holds what a class average shows, (classes,) each; NaN where a class has fewer than two members.

    Attributes
    ----------
    inside, outside
        Mean power that both halves share, in the particle's circle and outside of it.
    plane
        Share of the average's power that a plane explains: 1 for a ramp or an edge.
    detail
        Share of the power inside that is finer than a fifth of the particle.
    alike
        Median of the members' scores.
    faint
        Share of the members that are as faint as noise alone.
    n_members
        Members.
    """

    inside: Reals
    outside: Reals
    plane: Reals
    detail: Reals
    alike: Reals
    faint: Reals
    n_members: npt.NDArray[np.int64]


def signs(
    parts: Halves, diameter_px: float, class_index: npt.NDArray[np.int64], score: Reals, is_faint: Bools
) -> Signs:
    """Return what the averages show, from halves at the scale of the classification; the other arguments describe the
    images."""
    n_classes, size = len(parts.first), parts.first.shape[1]
    distance = prepare.distances(size)
    inside = distance < diameter_px / 2
    outside = (distance > min(diameter_px / 2 + 2.0, 0.45 * size)) & (distance < size / 2 - 0.5)
    whole = distance < size / 2 - 1
    rows, columns = np.indices((size, size))
    plane = np.column_stack([rows[whole], columns[whole], np.ones(int(whole.sum()))])
    fine = 0.1 * diameter_px
    values = np.full((6, n_classes), np.nan)
    n_members = parts.n_first + parts.n_second
    for k in np.flatnonzero(parts.n_second > 0):
        a, b, mean = (
            ndimage.gaussian_filter(one.astype(np.float64), 1.0, mode="nearest")
            for one in (parts.first[k], parts.second[k], parts.averages[k])
        )
        values[0, k], values[1, k] = (a * b)[inside].mean(), (a * b)[outside].mean()
        spread = mean[whole].var()
        fitted = plane @ np.linalg.lstsq(plane, mean[whole], rcond=None)[0]
        values[2, k] = 1 - (mean[whole] - fitted).var() / spread if spread > 0 else 0.0
        power = np.square(mean)[inside].mean()
        rest = mean - ndimage.gaussian_filter(mean, fine, mode="nearest")
        values[3, k] = np.square(rest)[inside].mean() / power if power > 0 else 0.0
        values[4, k] = np.median(score[class_index == k])
        values[5, k] = is_faint[class_index == k].mean()
    return Signs(values[0], values[1], values[2], values[3], values[4], values[5], n_members)


def guesses(found: Signs) -> list[Guess]:
    """Return what each class seems to show."""
    usual = found.n_members >= _FEW
    usual &= np.isfinite(found.inside)
    if not usual.any():
        return ["particle"] * len(found.n_members)
    weights = found.n_members[usual]
    power, detail, alike = (_median(values[usual], weights) for values in (found.inside, found.detail, found.alike))
    is_small = found.n_members <= _SMALL * _median(weights.astype(np.float64), weights)
    result: list[Guess] = []
    for k in range(len(found.n_members)):
        inside, smooth = found.inside[k], found.detail[k]
        if not usual[k]:
            result.append("junk")
        elif found.plane[k] >= _PLANE and found.outside[k] >= _PLANE_BEYOND * inside:
            result.append("edge")
        elif found.faint[k] >= _FAINT_SHARE or found.alike[k] <= 0:
            result.append("empty")
        elif (
            inside >= _STRONG * power
            or (inside >= _STRONGER * power and smooth <= _SMOOTH * detail)
            or (
                found.alike[k] <= (_LESS_ALIKE if is_small[k] else _FAR_LESS_ALIKE) * alike
                and (smooth <= _SMOOTHER * detail)
            )
        ):
            result.append("junk")
        else:
            result.append("particle")
    return result


def faint(inside: Reals, score: Reals, noise_inside: Reals, noise_score: Reals) -> Bools:
    """Return which images are as faint as images of noise alone, (n,).

    Parameters
    ----------
    inside, score
        Power in the particle's circle, and score, of the images.
    noise_inside, noise_score
        The same of images of noise that went the same way.
    """
    limit = np.quantile(_strength(noise_inside, noise_score), _NOISE_SHARE)
    return np.asarray(_strength(inside, score) < limit)


def is_noise(inside: Reals, score: Reals, noise_inside: Reals, noise_score: Reals) -> bool:
    """Return whether what `faint` finds can be trusted: not, if it takes most images for noise, or particles are faint.

    Half of all images of noise are fainter than the median one. So twice the number of such images is how many images
    of noise there can be (Storey 2002, J. R. Stat. Soc. B 64, 479-498).
    """
    found = faint(inside, score, noise_inside, noise_score)
    median = np.median(_strength(noise_inside, noise_score))
    n_noise = 2 * int((_strength(inside, score) < median).sum())
    return bool(found.mean() <= _FAINT_AT_MOST and n_noise >= _NOISE_AMONG_FAINT * found.sum())


def _strength(inside: Reals, score: Reals) -> Reals:
    return np.asarray(4 * np.log(np.maximum(inside, 1e-12)) + score)


def noise_beside(images: Images, diameter_px: float, n_rings: int, rng: np.random.Generator) -> Reals:
    """Return the power of the noise of a pixel on each ring, (rings,), as the surroundings of the particles have it."""
    size = images.shape[1]
    mask = 1 - prepare.soft_mask(prepare.distances(size), min(diameter_px / 2 + 2.0, 0.45 * size))
    white = rng.standard_normal((_N_WHITE, size, size)).astype(np.float32)
    quiet = [np.quantile(_ring_powers(stack * mask, n_rings), _QUIET_SHARE, axis=0) for stack in (images, white)]
    return np.asarray(np.maximum(quiet[0] / quiet[1], 1e-9))


def _ring_powers(images: Images, n_rings: int) -> Reals:
    """Return the mean power of images on the rings from 1 to n, (n, rings)."""
    size = images.shape[1]
    ring = np.rint(prepare.distances(size)).astype(np.intp)
    members = [ring == r for r in range(1, n_rings + 1)]
    result = np.empty((len(images), n_rings))
    for start in range(0, len(images), 256):
        spectra = fft.fftshift(fft.fft2(images[start : start + 256], workers=1), axes=(1, 2))
        power = np.square(np.abs(spectra))
        result[start : start + 256] = np.stack([power[:, one].mean(axis=1) for one in members], axis=1)
    return result


def crowded(outside: Reals, usual: Reals) -> Bools:
    """Return which images have far more power beside the particle than is usual, (n,): clumps, dirt, edges."""
    if len(usual) < 2 * _FEW:
        return np.zeros(len(outside), bool)
    own, others = (np.log(np.maximum(one, 1e-12)) for one in (outside, usual))
    middle, above = np.quantile(others, [0.5, 0.84])
    # Images that are all the same have no spread, and then the smallest difference would count.
    deviation = max(float(above - middle), 0.1)
    return np.asarray(own > middle + _OUTLIER_DEVIATIONS * deviation)


def noise_images(noise: Reals, size_px: int, n: int, rng: np.random.Generator) -> Images:
    """Return images of nothing but noise, whose power on each ring from 1 on is `noise` a pixel; (n, size, size)."""
    ring = np.rint(np.hypot(*np.meshgrid(np.fft.fftfreq(size_px), np.fft.fftfreq(size_px))) * size_px).astype(int)
    power = np.concatenate([noise[:1], noise])
    amplitude = np.sqrt(power[np.minimum(ring, len(power) - 1)])
    white = np.fft.fft2(rng.standard_normal((n, size_px, size_px)))
    return np.asarray(np.fft.ifft2(white * amplitude).real, np.float32)


def _median(values: Reals, weights: npt.NDArray[np.int64]) -> float:
    order = np.argsort(values)
    half = np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)
    return float(values[order][min(int(half), len(order) - 1)])
