"""Turn points on centre lines into paths: short pieces first, joined to longer ones, which are cut where they bend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from vitripick.geometry import Filament, FloatArray
from vitripick.tracing.joining import joined
from vitripick.tracing.links import Indices, runs_of
from vitripick.tracing.maps import SPACING_WIDTHS, LineMaps, LinePoints, line_points

# Neighbours on one line are at most this many spacings apart, and turned by at most this much.
_LINK_SPACINGS = 2.4
_LINK_RADIANS = 0.6


@dataclass(frozen=True, eq=False)
class Tracing:
    """Says how maps become paths; lengths are in widths of the filament.

    Attributes
    ----------
    threshold
        Lowest mean heat along a filament.
    floor
        Lowest heat of a point on a centre line.
    minimum_length
        Shorter ones are left out.
    largest_bend_degrees
        Per width of length. Where a path bends more, it is cut.
    longest_gap
        Pieces are joined over a gap of up to this length, if they point at each other.
    crossings
        Whether filaments pass through crossings; without it, they are cut there.
    crossing_margin
        Length that is then cut out on each side of a crossing.
    """

    threshold: float = 0.3
    floor: float = 0.2
    minimum_length: float = 5.0
    largest_bend_degrees: float = 25.0
    longest_gap: float = 2.5
    crossings: bool = True
    crossing_margin: float = 1.0


def trace(maps: LineMaps, tracing: Tracing | None = None, *, typical_width: float) -> list[Filament]:
    """Return the filaments of a map, in cells; the longest first.

    Parameters
    ----------
    maps
        Of one micrograph.
    tracing
        How; defaults if None.
    typical_width
        Width of the filaments in cells.
    """
    tracing = tracing or Tracing()
    points = line_points(maps, floor=tracing.floor, typical_width=typical_width)
    if len(points) < 2:
        return []
    chains = _chains(points, typical_width)
    chains = joined(chains, points, maps.heat, longest_gap=tracing.longest_gap, width=typical_width)
    found = []
    for chain in chains:
        for part in _unbent(points.at[chain], chain, np.deg2rad(tracing.largest_bend_degrees) / typical_width):
            path = _smoothed(points.at[part])
            one = Filament.through(
                path, width=float(np.median(points.width[part])), confidence=_mean_heat(path, maps.heat)
            )
            if one.length >= tracing.minimum_length * typical_width and one.confidence >= tracing.threshold:
                found.append(one)
    if not tracing.crossings:
        found = _cut_at_crossings(found, tracing, typical_width)
    return sorted(found, key=lambda one: -one.length)


def _chains(points: LinePoints, width: float) -> list[Indices]:
    """Return runs of points that follow one another along a line: each point takes its best neighbour on each side."""
    spacing = max(0.8, SPACING_WIDTHS * width)
    tree = cKDTree(points.at)
    pairs = tree.query_pairs(_LINK_SPACINGS * spacing, output_type="ndarray")
    if not len(pairs):
        return []
    i, j = pairs[:, 0], pairs[:, 1]
    step = points.at[j] - points.at[i]
    distance = np.hypot(step[:, 0], step[:, 1])
    heading = np.arctan2(step[:, 1], step[:, 0])
    bend_i, side_i = _off(heading, points.angle[i])
    bend_j, side_j = _off(heading, points.angle[j])
    turn = np.abs(_off(points.angle[i], points.angle[j])[0])
    fits = (np.abs(bend_i) < _LINK_RADIANS) & (np.abs(bend_j) < _LINK_RADIANS) & (turn < _LINK_RADIANS)
    # A bend costs as much as distance: 0.35 rad at both ends doubles it.
    cost = distance / spacing * (1 + 4 * (bend_i**2 + bend_j**2) + 2 * turn**2)
    i, j, cost, side_i, side_j = i[fits], j[fits], cost[fits], side_i[fits], side_j[fits]
    # The slot of a point: 0 ahead, 1 behind, in its own direction. The other point lies on the opposite side of j.
    ends = np.column_stack([2 * i + (side_i < 0), 2 * j + (side_j > 0)])
    return [slots // 2 for slots in runs_of(ends[np.argsort(cost, kind="stable")], len(points))]


def _off(heading: FloatArray, angle: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return how far headings are off lines, in (-pi/2, pi/2], and +1 ahead or -1 behind."""
    turned = np.mod(heading - angle + np.pi, 2 * np.pi) - np.pi
    ahead = np.abs(turned) <= np.pi / 2
    bend = np.where(ahead, turned, turned - np.sign(turned) * np.pi)
    return bend, np.where(ahead, 1.0, -1.0)


def _full(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the difference of two headings, in [-pi, pi)."""
    return np.asarray(np.mod(first - second + np.pi, 2 * np.pi) - np.pi)


def _mean_heat(path: FloatArray, heat: npt.NDArray[np.floating]) -> float:
    one = Filament.through(path)
    at, _ = one.at(np.arange(0, one.length, 0.7))
    # The hottest of the cells around: the heat of a thin line on a coarse grid dips between cells.
    columns = np.clip(np.rint(at[:, 0]).astype(int), 0, heat.shape[1] - 1)
    rows = np.clip(np.rint(at[:, 1]).astype(int), 0, heat.shape[0] - 1)
    return float(heat[rows, columns].mean())


def _smoothed(path: FloatArray) -> FloatArray:
    """Return the path with the scatter of single points taken out; ends stay."""
    if len(path) < 4:
        return path
    for _ in range(2):
        inner = 0.25 * path[:-2] + 0.5 * path[1:-1] + 0.25 * path[2:]
        path = np.concatenate([path[:1], inner, path[-1:]])
    return path


def _unbent(path: FloatArray, chain: Indices, limit: float) -> list[Indices]:
    """Return the parts of a chain between places where it bends more than `limit`, rad per cell."""
    if len(chain) < 5:
        return [chain]
    smooth = _smoothed(path)
    # Over chords of two steps, so that the scatter of single points is not a bend.
    ahead, behind = smooth[4:] - smooth[2:-2], smooth[2:-2] - smooth[:-4]
    turn = np.abs(_full(np.arctan2(ahead[:, 1], ahead[:, 0]), np.arctan2(behind[:, 1], behind[:, 0])))
    length = (np.hypot(ahead[:, 0], ahead[:, 1]) + np.hypot(behind[:, 0], behind[:, 1])) / 2
    bad = np.flatnonzero(turn > limit * np.maximum(length, 1e-6)) + 2
    if not len(bad):
        return [chain]
    parts = np.split(chain, bad)
    return [part for part in parts if len(part) > 1]


def _cut_at_crossings(found: list[Filament], tracing: Tracing, width: float) -> list[Filament]:
    """Return the filaments without what lies near another one that is turned against them."""
    fine = [one.resampled(0.25 * width) for one in found]
    if not fine:
        return []
    at = np.concatenate([one.points for one in fine])
    number = np.repeat(np.arange(len(fine)), [len(one.points) for one in fine])
    pairs = cKDTree(at).query_pairs(max(0.3, tracing.crossing_margin) * width, output_type="ndarray")
    pairs = pairs[number[pairs[:, 0]] != number[pairs[:, 1]]]
    angle = np.concatenate([one.at(one.track)[1] for one in fine])
    turned = np.abs(_off(angle[pairs[:, 0]], angle[pairs[:, 1]])[0]) > 0.3
    cut = np.zeros(len(at), bool)
    cut[pairs[turned].ravel()] = True
    result, start = [], 0
    for one in fine:
        stop = start + len(one.points)
        keep = ~cut[start:stop]
        edges = np.flatnonzero(np.diff(np.concatenate([[False], keep, [False]]).astype(np.int8)))
        for low, high in zip(edges[::2], edges[1::2], strict=True):
            if high - low > 1:
                part = Filament.through(one.points[low:high], width=one.width, confidence=one.confidence)
                if part.length >= tracing.minimum_length * width:
                    result.append(part)
        start = stop
    return result
