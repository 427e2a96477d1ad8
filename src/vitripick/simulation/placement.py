"""Where particles lie: at random, some in clusters, none through another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitripick.errors import UsageError

# So many failed throws in a row for one particle mean that the field is full.
_TRIES = 200


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
    rows, columns = shape
    before = taken if taken is not None else (np.empty(0), np.empty(0), np.empty(0))
    room = np.zeros(len(diameters_px))
    x, y, d = (np.concatenate([column, room]) for column in before)
    n_before = n = len(before[0])
    index = []
    for i, diameter in enumerate(diameters_px):
        for _ in range(_TRIES):
            if n > n_before and rng.random() < clustering:
                near = rng.integers(n_before, n)
                angle = rng.uniform(0, 2 * np.pi)
                reach = 0.5 * (diameter + d[near]) * spacing * rng.uniform(1.0, 1.3)
                at_x, at_y = x[near] + reach * np.cos(angle), y[near] + reach * np.sin(angle)
            else:
                at_x = rng.uniform(-rim_px, columns - 1 + rim_px)
                at_y = rng.uniform(-rim_px, rows - 1 + rim_px)
            inside = 0 <= at_x <= columns - 1 and 0 <= at_y <= rows - 1
            if inside == (rim_px > 0):
                continue
            if inside and forbidden is not None and forbidden[round(at_y), round(at_x)]:
                continue
            nearest = 0.5 * (d[:n] + diameter) * spacing
            if np.all((x[:n] - at_x) ** 2 + (y[:n] - at_y) ** 2 >= nearest**2):
                x[n], y[n], d[n] = at_x, at_y, diameter
                index.append(i)
                n += 1
                break
        else:
            if insist:
                raise UsageError(
                    f"only {len(index)} of {len(diameters_px)} particles of {diameter:.0f} px fit into {columns} x {rows} "
                    f"pixels at a spacing of {spacing:g} diameters: ask for fewer, a smaller spacing or a larger "
                    "micrograph."
                )
    return Placed(x[n_before:n].copy(), y[n_before:n].copy(), np.array(index, np.intp))
