"""Join pieces of lines to whole ones: cut them where lines meet, and join arms that point at each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from vitripick.geometry import Filament, FloatArray
from vitripick.tracing.links import Indices, runs_of
from vitripick.tracing.maps import LinePoints

# Two lines nearer than this many widths meet: neither place nor direction of either is certain there.
_MEET_WIDTHS = 0.6
# Lines that meet over more than this run side by side, and stay as they are.
_LONGEST_MEETING_WIDTHS = 7.0
# A shorter piece between two meetings may belong to both lines, so it joins only what is left.
_SHARED_WIDTHS = 4.0
# The direction of an end is that of a line through this many points.
_END_POINTS = 6


@dataclass(frozen=True, eq=False)
class _Arm:
    """Holds a piece of a line between meetings.

    Attributes
    ----------
    path : (n,)
        Points in order.
    before, after
        Points in order, cut off at either end because lines meet there; used where nothing is joined.
    shared
        Whether it may belong to two lines.
    """

    path: Indices
    before: Indices
    after: Indices
    shared: bool

    def turned(self) -> _Arm:
        return _Arm(self.path[::-1], self.after[::-1], self.before[::-1], self.shared)


def joined(
    chains: list[Indices], points: LinePoints, heat: npt.NDArray[np.floating], *, longest_gap: float, width: float
) -> list[Indices]:
    """Return the pieces, joined end to end where they go on: over gaps and through crossings.

    Parameters
    ----------
    chains
        Points in order, for each piece.
    points
        On centre lines, in cells.
    heat : (rows, columns)
        Probability that a line runs there.
    longest_gap
        In widths, of what has no heat; a gap that is hot all over may be as long as a meeting of two lines.
    width
        Of the filaments, in cells.
    """
    arms = _arms(chains, points, width)
    first = _linked([one for one in arms if not one.shared], points, heat, longest_gap, width, through_heat=True)
    left = _uncovered([one for one in arms if one.shared], first, points, width)
    whole = _linked([*first, *left], points, heat, longest_gap, width, through_heat=False)
    return [np.concatenate([one.before, one.path, one.after]) for one in whole]


def _arms(chains: list[Indices], points: LinePoints, width: float) -> list[_Arm]:
    chains = [chain for chain in chains if len(chain) > 1]
    if not chains:
        return []
    flat = np.concatenate(chains)
    which = np.repeat(np.arange(len(chains)), [len(chain) for chain in chains])
    pairs = cKDTree(points.at[flat]).query_pairs(_MEET_WIDTHS * width, output_type="ndarray")
    met = np.zeros(len(flat), bool)
    met[pairs[which[pairs[:, 0]] != which[pairs[:, 1]]].ravel()] = True
    arms, start = [], 0
    for chain in chains:
        arms += _parts(chain, met[start : start + len(chain)], points, width)
        start += len(chain)
    return arms


def _parts(chain: Indices, met: npt.NDArray[np.bool_], points: LinePoints, width: float) -> list[_Arm]:
    """Return the rest of a chain without its meetings; the whole chain if nothing is left."""
    edges = np.flatnonzero(np.diff(met.astype(np.int8))) + 1
    runs = np.split(np.arange(len(chain)), edges)
    keep = [not met[run[0]] or _length(points.at[chain[run]]) > _LONGEST_MEETING_WIDTHS * width for run in runs]
    keep = [kept and len(run) > 1 for kept, run in zip(keep, runs, strict=True)]
    if not any(keep):
        return [_Arm(chain, chain[:0], chain[:0], False)]
    arms = []
    for low, high in _blocks(keep):
        path = chain[runs[low][0] : runs[high - 1][-1] + 1]
        before = chain[: runs[low][0]] if not any(keep[:low]) else _second_half(chain, runs, keep, low)
        after = chain[runs[high - 1][-1] + 1 :] if not any(keep[high:]) else _first_half(chain, runs, keep, high)
        inner = any(keep[:low]) and any(keep[high:])
        arms.append(_Arm(path, before, after, inner and _length(points.at[path]) < _SHARED_WIDTHS * width))
    return arms


def _blocks(keep: list[bool]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.array([False, *keep, False]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _second_half(chain: Indices, runs: list[Indices], keep: list[bool], low: int) -> Indices:
    first = max(i for i in range(low) if keep[i])
    gap = chain[runs[first][-1] + 1 : runs[low][0]]
    return gap[(len(gap) + 1) // 2 :]


def _first_half(chain: Indices, runs: list[Indices], keep: list[bool], high: int) -> Indices:
    last = min(i for i in range(high, len(keep)) if keep[i])
    gap = chain[runs[high - 1][-1] + 1 : runs[last][0]]
    return gap[: (len(gap) + 1) // 2]


def _length(path: FloatArray) -> float:
    return float(np.hypot(*np.diff(path, axis=0).T).sum())


def _uncovered(arms: list[_Arm], whole: list[_Arm], points: LinePoints, width: float) -> list[_Arm]:
    """Return the arms over whose middle no joined line runs: others are a part of it."""
    if not (arms and whole):
        return arms
    step = 0.25 * width
    at = [Filament.through(points.at[one.path]).resampled(step).points for one in whole]
    middles = np.array([points.at[arm.path].mean(axis=0) for arm in arms])
    distance, _ = cKDTree(np.concatenate(at)).query(middles)
    return [arm for arm, far in zip(arms, distance, strict=True) if far > _MEET_WIDTHS * width]


def _linked(
    arms: list[_Arm],
    points: LinePoints,
    heat: npt.NDArray[np.floating],
    longest_gap: float,
    width: float,
    *,
    through_heat: bool,
) -> list[_Arm]:
    """Return the arms, joined to longer ones where their ends point at each other."""
    if len(arms) < 2:
        return arms
    tips, ways = np.empty((2 * len(arms), 2)), np.empty(2 * len(arms))
    for number, arm in enumerate(arms):
        for side, path in enumerate((arm.path[::-1], arm.path)):  # 0 ahead: the last point; 1 behind: the first
            tips[2 * number + side], ways[2 * number + side] = _end(points.at[path[:_END_POINTS]])
    reach = max(longest_gap, _LONGEST_MEETING_WIDTHS) if through_heat else longest_gap
    pairs = cKDTree(tips).query_pairs(reach * width, output_type="ndarray")
    pairs = pairs[pairs[:, 0] // 2 != pairs[:, 1] // 2]
    a, b = pairs[:, 0], pairs[:, 1]
    step = tips[b] - tips[a]
    distance = np.hypot(step[:, 0], step[:, 1]) / width
    heading = np.arctan2(step[:, 1], step[:, 0])
    # Ends that have grown past one another lie behind each other; a short overlap is not a gap.
    short = distance < 0.5
    turn = _full(ways[a], ways[b] + np.pi)
    bend_a = np.where(short, 0.0, _full(heading, ways[a]))
    bend_b = np.where(short, 0.0, _full(heading, ways[b] + np.pi))
    limit = 0.12 + 0.5 / (1 + distance)
    fits = (np.abs(turn) < 0.2 + 0.7 / (1 + distance)) & (np.abs(bend_a) < limit) & (np.abs(bend_b) < limit)
    lack = distance * (1 - _heat_between(tips[a], tips[b], heat))
    fits &= lack <= longest_gap
    cost = 0.1 * distance + lack + 6 * (bend_a**2 + bend_b**2) + 3 * turn**2
    order = np.argsort(cost[fits], kind="stable")
    return [
        _chained([arms[s // 2] if s % 2 else arms[s // 2].turned() for s in run])
        for run in runs_of(np.column_stack([a[fits], b[fits]])[order], len(arms))
    ]


def _chained(arms: list[_Arm]) -> _Arm:
    """Return arms in order as one; what was cut off between them is left to the straight way from one to the next."""
    path = np.concatenate([arm.path for arm in arms])
    return _Arm(path, arms[0].before, arms[-1].after, False)


def _end(path: FloatArray) -> tuple[FloatArray, float]:
    """Return the first point, and the direction in which a line through all leaves by it, rad."""
    away = path[0] - path[-1]
    if len(path) > 2:
        _, _, axes = np.linalg.svd(path - path.mean(axis=0), full_matrices=False)
        away = axes[0] * (1 if np.dot(axes[0], away) >= 0 else -1)
    return path[0], float(np.arctan2(away[1], away[0]))


def _full(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the difference of two headings, in [-pi, pi)."""
    return np.asarray(np.mod(first - second + np.pi, 2 * np.pi) - np.pi)


def _heat_between(first: FloatArray, second: FloatArray, heat: npt.NDArray[np.floating]) -> FloatArray:
    """Return the mean heat along straight lines, (n,)."""
    share = np.linspace(0, 1, 17)[None, :]
    x = first[:, :1] + share * (second[:, :1] - first[:, :1])
    y = first[:, 1:] + share * (second[:, 1:] - first[:, 1:])
    return np.asarray(map_coordinates(heat, [y, x], order=1, mode="nearest").mean(axis=1), np.float64)
