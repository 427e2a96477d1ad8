"""Find classes: a few first, then more by splitting those that hold different views, then all of them finer.

Classes are split along the direction in which their aligned members differ most (principal component; the idea is that
of bisecting k-means, Steinbach et al. 2000), because a mixture that begins with all its classes lets most of them die.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vitripick.classes import prepare
from vitripick.classes.expectation import Indices, Pass, compare, ring_power
from vitripick.classes.polar import Images, PolarGrid, Reals, Spectra
from vitripick.classes.start import features, sorted_into

# Side of the images that are compared, in pixels. The particle has 0.4 to 0.6 of it.
WORK_PX = 40
_COARSE = PolarGrid(WORK_PX, n_rings=10, n_angles=40)
_FINE = PolarGrid(WORK_PX, n_rings=17, n_angles=80)
# How far from the middle a particle is looked for, in diameters: a picker is seldom farther off.
_REACH_DIAMETERS = 0.16
# The mask of the last passes ends so far outside of the particle.
_FINE_MARGIN_PX = 1.0
_FIRST_CLASSES = 8
_PASSES_FIRST, _PASSES_BETWEEN, _PASSES_LAST, _PASSES_FINE = 5, 3, 6, 3
# A class with less than this share of an even one is given up.
_LEAST_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class Places:
    """Says for each image where its particle is, and how it is turned.

    Attributes
    ----------
    class_index : (n,), int64
    angle_radians : (n,), float64
        From the class average to the image, from x towards y.
    shift_px : (n, 2), float64
        The particle lies here, x and y from the middle of the image, in pixels of the classification.
    score : (n,), float64
        Logarithm of how much more probable the image is with its class than without any particle.
    """

    class_index: Indices
    angle_radians: Reals
    shift_px: Reals
    score: Reals


@dataclass(frozen=True, eq=False)
class References:
    """Holds what images are compared with: the same classes at both scales.

    Attributes
    ----------
    diameter_px
        Of the particle, in pixels of the classification.
    coarse, fine : (harmonics, rings, classes)
        Averages with the noise taken down.
    noise_coarse, noise_fine : (rings,)
        Power of the noise of one image on each ring.
    """

    diameter_px: float
    coarse: Spectra
    fine: Spectra
    noise_coarse: Reals
    noise_fine: Reals

    @property
    def n_classes(self) -> int:
        """Return the number of classes."""
        return int(self.coarse.shape[2])

    @property
    def noise_of_a_pixel(self) -> Reals:
        """Return the power of the noise of one pixel on each ring, (rings,)."""
        return self.noise_fine / _n_pixels(self.diameter_px / 2 + _FINE_MARGIN_PX)

    @property
    def reach_px(self) -> float:
        """Return how far from the middle a particle is looked for."""
        return max(2.0, _REACH_DIAMETERS * self.diameter_px)


class _Stage:
    """Holds images on one grid, with the shifts that are tried, for several passes."""

    def __init__(self, grid: PolarGrid, images: Images, centres: Reals, steps: Reals, radius_px: float, reach: float):
        self.grid, self.centres, self.steps = grid, centres, steps
        self.samples = grid.samples(prepare.masked(images, centres, radius_px))
        if centres.any():
            self.samples *= _moves_of_each(grid, -centres)
        self.moves = grid.moves(-steps)
        self.n_pixels = _n_pixels(radius_px)
        places = centres[:, None] + steps[None]
        self.log_prior = -0.5 * np.square(places).sum(axis=2) / (reach / 1.5) ** 2

    def compare(self, references: Spectra, noise: Reals, n_threads: int) -> Pass:
        return compare(
            self.grid,
            self.samples,
            self.moves,
            references,
            noise / self.n_pixels,
            self.log_prior,
            n_threads=n_threads,
        )

    def aligned(self, found: Pass, members: Indices) -> Spectra:
        """Return the harmonics of some images, turned and shifted as their class is: (harmonics, n, rings)."""
        moved = self.samples[members] * self.moves[found.shift_index[members]]
        return turned_back(self.grid, moved, 2 * np.pi * found.angle_index[members] / self.grid.n_angles)

    def places(self, found: Pass) -> Places:
        return Places(
            found.class_index,
            2 * np.pi * found.angle_index / self.grid.n_angles,
            self.centres + self.steps[found.shift_index],
            found.log_likelihood.max(axis=1).astype(np.float64),
        )


def find_classes(
    images: Images, diameter_px: float, n_classes: int, *, seed: int, n_threads: int
) -> tuple[References, Places]:
    """Return references, and where the images are with them.

    Parameters
    ----------
    images : (n, size, size), float32
        At the scale of the classification, as `prepare.at_scale` gives them.
    diameter_px
        Of the particle, in their pixels.
    n_classes
        At most this many.
    seed
        Decides where the search begins.
    n_threads
        Threads; the result does not depend on it.
    """
    rng = np.random.default_rng(seed)
    empty = np.zeros((_COARSE.n_harmonics, _COARSE.n_rings, 0), np.complex64)
    nothing = np.zeros(0)
    references = References(diameter_px, empty, empty, nothing, nothing)
    stage = _coarse_stage(images, references)
    # The median keeps a few strong contaminants from being the measure of noise.
    power = np.square(np.abs(stage.samples)).mean(axis=2, dtype=np.float64)
    noise = np.maximum(np.median(power, axis=0), 1e-12)
    averages = _first_averages(stage, noise, min(_FIRST_CLASSES, n_classes), rng)
    averages, noise, found = _iterate(stage, averages, noise, _PASSES_FIRST, n_threads)
    least = max(3.0, _LEAST_SHARE * len(images) / n_classes)
    for _ in range(12):
        grown = _grown(stage, averages, found, n_classes, least, rng)
        if grown is None:
            break
        averages, noise, found = _iterate(stage, grown, noise, _PASSES_BETWEEN, n_threads)
    averages, noise, found = _iterate(stage, averages, noise, _PASSES_LAST, n_threads)
    references = replace(references, coarse=averages, noise_coarse=noise)
    return _finer(images, references, stage.places(found), n_threads)


def assign(images: Images, references: References, *, n_threads: int) -> Places:
    """Return the class, angle and shift of images at the scale of the classification, with given references."""
    stage = _coarse_stage(images, references)
    found = stage.compare(references.coarse, references.noise_coarse, n_threads)
    return _settled(images, references, stage.places(found), n_threads)


def turned_back(grid: PolarGrid, samples: Spectra, angles: Reals) -> Spectra:
    """Return the harmonics of (n, rings, angles / 2) samples, turned back by an angle each, in radians."""
    order = np.arange(grid.n_harmonics)
    phases = np.exp(1j * order[:, None, None] * angles[None, :, None]).astype(np.complex64)
    return np.asarray(grid.harmonics(samples) * phases)


def _coarse_stage(images: Images, references: References) -> _Stage:
    reach = references.reach_px
    line = np.arange(-2.0 * np.floor(reach / 2), reach + 0.01, 2.0)
    x, y = (axis.ravel() for axis in np.meshgrid(line, line))
    steps = np.stack([x, y], axis=1)[np.hypot(x, y) <= reach + 0.01]
    centres = np.zeros((len(images), 2))
    return _Stage(_COARSE, images, centres, steps, references.diameter_px / 2 + reach / 2, reach)


def _fine_stage(images: Images, references: References, centres: Reals, step: float) -> _Stage:
    x, y = (axis.ravel() for axis in np.meshgrid([-step, 0.0, step], [-step, 0.0, step]))
    steps = np.stack([x, y], axis=1)
    return _Stage(_FINE, images, centres, steps, references.diameter_px / 2 + _FINE_MARGIN_PX, references.reach_px)


def _first_averages(stage: _Stage, noise: Reals, n_classes: int, rng: np.random.Generator) -> Spectra:
    harmonics = stage.grid.harmonics(stage.samples)
    group = sorted_into(features(harmonics, noise), n_classes, rng)
    turns = rng.uniform(0, 2 * np.pi, len(stage.samples))
    harmonics = turned_back(stage.grid, stage.samples, turns)
    filled = np.unique(group)
    return np.stack([harmonics[:, group == k].mean(axis=1) for k in filled], axis=-1)


def _iterate(
    stage: _Stage, averages: Spectra, noise: Reals, n_passes: int, n_threads: int
) -> tuple[Spectra, Reals, Pass]:
    """Return averages, noise and the last comparison after some passes of expectation and maximisation."""
    total = np.square(np.abs(stage.samples)).mean(axis=2, dtype=np.float64).mean(axis=0)
    for _ in range(n_passes):
        found = stage.compare(averages, noise, n_threads)
        averages, noise = _maximised(found.sums, found.n_members, noise, total)
    return averages, noise, found


def _maximised(sums: npt.NDArray[np.complex128], n_members: Reals, noise: Reals, total: Reals) -> tuple[Spectra, Reals]:
    """Return averages with their noise taken down (Wiener), and the power of the noise beside them.

    Parameters
    ----------
    sums : (harmonics, rings, classes)
        Weighted sums of the images.
    n_members : (classes,)
        Sums of the weights.
    noise, total : (rings,)
        Power of the noise as known before, and of the images.
    """
    n = np.maximum(n_members, 1e-6)
    averages = sums / n
    power = ring_power(averages)
    excess = power - noise[:, None] / n
    weights = np.where(n_members >= 3, n_members, 0.0) + 1e-9
    # All classes share one spectrum of the signal, so that a small class is not taken for noise.
    signal = np.maximum((excess * weights).sum(axis=1) / weights.sum(), 1e-3 * noise)
    share = signal[:, None] / (signal[:, None] + noise[:, None] / n)
    explained = (np.maximum(excess, 0) * n_members).sum(axis=1) / max(n_members.sum(), 1e-6)
    return (averages * share).astype(np.complex64), np.maximum(total - 0.9 * explained, 0.2 * total) + 1e-12


def _grown(
    stage: _Stage, averages: Spectra, found: Pass, n_classes: int, least: float, rng: np.random.Generator
) -> Spectra | None:
    """Return averages without classes that died, and with large ones split; None where there is no more to split."""
    alive = np.flatnonzero(found.n_members >= least)
    alive = alive if len(alive) else np.array([int(found.n_members.argmax())])
    room = n_classes - len(alive)
    new = [averages[..., k] for k in alive]
    # Most of the classes are split in a round at most, so that halves differ clearly before they are split again.
    order = np.argsort(-found.n_members[alive], kind="stable")[: min(room, -(-2 * len(alive) // 3))]
    if room <= n_classes // 20 or not len(order):
        return None
    for i in order:
        members = np.flatnonzero(found.class_index == alive[i])
        if len(members) < max(6.0, 2 * least):
            continue
        aligned = stage.aligned(found, members)
        above = _apart(stage.grid, aligned, rng)
        if above.all() or not above.any():
            continue
        new[i] = aligned[:, above].mean(axis=1)
        new.append(aligned[:, ~above].mean(axis=1))
    return np.stack(new, axis=-1).astype(np.complex64) if len(new) > len(alive) else None


def _apart(grid: PolarGrid, aligned: Spectra, rng: np.random.Generator) -> np.ndarray:
    """Return which images lie above the median along the first principal component, (n,), bool."""
    weights = np.sqrt(grid.weights)[None, :] * np.where(np.arange(grid.n_harmonics) > 0, np.sqrt(2), 1)[:, None]
    rows = (aligned.transpose(1, 0, 2) * weights).reshape(aligned.shape[1], -1)
    values = np.concatenate([rows.real, rows.imag], axis=1).astype(np.float64)
    length = np.sqrt(np.square(values).sum(axis=1, keepdims=True))
    # One strong contaminant would be the principal component by itself.
    values *= np.minimum(1, 1.5 * np.median(length) / np.maximum(length, 1e-12))
    values -= values.mean(axis=0)
    direction = rng.standard_normal(values.shape[1])
    for _ in range(15):
        # NumPy's einsum adds up in one thread, and a matrix product would not.
        along = np.einsum("ij,j->i", values, direction)
        direction = np.einsum("ij,i->j", values, along)
        size = np.sqrt(np.square(direction).sum())
        if size == 0:
            return np.zeros(len(values), bool)
        direction /= size
    along = np.einsum("ij,j->i", values, direction)
    return np.asarray(along > np.median(along))


def _finer(images: Images, references: References, places: Places, n_threads: int) -> tuple[References, Places]:
    """Return references of both scales, with all particles looked for around their last place."""
    n_classes = references.n_classes
    noise = np.zeros(0)
    for _ in range(_PASSES_FINE):
        stage = _fine_stage(images, references, places.shift_px, 1.0)
        total = np.square(np.abs(stage.samples)).mean(axis=2, dtype=np.float64).mean(axis=0)
        noise = np.maximum(total, 1e-12) if not len(noise) else noise
        aligned = turned_back(stage.grid, stage.samples, places.angle_radians)
        sums, n_members = _sums(aligned, places.class_index, n_classes)
        averages, noise = _maximised(sums, n_members, noise, total)
        found = stage.compare(averages, noise, n_threads)
        places = stage.places(found)
    references = replace(references, fine=averages, noise_fine=noise)
    return references, _settled(images, references, places, n_threads)


def _settled(images: Images, references: References, places: Places, n_threads: int) -> Places:
    """Return the places after two looks around the last ones, the second by half a pixel."""
    for step in (1.0, 0.5):
        stage = _fine_stage(images, references, places.shift_px, step)
        places = stage.places(stage.compare(references.fine, references.noise_fine, n_threads))
    return places


def _n_pixels(radius_px: float) -> float:
    """Return how many pixels a mask lets through, as power counts them."""
    return float(np.square(prepare.soft_mask(prepare.distances(WORK_PX), radius_px)).sum())


def _sums(aligned: Spectra, class_index: Indices, n_classes: int) -> tuple[np.ndarray, Reals]:
    sums = np.zeros((aligned.shape[0], aligned.shape[2], n_classes), np.complex128)
    for k in range(n_classes):
        sums[..., k] = aligned[:, class_index == k].sum(axis=1)
    return sums, np.bincount(class_index, minlength=n_classes).astype(np.float64)


def _moves_of_each(grid: PolarGrid, places: Reals) -> Spectra:
    """Return the factor of each image's own move, (n, rings, angles / 2)."""
    return grid.moves(places)
