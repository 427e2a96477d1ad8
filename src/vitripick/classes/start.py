"""Sort images by features that do not depend on how they are turned, for a first guess of the classes."""

from __future__ import annotations

import numpy as np

from vitripick.classes.expectation import Indices
from vitripick.classes.polar import Reals, Spectra

_ROUNDS = 20
_N_HARMONICS = 9


def features(harmonics: Spectra, noise: Reals) -> Reals:
    """Return the logarithms of the powers of low harmonics on each ring, (n, features); a turn does not change them.

    Parameters
    ----------
    harmonics : (harmonics, n, rings)
        Harmonics of the images.
    noise : (rings,)
        Usual power of a ring.
    """
    power = np.abs(harmonics[:_N_HARMONICS].astype(np.complex128)) ** 2 / noise
    # The noise of each image goes into each feature, so small powers do not count.
    values = np.log(power + 0.3 / _N_HARMONICS).transpose(1, 0, 2)
    return np.asarray(values.reshape(harmonics.shape[1], -1))


def sorted_into(values: Reals, n_groups: int, rng: np.random.Generator) -> Indices:
    """Return the group of each row, (n,): k-means, begun as Arthur & Vassilvitskii (2007) propose (k-means++).

    Groups may be empty, for example where all rows are equal.
    """
    middles = values[[int(rng.integers(len(values)))]]
    nearest = _distances(values, middles)[:, 0]
    while len(middles) < n_groups and nearest.sum() > 0:
        chosen = np.searchsorted(np.cumsum(nearest), rng.random() * nearest.sum())
        middles = np.concatenate([middles, values[[min(int(chosen), len(values) - 1)]]])
        nearest = np.minimum(nearest, _distances(values, middles[-1:])[:, 0])
    group = np.zeros(len(values), np.int64)
    for _ in range(_ROUNDS):
        group = _distances(values, middles).argmin(axis=1)
        filled = np.bincount(group, minlength=len(middles)) > 0
        means = [values[group == k].mean(axis=0) if filled[k] else middles[k] for k in range(len(middles))]
        middles = np.stack(means)
    return group


def _distances(values: Reals, middles: Reals) -> Reals:
    """Return squared distances, (n, groups); without a matrix product, whose last bits depend on its threads."""
    return np.stack([np.square(values - middle).sum(axis=1) for middle in middles], axis=1)
