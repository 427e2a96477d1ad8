"""Find points on centre lines in maps: sub-pixel places with a direction, thinned to an even spacing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from vitripick.geometry import FloatArray, angle_between, undirected

Map = npt.NDArray[np.floating]
# A place is the mean over cells within this many widths along and across.
_SMOOTH_WIDTHS = 0.3
# Points of one line are at least this far apart, in widths.
SPACING_WIDTHS = 0.4
# Two points of one place are two lines if their directions differ by more than this.
_OTHER_LINE_RADIANS = 0.5


@dataclass(frozen=True, eq=False)
class LineMaps:
    """Holds the values of each cell of a map.

    Attributes
    ----------
    heat : (rows, columns)
        Probability that a centre line runs here, 0-1.
    offset_x, offset_y : (rows, columns)
        From the middle of the cell to the centre line, in cells.
    cosine, sine : (rows, columns)
        Of twice the angle of the line, from x towards y; of any length.
    width : (rows, columns)
        Of the filament, in cells.
    """

    heat: Map
    offset_x: Map
    offset_y: Map
    cosine: Map
    sine: Map
    width: Map


@dataclass(frozen=True, eq=False)
class LinePoints:
    """Holds points on centre lines, in cells: (0, 0) is the middle of the first one.

    Attributes
    ----------
    at : (n, 2), float64
        x and y.
    angle : (n,), float64
        Direction of the line, rad, in (-pi/2, pi/2].
    heat, width : (n,), float64
    """

    at: FloatArray
    angle: FloatArray
    heat: FloatArray
    width: FloatArray

    def __len__(self) -> int:
        return len(self.at)


def line_points(maps: LineMaps, *, floor: float, typical_width: float) -> LinePoints:
    """Return points on the centre lines, about 0.4 widths apart along each line.

    Parameters
    ----------
    maps
        Of one micrograph.
    floor
        Cells of a lower heat are left out.
    typical_width
        In cells; it decides how far cells are averaged.
    """
    rows, columns = np.nonzero(maps.heat >= floor)
    if not len(rows):
        empty = np.empty(0)
        return LinePoints(np.empty((0, 2)), empty, empty, empty)
    heat = maps.heat[rows, columns].astype(np.float64)
    # An offset longer than half a width is not a measurement.
    reach = max(1.5, 0.6 * typical_width)
    offset = np.column_stack([maps.offset_x[rows, columns], maps.offset_y[rows, columns]]).astype(np.float64)
    length = np.hypot(offset[:, 0], offset[:, 1])
    offset *= (np.minimum(length, reach) / np.maximum(length, 1e-9))[:, None]
    at = np.column_stack([columns, rows]) + offset
    twice = np.column_stack([maps.cosine[rows, columns], maps.sine[rows, columns]]).astype(np.float64)
    angle = undirected(np.arctan2(twice[:, 1], twice[:, 0]) / 2)
    width = maps.width[rows, columns].astype(np.float64)
    tree = cKDTree(at)
    kept = _thinned(at, angle, heat, max(0.8, SPACING_WIDTHS * typical_width))
    return _averaged(at, angle, heat, width, tree, kept, max(1.0, _SMOOTH_WIDTHS * typical_width))


def _thinned(at: FloatArray, angle: FloatArray, heat: FloatArray, spacing: float) -> npt.NDArray[np.intp]:
    """Return which points stay: the hottest first, and no other of the same direction within the spacing."""
    # Cells of a grid as wide as the spacing: only the 25 around a point hold points that are near it.
    cell = np.floor(at / spacing).astype(np.int64)
    buckets: dict[tuple[int, int], list[int]] = {}
    kept: list[int] = []
    limit = spacing * spacing
    xs, ys, turns = at[:, 0].tolist(), at[:, 1].tolist(), angle.tolist()
    half = np.pi / 2
    for i in np.argsort(-heat, kind="stable").tolist():
        a, b = int(cell[i, 0]), int(cell[i, 1])
        free = True
        for p in (a - 1, a, a + 1):
            for q in (b - 1, b, b + 1):
                for j in buckets.get((p, q), ()):
                    dx, dy = xs[i] - xs[j], ys[i] - ys[j]
                    if dx * dx + dy * dy < limit:
                        turned = abs(turns[i] - turns[j])
                        if min(turned, 2 * half - turned) < _OTHER_LINE_RADIANS:
                            free = False
                            break
                if not free:
                    break
            if not free:
                break
        if free:
            buckets.setdefault((a, b), []).append(i)
            kept.append(i)
    return np.array(kept, np.intp)


def _averaged(
    at: FloatArray,
    angle: FloatArray,
    heat: FloatArray,
    width: FloatArray,
    tree: cKDTree,
    kept: npt.NDArray[np.intp],
    radius: float,
) -> LinePoints:
    """Return the kept points, each moved across its line to the mean of its neighbours of the same direction."""
    pairs = cKDTree(at[kept]).sparse_distance_matrix(tree, radius, output_type="coo_matrix")
    i, j = pairs.row, pairs.col
    same = angle_between(angle[kept[i]], angle[j]) < _OTHER_LINE_RADIANS
    i, j = i[same], j[same]
    weight = heat[j] ** 2
    n = len(kept)
    total = np.bincount(i, weight, n) + 1e-12
    cosine = np.bincount(i, weight * np.cos(2 * angle[j]), n)
    sine = np.bincount(i, weight * np.sin(2 * angle[j]), n)
    turned = undirected(np.arctan2(sine, cosine) / 2)
    mean = np.column_stack([np.bincount(i, weight * at[j, axis], n) / total for axis in (0, 1)])
    across = np.column_stack([-np.sin(turned), np.cos(turned)])
    moved = at[kept] + across * np.sum((mean - at[kept]) * across, axis=1)[:, None]
    best = np.zeros(n)
    np.maximum.at(best, i, heat[j])
    return LinePoints(moved, turned, best, np.bincount(i, weight * width[j], n) / total)
