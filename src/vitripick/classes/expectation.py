"""Compare images with references at all angles and some shifts, and sum them up, weighted by their probabilities.

One pass is the expectation of a mixture of Gaussians over classes, turns and shifts, and the sums of its maximisation
(Sigworth 1998, J. Struct. Biol. 122, 328-339; Scheres et al. 2005, J. Mol. Biol. 348, 139-149).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import fft

from vitripick.classes.polar import PolarGrid, Reals, Spectra

Indices = npt.NDArray[np.int64]
T = TypeVar("T")
R = TypeVar("R")

# OpenBLAS makes a complex product of up to this many multiplications in one thread. It splits a larger one by the
# number of cores, so the last bits of its sums, and with them the classes, would depend on that number.
_LARGEST_PRODUCT = 1 << 15


@dataclass(frozen=True, eq=False)
class Pass:
    """Holds what one comparison of all images with all references found.

    Attributes
    ----------
    class_index, angle_index, shift_index : (n,), int64
        The most probable class of each image, and in it the most probable angle and shift.
    log_likelihood : (n, classes), float32
        Logarithm of the probability of each class, summed over angles and shifts, relative to an empty image.
    sums : (harmonics, rings, classes), complex128
        The sum of all images, turned and shifted as the references are, weighted by their probabilities.
    n_members : (classes,), float64
        The sum of the probabilities.
    """

    class_index: Indices
    angle_index: Indices
    shift_index: Indices
    log_likelihood: npt.NDArray[np.float32]
    sums: npt.NDArray[np.complex128]
    n_members: Reals


@dataclass(frozen=True, eq=False)
class _Comparison:
    """Holds what all pieces of one comparison share."""

    grid: PolarGrid
    moves: Spectra
    filters: Spectra
    offset: npt.NDArray[np.float32]


def compare(
    grid: PolarGrid,
    samples: Spectra,
    moves: Spectra,
    references: Spectra,
    noise: Reals,
    log_shift_prior: Reals,
    *,
    n_threads: int = 1,
) -> Pass:
    """Compare images with references; all classes and all angles are equally likely beforehand.

    Parameters
    ----------
    grid
        Where the transforms are sampled.
    samples : (n, rings, angles / 2)
        Transforms of the images.
    moves : (shifts, rings, angles / 2)
        Factors of the shifts that are tried.
    references : (harmonics, rings, classes)
        What the images are compared with.
    noise : (rings,)
        Variance of the noise of a pixel, as each ring has it.
    log_shift_prior : (n, shifts)
        Logarithms of the probabilities of the shifts before the images were looked at; 0 at most.
    n_threads
        Threads; the result does not depend on it.
    """
    n, n_classes = len(samples), references.shape[2]
    weights = grid.weights / noise
    # SciPy's inverse transform divides by the number of angles, and the sum over a ring does not.
    filters = references.conj() * (weights * grid.n_angles)[None, :, None]
    offset = -0.5 * np.sum(ring_power(references) * weights[:, None], axis=0) - np.log(n_classes * grid.n_angles)
    shared = _Comparison(grid, moves, np.asarray(filters, np.complex64), np.asarray(offset, np.float32))
    at_once = max(1, _LARGEST_PRODUCT // (n_classes * grid.n_rings * len(moves)))
    pieces = [slice(i, min(i + at_once, n)) for i in range(0, n, at_once)]

    def one(piece: slice) -> Pass:
        return _compare_piece(shared, samples[piece], log_shift_prior[piece])

    indices, likelihood = np.empty((3, n), np.int64), np.empty((n, n_classes), np.float32)
    sums = np.zeros((grid.n_harmonics, grid.n_rings, n_classes), np.complex128)
    n_members = np.zeros(n_classes)
    for piece, found in zip(pieces, in_threads(one, pieces, n_threads), strict=True):
        indices[:, piece] = found.class_index, found.angle_index, found.shift_index
        likelihood[piece] = found.log_likelihood
        sums += found.sums
        n_members += found.n_members
    return Pass(indices[0], indices[1], indices[2], likelihood, sums, n_members)


def ring_power(references: Spectra | npt.NDArray[np.complex128]) -> Reals:
    """Return the mean power of references on each ring, (rings, classes), from their harmonics."""
    power = np.abs(references.astype(np.complex128)) ** 2
    power[1:-1] *= 2  # the harmonics below 0 are as strong
    return np.asarray(power.sum(axis=0))


def in_threads(work: Callable[[T], R], pieces: Iterable[T], n_threads: int) -> Iterator[R]:
    """Yield the results in the order of the pieces, so that sums over them do not depend on the threads."""
    if n_threads <= 1:
        yield from map(work, pieces)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        yield from pool.map(work, pieces)


def _compare_piece(shared: _Comparison, samples: Spectra, log_shift_prior: Reals) -> Pass:
    grid, moves, filters = shared.grid, shared.moves, shared.filters
    n, n_shifts, n_classes, n_angles = len(samples), len(moves), filters.shape[2], grid.n_angles
    moved = (samples[:, None] * moves[None]).reshape(n * n_shifts, grid.n_rings, n_angles // 2)
    harmonics = grid.harmonics(moved)
    scores = fft.irfft(harmonics @ filters, n=n_angles, axis=0, workers=1)  # (angles, n * shifts, classes)
    scores += shared.offset
    scores += log_shift_prior.astype(np.float32).reshape(1, n * n_shifts, 1)
    scores = scores.reshape(n_angles, n, n_shifts, n_classes)
    best_of_class = scores.max(axis=(0, 2))
    peak = best_of_class.max(axis=1)
    scores -= peak[None, :, None, None]
    np.exp(scores, out=scores)
    of_classes = scores.sum(axis=(0, 2), dtype=np.float64)
    total = of_classes.sum(axis=1)
    class_index = best_of_class.argmax(axis=1)
    place = scores[:, np.arange(n), :, class_index].reshape(n, n_angles * n_shifts).argmax(axis=1)
    scores /= total.astype(np.float32)[None, :, None, None]
    spread = fft.rfft(scores.reshape(n_angles, n * n_shifts, n_classes), axis=0, workers=1)
    # An image that is turned back by an angle has harmonics times exp(i m angle).
    sums = np.swapaxes(harmonics, 1, 2) @ spread.conj()
    with np.errstate(divide="ignore"):
        likelihood = np.log(of_classes) + peak[:, None]
    return Pass(
        class_index,
        place // n_shifts,
        place % n_shifts,
        likelihood.astype(np.float32),
        sums.astype(np.complex128),
        (of_classes / total[:, None]).sum(axis=0),
    )
