"""Choose where particles lie: at random, some in clusters, and never one through another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitripick.errors import UsageError

# After this number of rounds without a free place the field counts as full. If that is an error, more rounds are tried.
_TRIES = 8
_TRIES_IF_INSISTING = 400


@dataclass(frozen=True, eq=False)
class PlacementArea:
    """Describes where centres may lie.

    Attributes
    ----------
    shape
        (rows, columns) of the micrograph.
    rim_px
        If positive, centres lie in a band of this width *around* the micrograph instead. The border cuts such
        particles, and their centres are outside.
    forbidden : (rows, columns), bool
        No centre lies where this is true.
    """

    shape: tuple[int, int]
    rim_px: float = 0.0
    forbidden: npt.NDArray[np.bool_] | None = None

    def throw(self, n: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return x and y of `n` random points in the micrograph and its rim, each (n,)."""
        rows, columns = self.shape
        at = rng.random((2, n))
        return (
            at[0] * (columns - 1 + 2 * self.rim_px) - self.rim_px,
            at[1] * (rows - 1 + 2 * self.rim_px) - self.rim_px,
        )

    def allows(self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Return whether a centre may lie at each point, (n,)."""
        rows, columns = self.shape
        inside = (x >= 0) & (x <= columns - 1) & (y >= 0) & (y <= rows - 1)
        if self.rim_px > 0:
            return (
                ~inside
                & (np.abs(x - (columns - 1) / 2) <= (columns - 1) / 2 + self.rim_px)
                & (np.abs(y - (rows - 1) / 2) <= (rows - 1) / 2 + self.rim_px)
            )
        if self.forbidden is not None:
            column = np.clip(np.rint(x), 0, columns - 1).astype(np.intp)
            row = np.clip(np.rint(y), 0, rows - 1).astype(np.intp)
            inside &= ~self.forbidden[row, column]
        return inside


@dataclass(frozen=True, eq=False)
class Placed:
    """Holds centres of the discs that found a place.

    Attributes
    ----------
    x, y : (m,), float64
        In pixels of the field.
    index : (m,), intp
        Which of the given diameters each one has.
    """

    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    index: npt.NDArray[np.intp]


def place(
    diameters_px: npt.NDArray[np.float64],
    area: PlacementArea,
    rng: np.random.Generator,
    *,
    spacing: float = 0.9,
    clustering: float = 0.0,
    taken: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None,
    insist: bool = False,
) -> Placed:
    """Place discs one after another; a disc stays if it keeps its distance from all earlier ones (random sequential).

    Parameters
    ----------
    diameters_px : (n,)
        Diameter of each particle.
    area
        Where their centres may lie.
    rng
        Source of all randomness.
    spacing
        Two centres are never nearer than half the sum of their diameters times this: 1 keeps the enclosing spheres
        apart, 0.6 lets molecules touch and overlap in projection.
    clustering
        Share of particles that are placed near an earlier one.
    taken
        x, y and diameter of earlier discs, each (m,).
    insist
        Whether a particle without a place is an error; otherwise it is left out.

    Returns
    -------
    Placed

    Raises
    ------
    UsageError
        If `insist` and the field is full.
    """
    before = taken if taken is not None else (np.empty(0), np.empty(0), np.empty(0))
    room = np.zeros(len(diameters_px))
    x, y, d = (np.concatenate([column, room]) for column in before)
    n_before = n = len(before[0])
    waiting = np.arange(len(diameters_px))
    index: list[int] = []
    throws = _TRIES_IF_INSISTING if insist else _TRIES
    while len(waiting) and throws > 0:
        # Only some discs are tried at a time, so that clusters can grow around earlier ones; the last ones are tried
        # several times.
        some = np.resize(waiting[: max(16, (n - n_before) // 2)], max(32, min(len(waiting), (n - n_before) // 2)))
        at_x, at_y = area.throw(len(some), rng)
        near = np.flatnonzero(rng.random(len(some)) < clustering) if n > n_before else np.empty(0, np.intp)
        if len(near):
            partner = rng.integers(n_before, n, len(near))
            angle = rng.uniform(0, 2 * np.pi, len(near))
            reach = 0.5 * (diameters_px[some[near]] + d[partner]) * spacing * rng.uniform(1.0, 1.3, len(near))
            at_x[near], at_y[near] = x[partner] + reach * np.cos(angle), y[partner] + reach * np.sin(angle)
        free = area.allows(at_x, at_y)
        size = diameters_px[some]
        nearest = 0.5 * spacing * (size[:, None] + d[:n])
        free &= ((at_x[:, None] - x[:n]) ** 2 + (at_y[:, None] - y[:n]) ** 2 >= nearest**2).all(axis=1)
        first = n
        for i in np.flatnonzero(free):
            new = slice(first, n)
            apart = 0.5 * spacing * (d[new] + size[i])
            alone = ((x[new] - at_x[i]) ** 2 + (y[new] - at_y[i]) ** 2 >= apart**2).all()
            if alone and some[i] not in index[first - n_before :]:
                x[n], y[n], d[n] = at_x[i], at_y[i], size[i]
                index.append(int(some[i]))
                n += 1
        placed = n > first
        if placed:
            waiting = np.setdiff1d(waiting, index[first - n_before :], assume_unique=True)
            throws = _TRIES_IF_INSISTING if insist else _TRIES
        else:
            throws -= 1
    if insist and len(waiting):
        raise UsageError(
            f"only {len(index)} of {len(diameters_px)} particles of {float(diameters_px.max()):.0f} px fit into "
            f"{area.shape[1]} x {area.shape[0]} pixels at a spacing of {spacing:g} diameters: ask for fewer, a smaller "
            "spacing, less contamination or a larger micrograph."
        )
    return Placed(x[n_before:n].copy(), y[n_before:n].copy(), np.array(index, np.intp))
