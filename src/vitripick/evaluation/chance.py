"""Compute the chance level: the score of picks at random places, to compare a figure with."""

from __future__ import annotations

import numpy as np

from vitripick.errors import InputError
from vitripick.geometry import Boxes, concatenate_boxes, remove_overlaps

_ROUNDS = 15
_RELAX = 0.95


def random_places(n: int, shape: tuple[int, int], *, diameter_px: float, generator: np.random.Generator) -> Boxes:
    """Return `n` boxes at random places of a micrograph, no two centres closer than `diameter_px`.

    Places are drawn one after the other and kept where nothing lies yet. That stops at about 55 % of the area covered,
    but labels on a crowded micrograph lie denser. The spacing of further places is then reduced by 5 % at a time, so
    there are always `n` places.

    Raises
    ------
    InputError
        If the micrograph has no pixels, or the diameter is not a positive finite number.

    Returns
    -------
    Boxes
        Square, `diameter_px` wide, without confidence, of this `shape`.
    """
    from scipy.spatial import cKDTree  # it takes an eighth of a second to load, and picking needs none

    n_rows, n_columns = shape
    # Without a pixel to put a place on, or with an infinite distance between places, the loop below would not end.
    if not (n_rows > 0 and n_columns > 0 and 0 < diameter_px < np.inf):
        raise InputError(
            f"a micrograph of {n_columns} x {n_rows} pixels has no places for particles of {diameter_px:g} pixels."
        )
    placed = Boxes.empty(shape=shape)
    spacing = diameter_px
    while len(placed) < n:
        for _ in range(_ROUNDS):
            n_candidates = 2 * (n - len(placed)) + 20
            candidates = Boxes.at(
                generator.uniform(-0.5, n_columns - 0.5, n_candidates),
                generator.uniform(-0.5, n_rows - 0.5, n_candidates),
                # The order of drawing serves as confidence, so the earlier place stays.
                confidence=np.linspace(1, 0, n_candidates),
                shape=shape,
            )
            if len(placed):
                nearest, _ = cKDTree(placed.centres).query(candidates.centres)
                candidates = candidates.select(nearest >= spacing)
            fresh = remove_overlaps(candidates, minimum_distance_px=spacing)
            placed = concatenate_boxes([placed, fresh.select(slice(0, n - len(placed)))])
            if len(placed) >= n:
                break
        spacing *= _RELAX
    return Boxes.at(placed.x, placed.y, size_px=diameter_px, shape=shape)
