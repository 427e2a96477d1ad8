"""Find where the membrane runs through a protein that was read from a file.

The membrane is the slab in which the surface is most hydrophobic. Lomize et al. (2006) place proteins in membranes by
their transfer energy; here the share of carbon against nitrogen and oxygen is enough.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from vitripick.errors import InputError, UsageError
from vitripick.simulation.structures.structure import Slab, Structure, directions_over_half_sphere

# Hydrophobic thickness of a membrane, Å.
_SLAB = 30.0


def finish_structure(structure: Structure, carbon: npt.NDArray[np.bool_] | None, where: Path | str) -> Structure:
    """Return a molecule that was read from a file, checked, and with its membrane if it has one.

    Parameters
    ----------
    structure
        The molecule as it was read.
    carbon : (n,), bool
        Which points are carbon atoms, where the file says so.
    where
        The file that messages name.

    Raises
    ------
    InputError
        If all points lie in one place.
    UsageError
        If it should be a membrane protein and no membrane fits it.
    """
    if not np.ptp(structure.points, axis=0).any():
        raise InputError(
            f"{where}: a single atom, or all of them in one place, is not a structure; give a whole molecule."
        )
    if structure.kind != "membrane" or structure.slab is not None:
        return structure
    try:
        return dataclasses.replace(structure, slab=find_slab(structure.points, carbon))
    except ValueError as error:
        raise UsageError(f"{where}: cannot be a membrane protein: {error}; give it another kind.") from error


def find_slab(points: npt.NDArray[Any], carbon: npt.NDArray[np.bool_] | None) -> Slab:
    """Return where the membrane runs through a protein.

    Parameters
    ----------
    points : (n, 3)
        Å, the origin on the molecule's centre.
    carbon : (n,), bool
        Which points are carbon atoms. Without it the result is a guess: one end of the longest axis.

    Returns
    -------
    Slab

    Raises
    ------
    ValueError
        If no part of the protein lies where the membrane would.
    """
    points = np.asarray(points, np.float64)
    if carbon is None:
        return _slab_at_the_end(points)
    distance, _ = cKDTree(points).query(points, k=min(25, len(points)), workers=1)
    # Atoms on the surface have their 24th neighbour farther away than those within.
    surface = distance[:, -1] > np.quantile(distance[:, -1], 0.6)
    outside, nonpolar = points[surface], carbon[surface].astype(np.float64)
    principal = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2]
    step, best = 3.0, (-1.0, principal[0], 0.0)
    width = round(_SLAB / step)
    for axis in np.concatenate([principal, directions_over_half_sphere(150)]):
        along = outside @ axis
        cells = np.floor((along - along.min()) / step).astype(int)
        n_cells = int(cells.max()) + 1
        if n_cells <= width:
            continue
        window = np.ones(width)
        n_all = np.convolve(np.bincount(cells, minlength=n_cells), window, mode="valid")
        n_carbon = np.convolve(np.bincount(cells, nonpolar, minlength=n_cells), window, mode="valid")
        # A slab across a thin end has few atoms and so any share by chance; it must hold a fifth of the surface.
        share = np.where(n_all > 0.2 * len(outside), n_carbon / np.maximum(n_all, 1), 0)
        at = int(share.argmax())
        if share[at] > best[0]:
            best = (float(share[at]), axis, float(along.min()) + (at + width / 2) * step)
    return _slab(points, best[1], best[2])


def _slab_at_the_end(points: npt.NDArray[np.float64]) -> Slab:
    """Return a slab across one end of the longest axis."""
    axis = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2][0]
    along = points @ axis
    return _slab(points, axis, float(np.quantile(along, 0.995)) - _SLAB / 2)


def _slab(points: npt.NDArray[np.float64], axis: npt.NDArray[np.float64], middle: float) -> Slab:
    """Return the slab across `axis` at `middle`, as wide as the points in it."""
    along = points @ axis
    within = points[np.abs(along - middle) < _SLAB / 2]
    if not len(within):
        raise ValueError("nothing of it lies where its membrane would")
    across = within - np.outer(within @ axis, axis)
    centre = across.mean(axis=0)
    return Slab(axis, middle, float(np.quantile(np.linalg.norm(across - centre, axis=1), 0.97)))
