"""Describe a molecule for the electron beam: points (or voxels) with their scattering amplitude against ice."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from vitripick.settings.simulate import Kind
from vitripick.simulation.scattering import PROTEIN_AMPLITUDE_PER_DALTON, displaced_share

Points: TypeAlias = npt.NDArray[np.float32]

# A stream of crops has a new scale for each crop. Lengths are therefore rounded to steps of 2**(1/3) before points are
# merged, so that all crops share a few cached clouds.
_SCALE_STEPS = 3


@dataclass(frozen=True, eq=False)
class Slab:
    """Describes where the membrane runs through a molecule.

    Attributes
    ----------
    axis : (3,)
        Unit vector along the membrane's normal, in the molecule's frame.
    middle
        Å along `axis` from the molecule's origin to the middle of the membrane.
    radius
        Distance in Å from the axis to the outside of the molecule there.
    """

    axis: npt.NDArray[np.float64]
    middle: float
    radius: float


@dataclass(frozen=True, eq=False)
class Structure:
    """Describes one molecule, its origin on the centre of its scattering.

    Attributes
    ----------
    name
        Name of the file or of the bundled structure.
    kind
        `soluble`, `membrane`, `nucleoprotein`, `virus` or `filament`.
    mass_kda
        Mass of the whole molecule.
    points : (n, 3), float32
        x, y, z in Å.
    net : (n,), float32
        Scattering amplitude f(0) of each point, less that of the ice that it displaces, Å.
    spread_angstrom
        Sigma of the Gaussian that each point stands for: 1 Å for an atom, about 2.5 Å for a residue.
    volume, voxel_size
        For a molecule that came as a map: (n, n, n) float32 in Å of net amplitude per voxel, axes z, y, x, the origin
        at its middle voxel `n // 2`; and Å per voxel. Its `points` are its voxels.
    slab
        For a membrane protein, where the membrane is.
    """

    name: str
    kind: Kind
    mass_kda: float
    points: Points
    net: npt.NDArray[np.float32]
    spread_angstrom: float = 1.0
    volume: npt.NDArray[np.float32] | None = None
    voxel_size: float | None = None
    slab: Slab | None = None
    _merged: dict[float, tuple[Points, npt.NDArray[np.float32]]] = field(default_factory=dict, repr=False)
    _simple: dict[float, Structure] = field(default_factory=dict, repr=False)

    @cached_property
    def diameter_angstrom(self) -> float:
        """Return the largest extent in any direction, Å (over 120 directions, so up to 2 % short)."""
        extents = self._outermost @ directions_over_half_sphere(120).T.astype(np.float32)
        return float((extents.max(axis=0) - extents.min(axis=0)).max())

    @cached_property
    def reach_angstrom(self) -> float:
        """Return twice the distance of the farthest point from the origin, Å: at least the diameter, but faster."""
        return 2 * float(np.sqrt(np.max(np.sum(self.points**2, axis=1))))

    @cached_property
    def _outermost(self) -> Points:
        """Return the points that are outermost in some direction: a few hundred of many thousands."""
        points = self.points
        if len(points) > 1500:  # keep only the outermost among neighbours first: they are far fewer
            radius = np.linalg.norm(points, axis=1)
            direction = _cell_numbers(points / np.maximum(radius, 1e-6)[:, None], 0.15)
            order = np.lexsort((radius, direction))
            last = np.append(np.diff(direction[order]) != 0, True)
            points = points[order[last]]
        reach = points @ directions_over_half_sphere(120).T.astype(np.float32)
        outermost: Points = points[np.unique(np.concatenate([reach.argmax(axis=0), reach.argmin(axis=0)]))]
        return outermost

    def projected_extents(self, rotations: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return how wide and how high the molecule is in projection.

        Parameters
        ----------
        rotations : (m, 3, 3)
            One rotation for each particle; its first two rows give image x and y.

        Returns
        -------
        (m, 4), float64
            Smallest and largest x, smallest and largest y, in Å from the molecule's origin.
        """
        placed = np.einsum("mij,nj->min", rotations[:, :2], self._outermost.astype(np.float64))
        low, high = placed.min(axis=2), placed.max(axis=2)
        return np.column_stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]])

    def merged(self, pixel_size: float) -> tuple[Points, npt.NDArray[np.float32]]:
        """Return points and amplitudes, with neighbours closer than about a pixel joined into one.

        Parameters
        ----------
        pixel_size
            Å per pixel of the image they will be projected into.
        """
        cell = _stepped(1.4 * pixel_size)
        if cell not in self._merged:
            self._merged[cell] = merge_points(self.points, self.net, cell)
        return self._merged[cell]

    def simplified(self, cell_angstrom: float) -> Structure:
        """Return the same molecule with fewer points: those of each cube of this side are joined."""
        points, net = merge_points(self.points, self.net, cell_angstrom)
        spread = float(np.hypot(self.spread_angstrom, cell_angstrom / np.sqrt(12)))
        return dataclasses.replace(
            self, points=points, net=net, spread_angstrom=spread, volume=None, voxel_size=None, _merged={}, _simple={}
        )

    def simple(self, pixel_size: float) -> Structure:
        """Return it `simplified` for images of this pixel size, no finer than 4 Å, and keep that for the next call."""
        cell = _stepped(max(4.0, 1.4 * pixel_size))
        if cell not in self._simple:
            self._simple[cell] = self.simplified(cell)
        return self._simple[cell]

    def part(self, keep: npt.NDArray[np.bool_], *, name: str) -> Structure:
        """Return the molecule with only the points of a mask, and its origin on the centre of these.

        Raises
        ------
        ValueError
            If the mask keeps nothing.
        """
        if not keep.any():
            raise ValueError(f"{self.name}: no point is left of this molecule")
        points, net = self.points[keep], self.net[keep]
        share = float(net.sum() / self.net.sum())
        centred = points - scattering_centre(points, net)
        spread = max(self.spread_angstrom, (self.voxel_size or 0.0) / 2)
        return dataclasses.replace(
            self,
            name=name,
            mass_kda=self.mass_kda * share,
            points=centred,
            net=net,
            spread_angstrom=spread,
            volume=None,
            voxel_size=None,
            slab=None,
            _merged={},
            _simple={},
        )


def scattering_centre(points: Points, net: npt.NDArray[np.float32]) -> Points:
    """Return where the scattering has its centre of mass, Å, as (3,) float32."""
    centre: Points = np.average(points.astype(np.float64), axis=0, weights=net).astype(np.float32)
    return centre


def structure_from_points(
    name: str,
    points: npt.NDArray[np.floating],
    amplitudes: npt.NDArray[np.floating],
    *,
    kind: Kind = "soluble",
    mass_kda: float | None = None,
    nucleic: npt.NDArray[np.bool_] | None = None,
    spread_angstrom: float = 1.0,
    slab: Slab | None = None,
) -> Structure:
    """Make a molecule from gross amplitudes: take the displaced ice off and put the origin on its centre.

    Parameters
    ----------
    name
        Name of the molecule.
    points : (n, 3)
        Å.
    amplitudes : (n,)
        f(0) of each point, hydrogens included, Å.
    kind
        What the molecule is.
    mass_kda
        Its mass; by default it follows from the amplitudes, at 0.204 Å per dalton.
    nucleic : (n,), bool
        Which points are nucleic acid: that displaces less ice for its amplitude.
    spread_angstrom, slab
        As in `Structure`.
    """
    shares = np.full(len(points), displaced_share(nucleic=False))
    if nucleic is not None:
        shares[nucleic] = displaced_share(nucleic=True)
    net = np.asarray(amplitudes * (1 - shares), np.float32)
    centred = np.asarray(points, np.float32)
    centred = centred - scattering_centre(centred, net)
    if mass_kda is None:
        mass_kda = float(np.sum(amplitudes)) / PROTEIN_AMPLITUDE_PER_DALTON / 1000
    return Structure(name, kind, mass_kda, centred, net, spread_angstrom, slab=slab)


def merge_points(
    points: Points, weights: npt.NDArray[np.float32], cell_angstrom: float
) -> tuple[Points, npt.NDArray[np.float32]]:
    """Join the points that share a cubic cell into one at their weighted centre.

    Parameters
    ----------
    points : (n, 3)
        Å.
    weights : (n,)
        Amplitudes.
    cell_angstrom
        Side of a cell, Å.

    Returns
    -------
    (m, 3) and (m,), float32
        The sum of the weights is kept.
    """
    _, index = np.unique(_cell_numbers(points, cell_angstrom), return_inverse=True)
    # Lipid tails are lighter than ice and count negative. Weighted by magnitude, they do not push the centre away.
    magnitude = np.abs(weights).astype(np.float64) + 1e-12
    total = np.bincount(index, magnitude)
    centres = np.column_stack([np.bincount(index, magnitude * points[:, axis]) / total for axis in range(3)])
    return centres.astype(np.float32), np.bincount(index, weights).astype(np.float32)


def _stepped(length: float) -> float:
    """Return a length rounded down to one of `_SCALE_STEPS` steps in each octave."""
    return float(2.0 ** (np.floor(np.log2(length) * _SCALE_STEPS) / _SCALE_STEPS))


def _cell_numbers(points: Points, cell: float) -> npt.NDArray[np.int64]:
    """Return the number of the cube of side `cell` in which each point lies, as (n,)."""
    cells = np.floor((points - points.min(axis=0)) / cell).astype(np.int64)
    sides = cells.max(axis=0) + 1
    numbers: npt.NDArray[np.int64] = (cells[:, 0] * sides[1] + cells[:, 1]) * sides[2] + cells[:, 2]
    return numbers


def directions_over_half_sphere(n: int) -> npt.NDArray[np.float64]:
    """Return unit vectors spread evenly over a half sphere (a Fibonacci spiral), as (n, 3)."""
    index = np.arange(n) + 0.5
    z = 1 - index / n
    azimuth = np.pi * (1 + 5**0.5) * index
    radius = np.sqrt(1 - z**2)
    return np.column_stack([radius * np.cos(azimuth), radius * np.sin(azimuth), z])
