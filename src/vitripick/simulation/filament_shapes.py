"""Make filaments: from a subunit with helical symmetry, and along flexible paths in the plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitripick.geometry import FloatArray
from vitripick.simulation.poses import Rotations, uniform_rotations
from vitripick.simulation.scattering import protein_net_density
from vitripick.simulation.structures.structure import Structure


@dataclass(frozen=True, eq=False)
class Helix:
    """Describes a filament by one subunit and a helical symmetry.

    Attributes
    ----------
    subunit
        Its origin lies on the axis of the filament, and the axis is its z.
    rise_angstrom, twist_degrees
        From one subunit to the next, along and around the axis.
    n_starts
        Copies of the subunit around the axis at every step.
    """

    subunit: Structure
    rise_angstrom: float
    twist_degrees: float
    n_starts: int = 1

    @property
    def width_angstrom(self) -> float:
        """Return the diameter that holds 95 % of the subunit's scattering."""
        radius = np.hypot(self.subunit.points[:, 0], self.subunit.points[:, 1])
        order = np.argsort(radius)
        share = np.cumsum(np.abs(self.subunit.net[order]))
        outer = radius[order][min(int(np.searchsorted(share, 0.95 * share[-1])), len(order) - 1)]
        return 2 * float(outer + self.subunit.spread_angstrom)

    def along(
        self, points: FloatArray, rng: np.random.Generator, *, pixel_size: float
    ) -> tuple[Rotations, FloatArray, FloatArray]:
        """Return rotation, x and y of every subunit of a filament along a polyline.

        Parameters
        ----------
        points : (n, 2)
            The centre line, in pixels.
        rng
            For the turn around the axis and the polarity.
        pixel_size
            Å per pixel.

        Returns
        -------
        (m, 3, 3), (m,) and (m,)
        """
        steps = np.hypot(*np.diff(points, axis=0).T)
        track = np.concatenate([[0.0], np.cumsum(steps)]) * pixel_size
        n = max(1, int(track[-1] / self.rise_angstrom))
        at = (np.arange(n) + 0.5) * (track[-1] / n)
        x, y = (np.interp(at, track, points[:, axis]) for axis in (0, 1))
        low, high = np.clip(at - 20, 0, track[-1]), np.clip(at + 20, 0, track[-1])
        chord = [np.interp(high, track, points[:, a]) - np.interp(low, track, points[:, a]) for a in (0, 1)]
        heading = np.arctan2(chord[1], chord[0])
        if rng.random() < 0.5:
            heading, x, y = (heading + np.pi)[::-1], x[::-1], y[::-1]
        spin = np.deg2rad(self.twist_degrees) * np.arange(n) + rng.uniform(0, 2 * np.pi)
        starts = 2 * np.pi * np.arange(self.n_starts) / self.n_starts
        spin = (spin[:, None] + starts).ravel()
        heading, x, y = (np.repeat(values, self.n_starts) for values in (heading, x, y))
        # Columns are the subunit's axes in the micrograph: z along the filament, x and y around it.
        tangent = np.stack([np.cos(heading), np.sin(heading), np.zeros_like(heading)], axis=1)
        across = np.stack([-np.sin(heading), np.cos(heading), np.zeros_like(heading)], axis=1)
        upwards = np.broadcast_to([0.0, 0.0, 1.0], across.shape)
        cos, sin = np.cos(spin)[:, None], np.sin(spin)[:, None]
        rotations = np.stack([cos * across + sin * upwards, -sin * across + cos * upwards, tangent], axis=2)
        return rotations, np.ascontiguousarray(x), np.ascontiguousarray(y)


def helix_of(
    structure: Structure, *, rise_angstrom: float, twist_degrees: float, radius_angstrom: float, n_starts: int = 1
) -> Helix:
    """Return a filament of copies of a molecule, whose centre lies `radius_angstrom` off the axis.

    Parameters
    ----------
    structure
        The subunit, in the orientation in which its z runs along the filament.
    rise_angstrom, twist_degrees, n_starts
        As in `Helix`.
    radius_angstrom
        Distance of the molecule's centre from the axis; 0 puts it on the axis.
    """
    moved = structure.points + np.array([radius_angstrom, 0, 0], np.float32)
    subunit = Structure(
        structure.name,
        "filament",
        structure.mass_kda,
        moved.astype(np.float32),
        structure.net,
        spread_angstrom=max(structure.spread_angstrom, (structure.voxel_size or 0.0) / 2),
    )
    return Helix(subunit, rise_angstrom, twist_degrees, n_starts)


def random_helix(rng: np.random.Generator, structures: Sequence[Structure] = ()) -> Helix:
    """Draw a filament: a thin helix, a tube, a ribbon, a rod, or copies of one of these structures.

    Subunits are packed as densely as protein, so their contrast is that of real ones of their width.
    """
    kind = rng.choice(["thin", "tube", "ribbon", "rod", "structure"], p=[0.25, 0.3, 0.15, 0.15, 0.15])
    if kind == "structure" and structures:
        whole = structures[int(rng.integers(len(structures)))]
        turned = whole.simple(5.0)
        points = (turned.points @ uniform_rotations(1, rng)[0].T).astype(np.float32)
        size = whole.diameter_angstrom
        body = Structure(whole.name, whole.kind, whole.mass_kda, points, turned.net, turned.spread_angstrom)
        radius = rng.choice([0.0, rng.uniform(0.1, 0.45) * size])
        return helix_of(
            body,
            rise_angstrom=float(rng.uniform(0.35, 0.8) * size),
            twist_degrees=float(rng.uniform(-180, 180)),
            radius_angstrom=float(radius),
            n_starts=1,
        )
    if kind == "thin":
        outer, inner, n_starts = rng.uniform(28, 55), 0.0, int(rng.integers(1, 3))
        rise, twist = rng.uniform(20, 60), rng.choice([-1, 1]) * rng.uniform(90, 180)
    elif kind == "ribbon":
        outer, inner, n_starts = rng.uniform(35, 80), 0.0, 2
        rise, twist = 19.2, rng.choice([-1, 1]) * rng.uniform(1.5, 8)
    elif kind == "rod":
        outer, inner, n_starts = np.exp(rng.uniform(np.log(35), np.log(120))), 0.0, int(rng.integers(2, 7))
        rise, twist = rng.uniform(20, 50), rng.uniform(-60, 60)
    else:
        outer = np.exp(rng.uniform(np.log(50), np.log(170)))
        inner = outer * rng.uniform(0.15, 0.8)
        n_starts, rise, twist = int(rng.integers(4, 16)), rng.uniform(15, 60), rng.uniform(-30, 30)
    return Helix(
        _subunit(rng, outer=outer, inner=inner, rise=rise, n_starts=n_starts, flat=kind == "ribbon"),
        float(rise),
        float(twist),
        n_starts,
    )


def _subunit(
    rng: np.random.Generator, *, outer: float, inner: float, rise: float, n_starts: int, flat: bool
) -> Structure:
    """Return a wedge of a hollow cylinder as grains, denser in its middle, so that neighbours can be distinguished."""
    spread = float(np.clip(0.12 * outer, 4.0, 9.0))
    n = int(np.clip(np.pi * (outer**2 - inner**2) * rise / n_starts / (1.6 * spread) ** 3, 10, 60))
    wall = max(outer - inner - spread, 2.0)
    distinct = rng.uniform(0.4, 1.0)
    radius = np.sqrt(rng.uniform(inner**2, max((inner + wall) ** 2, inner**2 + 1), n))
    angle = rng.uniform(-0.5, 0.5, n) * 2 * np.pi / n_starts * distinct
    height = rng.uniform(-0.5, 0.5, n) * rise * distinct + rng.uniform(-0.2, 0.2) * rise * (radius / outer)
    across, other = radius * np.cos(angle), radius * np.sin(angle)
    if flat:
        other = other * rng.uniform(0.3, 0.6)
    area = np.pi * (outer**2 - inner**2) * (0.45 if flat else 1.0)
    volume = area * rise / n_starts
    packing = rng.uniform(0.5, 0.95)
    net = np.full(n, protein_net_density() * volume * packing / n, np.float32) * rng.uniform(0.5, 1.5, n)
    points = np.column_stack([across, other, height]).astype(np.float32)
    mass = 0.81e-3 * volume * packing
    return Structure("filament", "filament", float(mass), points, net.astype(np.float32), spread_angstrom=spread)


def random_path(
    rng: np.random.Generator,
    *,
    start: npt.ArrayLike,
    heading: float,
    length: float,
    bend: float,
    step: float,
) -> FloatArray:
    """Return a flexible path in the plane, (n, 2): its curvature varies around a mean of its own.

    Parameters
    ----------
    rng
        Source of all randomness.
    start : (2,)
        The middle of the path.
    heading
        Direction in the middle, rad.
    length
        Of the whole path, in the units of `start`.
    bend
        Typical curvature: 1 / radius, in the same units.
    step
        Distance between points.
    """
    n = max(3, int(np.ceil(length / step)) + 1)
    at = np.linspace(0, length, n)
    curvature = np.full(n, rng.normal(0, 0.6 * bend))
    for _ in range(3):
        wave = length / rng.uniform(0.5, 3.0)
        curvature += rng.normal(0, 0.5 * bend) * np.cos(2 * np.pi * at / wave + rng.uniform(0, 2 * np.pi))
    turned = np.concatenate([[0.0], np.cumsum((curvature[1:] + curvature[:-1]) / 2 * np.diff(at))])
    direction = heading + turned - turned[n // 2]
    middle = (direction[1:] + direction[:-1]) / 2
    moves = np.column_stack([np.cos(middle), np.sin(middle)]) * np.diff(at)[:, None]
    points = np.concatenate([np.zeros((1, 2)), np.cumsum(moves, axis=0)])
    return np.asarray(points - points[n // 2] + np.asarray(start, np.float64))


def beside(points: FloatArray, offset: float) -> FloatArray:
    """Return the path that runs beside another one, `offset` to its left where y runs upwards."""
    along = np.gradient(points, axis=0)
    along /= np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)[:, None]
    return np.asarray(points + offset * np.column_stack([-along[:, 1], along[:, 0]]))
