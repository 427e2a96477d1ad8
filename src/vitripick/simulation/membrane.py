"""Make micelles and nanodiscs around membrane proteins, and empty ones.

Structure files hold no lipids, yet in a micrograph the belt can outweigh the protein. `structures.slab` finds its
place.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from vitripick.simulation.scattering import protein_net_density
from vitripick.simulation.structures.structure import Structure

# Side of the lattice that lipid is drawn on, Å: finer than what a picker's image resolves.
_LATTICE = 4.0


def belt(structure: Structure, rng: np.random.Generator) -> Structure:
    """Return a micelle or nanodisc around a membrane protein, in the frame and with the origin of the protein.

    Drawn at random are the thickness (30-45 Å), the width of the annulus (6-15 Å), a slightly elliptical outline, the
    contrast of head groups (0.3-0.8 of packed protein) and of the core (a little lighter than ice to 0.25 of protein).

    Raises
    ------
    ValueError
        If the structure has no slab.
    """
    slab = structure.slab
    if slab is None:
        raise ValueError(f"{structure.name}: no membrane is known in this molecule")
    points, net = _disc(slab.radius + rng.uniform(6, 15), rng, micelle=bool(rng.random() < 0.6))
    basis = _basis(slab.axis)
    along = structure.points @ slab.axis.astype(np.float32)
    near = structure.points[np.abs(along - slab.middle) < 40]
    across = near @ basis[:2].T.astype(np.float32)
    centre = across.mean(axis=0) if len(across) else np.zeros(2)
    placed = points @ basis + slab.middle * slab.axis + centre @ basis[:2]
    # Lipid goes around the protein, not through it.
    free = cKDTree(structure.points).query(placed, distance_upper_bound=4.0)[0] == np.inf
    return _lipid(f"{structure.name} belt", placed[free], net[free])


def empty_disc(rng: np.random.Generator) -> Structure:
    """Return a nanodisc or micelle without a protein, 70-130 Å wide, its normal along z."""
    points, net = _disc(rng.uniform(35, 65), rng, micelle=bool(rng.random() < 0.4))
    return _lipid("empty disc", points, net)


def _lipid(name: str, points: npt.NDArray[np.float64], net: npt.NDArray[np.float64]) -> Structure:
    """Return a body of lipid from its lattice points."""
    mass = len(points) * _LATTICE**3 * 0.6 / 1000  # about 1 g/cm3
    return Structure(name, "membrane", mass, points.astype(np.float32), net.astype(np.float32), _LATTICE / 2)


def _disc(
    radius: float, rng: np.random.Generator, *, micelle: bool
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the lattice points of a disc around the origin and their net amplitudes; z is the normal."""
    thickness = rng.uniform(30, 45)
    stretch = np.exp(rng.uniform(-0.08, 0.08))
    heads, core = rng.uniform(0.3, 0.8), rng.uniform(-0.1, 0.25)
    reach = int(np.ceil(radius * 1.1 / _LATTICE))
    levels = int(np.ceil(thickness / 2 / _LATTICE))
    grid = np.mgrid[-reach : reach + 1, -reach : reach + 1, -levels : levels + 1].reshape(3, -1).T * _LATTICE
    points = grid + rng.uniform(-0.5, 0.5, grid.shape) * _LATTICE
    r = np.hypot(points[:, 0] * stretch, points[:, 1] / stretch) / radius
    # A micelle is rounded at the rim, a nanodisc has a straight one.
    half = thickness / 2 * (np.sqrt(np.clip(1 - r**4, 0, 1)) if micelle else (r < 1))
    inside = np.abs(points[:, 2]) < half
    shell = inside & ((np.abs(points[:, 2]) > half - 8) | (r > 1 - 8 / radius))
    net = np.where(shell, heads, core) * protein_net_density() * _LATTICE**3
    return points[inside], net[inside]


def _basis(axis: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return two unit vectors across `axis`, and `axis` itself, as (3, 3)."""
    helper = np.eye(3)[np.abs(axis).argmin()]
    first = np.cross(helper, axis)
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(axis, first), axis])
