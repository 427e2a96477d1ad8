"""Where particles lie: at random, some in clusters, none through another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitripick.errors import UsageError

# So many rounds of throws without a hit mean that the field is full; where that is an error, be sure.
_TRIES = 8
_TRIES_IF_INSISTING = 400


@dataclass(frozen=True, eq=False)
class Placed:
    """Centres of what found a place.

    Attributes
    ----------
    x, y : (m,), float64
        In pixels of the field.
    index : (m,), intp
        Which of the diameters that were asked for.
    """

    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    index: npt.NDArray[np.intp]


def place(
    diameters_px: npt.NDArray[np.float64],
    shape: tuple[int, int],
    rng: np.random.Generator,
    *,
    spacing: float = 0.9,
    rim_px: float = 0.0,
    clustering: float = 0.0,
    forbidden: npt.NDArray[np.bool_] | None = None,
    taken: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None,
    insist: bool = False,
) -> Placed:
    """Throw discs one after another; each stays where it keeps its distance from all before (random sequential).

    Parameters
    ----------
    diameters_px : (n,)
        Of each particle.
    shape
        (rows, columns) of the micrograph.
    rng
        Source of all randomness.
    spacing
        Two centres are never nearer than half the sum of their diameters times this: 1 keeps the enclosing spheres
        apart, 0.6 lets molecules touch and overlap in projection.
    rim_px
        If positive, centres lie in a band of this width *around* the micrograph instead, so that the border cuts
        particles whose centres are outside.
    clustering
        Share of particles that are thrown near one that lies already.
    forbidden : (rows, columns), bool
        No centre where this is true.
    taken
        x, y and diameter of what lies there before.
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
        # Some at a time, few enough that clusters can grow on what lies already; the last ones throw several times.
        some = np.resize(waiting[: max(16, (n - n_before) // 2)], max(32, min(len(waiting), (n - n_before) // 2)))
        at_x, at_y = _throw(len(some), shape, rng, rim_px)
        near = np.flatnonzero(rng.random(len(some)) < clustering) if n > n_before else np.empty(0, np.intp)
        if len(near):
            partner = rng.integers(n_before, n, len(near))
            angle = rng.uniform(0, 2 * np.pi, len(near))
            reach = 0.5 * (diameters_px[some[near]] + d[partner]) * spacing * rng.uniform(1.0, 1.3, len(near))
            at_x[near], at_y[near] = x[partner] + reach * np.cos(angle), y[partner] + reach * np.sin(angle)
        free = _may_lie(at_x, at_y, shape, rim_px, forbidden)
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
            f"{shape[1]} x {shape[0]} pixels at a spacing of {spacing:g} diameters: ask for fewer, a smaller spacing, "
            "less contamination or a larger micrograph."
        )
    return Placed(x[n_before:n].copy(), y[n_before:n].copy(), np.array(index, np.intp))


def _throw(
    n: int, shape: tuple[int, int], rng: np.random.Generator, rim_px: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    rows, columns = shape
    at = rng.random((2, n))
    return at[0] * (columns - 1 + 2 * rim_px) - rim_px, at[1] * (rows - 1 + 2 * rim_px) - rim_px


def _may_lie(
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    shape: tuple[int, int],
    rim_px: float,
    forbidden: npt.NDArray[np.bool_] | None,
) -> npt.NDArray[np.bool_]:
    rows, columns = shape
    inside = (x >= 0) & (x <= columns - 1) & (y >= 0) & (y <= rows - 1)
    if rim_px > 0:
        return (
            ~inside
            & (np.abs(x - (columns - 1) / 2) <= (columns - 1) / 2 + rim_px)
            & (np.abs(y - (rows - 1) / 2) <= (rows - 1) / 2 + rim_px)
        )
    if forbidden is not None:
        column = np.clip(np.rint(x), 0, columns - 1).astype(np.intp)
        row = np.clip(np.rint(y), 0, rows - 1).astype(np.intp)
        inside &= ~forbidden[row, column]
    return inside
