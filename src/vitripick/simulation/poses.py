"""Draw orientations: even over all, or preferring some views."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

Rotations = npt.NDArray[np.float64]


def uniform_rotations(n: int, rng: np.random.Generator) -> Rotations:
    """Return rotations even over SO(3), from normalised four-dimensional Gaussians, as (n, 3, 3) float64."""
    quaternions = rng.standard_normal((n, 4))
    return _matrices(quaternions)


def preferred_rotations(n: int, rng: np.random.Generator, *, axis: npt.ArrayLike, concentration: float) -> Rotations:
    """Return rotations that prefer a view along one axis of the molecule, with any turn in the plane.

    Parameters
    ----------
    n
        How many rotations.
    rng
        Source of all randomness.
    axis : (3,)
        In the molecule's frame; its own direction and the opposite one are equally likely.
    concentration
        Kappa of the von Mises distribution of the tilt away from `axis`: 0 hardly prefers anything, 4 tilts by 30
        degrees or so, 20 by 13.

    Returns
    -------
    (n, 3, 3), float64
    """
    tilt = rng.vonmises(0.0, concentration, n) + np.pi * rng.integers(0, 2, n)
    return tilted_rotations(rng, axis=axis, tilt_radians=tilt)


def tilted_rotations(
    rng: np.random.Generator, *, axis: npt.ArrayLike, tilt_radians: npt.NDArray[np.float64]
) -> Rotations:
    """Return rotations with given angles between one axis of the molecule and the beam; the other angles are random.

    Parameters
    ----------
    rng
        Source of all randomness.
    axis : (3,)
        In the molecule's frame.
    tilt_radians : (n,)
        0 looks along the axis, pi / 2 at it from the side.

    Returns
    -------
    (n, 3, 3), float64
    """
    n = len(tilt_radians)
    onto_beam = _onto_z(np.asarray(axis, np.float64))
    spin, in_plane = rng.uniform(0, 2 * np.pi, (2, n))
    turns = Rotation.from_euler("zyz", np.column_stack([spin, tilt_radians, in_plane])).as_matrix()
    rotations: Rotations = turns @ onto_beam
    return rotations


def _onto_z(axis: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return a rotation that brings `axis` onto z, as (3, 3)."""
    unit = axis / np.linalg.norm(axis)
    helper = np.eye(3)[np.abs(unit).argmin()]
    x = np.cross(helper, unit)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(unit, x), unit])


def _matrices(quaternions: npt.NDArray[np.float64]) -> Rotations:
    """Return the matrices of quaternions; there may be none."""
    if not len(quaternions):
        return np.empty((0, 3, 3))
    matrices: Rotations = Rotation.from_quat(quaternions).as_matrix()
    return matrices
