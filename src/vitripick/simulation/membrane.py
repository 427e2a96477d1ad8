"""Micelles and nanodiscs around membrane proteins, and empty ones.

Structure files hold no lipids, yet in a micrograph the belt can outweigh the protein. Where it goes is read off the
protein: the slab in which the surface is most hydrophobic (cf. Lomize et al. 2006, who place proteins in membranes
by their transfer energy; here carbon against nitrogen and oxygen is enough).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from vitripick.simulation.scattering import protein_net_density
from vitripick.simulation.structure import Slab, Structure, directions_over_half_sphere

# Hydrophobic thickness of a membrane, Å.
_SLAB = 30.0
# Side of the lattice that lipid is drawn on, Å: finer than what a picker's image resolves.
_LATTICE = 4.0


def find_slab(points: npt.NDArray[Any], carbon: npt.NDArray[np.bool_] | None) -> Slab:
    """Where the membrane runs through a protein.

    Parameters
    ----------
    points : (n, 3)
        Å, the origin on the molecule's centre.
    carbon : (n,), bool
        Which points are carbon atoms; without it, one end of the longest axis is taken, which is a guess.

    Returns
    -------
    Slab

    Raises
    ------
    ValueError
        If nothing of the protein lies where the membrane would.
    """
    points = np.asarray(points, np.float64)
    if carbon is None:
        return _slab_at_the_end(points)
    distance, _ = cKDTree(points).query(points, k=min(25, len(points)), workers=1)
    # Atoms on the surface have their 24th neighbour farther away than those within.
    surface = distance[:, -1] > np.quantile(distance[:, -1], 0.6)
    outside, nonpolar = points[surface], carbon[surface].astype(np.float64)
    principal = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2]
    step, best = 3.0, (-1.0, principal[0], 0.0)
    width = round(_SLAB / step)
    for axis in np.concatenate([principal, directions_over_half_sphere(150)]):
        along = outside @ axis
        cells = np.floor((along - along.min()) / step).astype(int)
        n_cells = int(cells.max()) + 1
        if n_cells <= width:
            continue
        window = np.ones(width)
        n_all = np.convolve(np.bincount(cells, minlength=n_cells), window, mode="valid")
        n_carbon = np.convolve(np.bincount(cells, nonpolar, minlength=n_cells), window, mode="valid")
        # A slab across a thin end has few atoms and any share by chance: ask for a fifth of the surface.
        share = np.where(n_all > 0.2 * len(outside), n_carbon / np.maximum(n_all, 1), 0)
        at = int(share.argmax())
        if share[at] > best[0]:
            best = (float(share[at]), axis, float(along.min()) + (at + width / 2) * step)
    return _slab(points, best[1], best[2])


def _slab_at_the_end(points: npt.NDArray[np.float64]) -> Slab:
    axis = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2][0]
    along = points @ axis
    return _slab(points, axis, float(np.quantile(along, 0.995)) - _SLAB / 2)


def _slab(points: npt.NDArray[np.float64], axis: npt.NDArray[np.float64], middle: float) -> Slab:
    along = points @ axis
    within = points[np.abs(along - middle) < _SLAB / 2]
    if not len(within):
        raise ValueError("nothing of it lies where its membrane would")
    across = within - np.outer(within @ axis, axis)
    centre = across.mean(axis=0)
    return Slab(axis, middle, float(np.quantile(np.linalg.norm(across - centre, axis=1), 0.97)))


def belt(structure: Structure, rng: np.random.Generator) -> Structure:
    """A micelle or nanodisc around a membrane protein, in the protein's own frame (its origin is the protein's).

    Drawn at random: thickness 30-45 Å, width of the annulus 6-15 Å, a slightly elliptical outline, head groups of
    0.3-0.8 of packed protein's contrast, a core from a little lighter than ice to 0.25 of protein.

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
    """A nanodisc or micelle without a protein, 70-130 Å wide, its normal along z."""
    points, net = _disc(rng.uniform(35, 65), rng, micelle=bool(rng.random() < 0.4))
    return _lipid("empty disc", points, net)


def _lipid(name: str, points: npt.NDArray[np.float64], net: npt.NDArray[np.float64]) -> Structure:
    mass = len(points) * _LATTICE**3 * 0.6 / 1000  # about 1 g/cm3
    return Structure(name, "membrane", mass, points.astype(np.float32), net.astype(np.float32), _LATTICE / 2)


def _disc(
    radius: float, rng: np.random.Generator, *, micelle: bool
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Lattice points of a disc around the origin and their net amplitudes; z is the normal."""
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
    """(3, 3): two unit vectors across `axis`, and `axis`."""
    helper = np.eye(3)[np.abs(axis).argmin()]
    first = np.cross(helper, axis)
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(axis, first), axis])
