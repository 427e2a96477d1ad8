"""Make weak contaminants from molecules: halves, clumps, stacks, filaments. None of them is labelled."""

from __future__ import annotations

import numpy as np

from vitripick.simulation.poses import tilted_rotations, uniform_rotations
from vitripick.simulation.projection import Particles
from vitripick.simulation.scattering import PROTEIN_AMPLITUDE_PER_DALTON, displaced_share
from vitripick.simulation.structures.structure import Structure


def broken(structure: Structure, rng: np.random.Generator) -> Structure:
    """Return about half of a molecule: the part on one side of a random plane near its middle."""
    normal = rng.standard_normal(3)
    along = structure.points @ (normal / np.linalg.norm(normal)).astype(np.float32)
    far = along > np.quantile(along, rng.uniform(0.35, 0.65))
    # At a coarse pixel size a small molecule is a single point, which no plane divides.
    return structure.part(far if far.any() else ~far, name=f"{structure.name} broken")


def subunit(structure: Structure, rng: np.random.Generator, *, mass_kda: float) -> Structure:
    """Return a dissociated subunit: the part of a molecule, around one of its points, that has this mass."""
    seed = structure.points[rng.integers(len(structure.points))]
    order = np.argsort(np.sum((structure.points - seed) ** 2, axis=1))
    share = np.cumsum(np.abs(structure.net[order])) / np.abs(structure.net).sum()
    keep = np.zeros(len(order), bool)
    keep[order[: 1 + int(np.searchsorted(share, mass_kda / structure.mass_kda))]] = True
    return structure.part(keep, name=f"{structure.name} subunit")


def aggregate(
    structure: Structure, rng: np.random.Generator, *, x: float, y: float, n: int, pixel_size: float
) -> Particles:
    """Return a clump of `n` copies around (x, y), which touch and overlap in projection."""
    step = 0.6 * structure.diameter_angstrom / pixel_size
    at = np.zeros((n, 2))
    for i in range(1, n):
        angle = rng.uniform(0, 2 * np.pi)
        at[i] = at[rng.integers(i)] + step * rng.uniform(0.5, 1.1) * np.array([np.cos(angle), np.sin(angle)])
    at += np.array([x, y]) - at.mean(axis=0)
    return Particles(structure, uniform_rotations(n, rng), at[:, 0], at[:, 1])


def stack(
    structure: Structure, rng: np.random.Generator, *, x: float, y: float, n: int, pixel_size: float
) -> Particles:
    """Return `n` copies that lie in the plane, stacked along the molecule's z axis (KLH does this)."""
    height = float(np.ptp(structure.points[:, 2])) / pixel_size
    rotation = tilted_rotations(rng, axis=(0, 0, 1), tilt_radians=np.full(1, np.pi / 2))
    along = rotation[0, :2, 2]
    offsets = (np.arange(n) - (n - 1) / 2)[:, None] * height * along
    return Particles(structure, np.repeat(rotation, n, axis=0), x + offsets[:, 0], y + offsets[:, 1])


def filament(rng: np.random.Generator, *, length_angstrom: float) -> Structure:
    """Return a bent filament along its x axis, built of subunits on a helix: thin like actin, or a tube.

    It only looks like a filament, and does not come from a deposited structure.
    """
    if rng.random() < 0.6:  # about actin: rise 27.5 Å, twist -166.6 degrees, 42 kDa a subunit (Holmes et al. 1990)
        rise, twist, radius, mass, n_strands = 27.5, np.deg2rad(-166.6), 16.0, 42.0, 1
    else:  # about a microtubule, or narrower
        n_strands = int(rng.integers(4, 14))
        rise, twist, radius, mass = 40.0, 0.0, 8.3 * n_strands, 50.0
    n = max(2, int(length_angstrom / rise))
    turn = twist * np.arange(n)[:, None] + 2 * np.pi * np.arange(n_strands) / n_strands
    lag = 0.0 if n_strands == 1 else 3 * rise / n_strands
    along = (np.arange(n) - n / 2)[:, None] * rise + lag * np.arange(n_strands)
    across = np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=-1)
    # Each subunit is a handful of points in a ball.
    grains = rng.normal(0, 9, (8, 3))
    centres = np.concatenate([along[..., None], across], axis=-1).reshape(-1, 1, 3)
    points = (centres + grains).reshape(-1, 3)
    # A gentle bend: a circle with a radius of several lengths.
    curvature = rng.normal(0, 0.3) / length_angstrom
    points[:, 1] += curvature * points[:, 0] ** 2 / 2
    net = 1000 * mass * PROTEIN_AMPLITUDE_PER_DALTON * (1 - displaced_share(nucleic=False)) / len(grains)
    return Structure(
        "filament",
        "filament",
        mass * n * n_strands,
        points.astype(np.float32),
        np.full(len(points), net, np.float32),
        spread_angstrom=7.0,
    )


def genome(structure: Structure, rng: np.random.Generator) -> Structure:
    """Return nucleic acid that fills a capsid: loose points inside its inner radius, in the capsid's frame."""
    radii = np.linalg.norm(structure.points, axis=1)
    inner = 0.95 * float(np.quantile(radii, 0.03))
    spacing = max(6.0, inner / 16)
    reach = int(inner / spacing) + 1
    grid = np.mgrid[(slice(-reach, reach + 1),) * 3].reshape(3, -1).T * spacing
    grid = grid + rng.uniform(-0.5, 0.5, grid.shape) * spacing
    points = grid[np.linalg.norm(grid, axis=1) < inner].astype(np.float32)
    # Packed to 0.3-0.6 of solid RNA (1.1 dalton and 0.177 Å per dalton in each Å^3).
    packing = rng.uniform(0.3, 0.6)
    density = 1.1 * 0.177 * (1 - displaced_share(nucleic=True)) * packing
    mass = len(points) * spacing**3 * 1.1 * packing / 1000
    net = np.full(len(points), density * spacing**3, np.float32)
    return Structure(f"{structure.name} genome", "virus", mass, points, net, spread_angstrom=spacing / 2)
