"""Read labels that come from a classification or a refinement: the particles that stayed, and those that were rejected.

Particles that stayed lie where the refinement found them. Rejected ones lie where they were picked, because there a
model must become less sure; a shift towards a bad average means nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
from scipy.spatial import cKDTree

from vitripick.errors import InputError, parameter
from vitripick.formats import pair_labels, read_all_picks
from vitripick.formats.picks.recentre import of_classes
from vitripick.geometry import Boxes, FloatArray
from vitripick.settings.train import TrainingSet

log = logging.getLogger("vitripick")

# The same particle has the same coordinates in every file of a run, except for rounding.
_SAME_PX = 0.5
# A rejected particle this near to one that stayed, in diameters, is probably the same particle picked twice, so it is
# not used.
_TOO_NEAR_DIAMETERS = 0.5


def read_labels(entry: TrainingSet) -> list[Boxes]:
    """Return the labels of a set as they are in their file, only those of the wanted classes."""
    labels = read_all_picks(entry.labels, box_size_px=entry.box_size_px, keep_coordinates=True)
    return of_classes(labels, entry.classes, entry.labels) if entry.classes else labels


def read_rejected(
    entry: TrainingSet, stood: Mapping[str, Boxes], labels: Mapping[str, Boxes], *, diameter_px: float
) -> dict[str, FloatArray]:
    """Return the places of the rejected particles by micrograph, (n, 2) each, in full-size pixels.

    Parameters
    ----------
    entry
        The set; without `rejected` there are none.
    stood
        The labels by micrograph, as they are in their file, so that rows of the same particle have the same
        coordinates.
    labels
        The labels by micrograph, where their particles are.
    diameter_px
        Median size of the labels' boxes.

    Raises
    ------
    InputError
        If the file has no particle on the labelled micrographs that is not a label.
    """
    if entry.rejected is None:
        return {}
    parts = read_all_picks(entry.rejected, keep_coordinates=True)
    pairing = pair_labels(list(stood), parts)
    if pairing.unmatched_labels:
        log.warning(
            "%s: %d micrographs here have no labels, such as %s; they are not used",
            entry.rejected,
            len(pairing.unmatched_labels),
            pairing.unmatched_labels[0],
        )
    places: dict[str, FloatArray] = {}
    n_near = 0
    for name, boxes in pairing.pairs.items():
        others = boxes.centres[_farther(boxes.centres, stood[name].centres, _SAME_PX)]
        far = _farther(others, labels[name].centres, _TOO_NEAR_DIAMETERS * diameter_px)
        n_near += int((~far).sum())
        places[name] = others[far]
    n = sum(map(len, places.values()))
    if not n:
        raise InputError(
            f"{entry.rejected}: none of its particles on the labelled micrographs was rejected: all of them are "
            f"among the labels, or within half a diameter of one. Give {parameter('rejected')} with all particles of "
            "the run, or with the rejected ones."
        )
    if n_near:
        log.warning(
            "%s: %d rejected particles lie within half a diameter of a label; they are not used", entry.rejected, n_near
        )
    n_micrographs = sum(len(own) > 0 for own in places.values())
    log.warning(
        "%s: %d rejected particles on %d micrographs are taught as background, where they were picked",
        entry.rejected,
        n,
        n_micrographs,
    )
    return places


def _farther(places: FloatArray, others: FloatArray, distance_px: float) -> np.ndarray:
    """Return which places have none of the others within a distance, (n,), bool."""
    if not len(places) or not len(others):
        return np.ones(len(places), bool)
    nearest, _ = cKDTree(others).query(places)
    return np.asarray(nearest > distance_px)
