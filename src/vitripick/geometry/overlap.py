"""Remove all but one of the picks that show the same particle."""

from __future__ import annotations

import numpy as np

from vitripick.geometry.boxes import Boxes


def remove_overlaps(picks: Boxes, *, minimum_distance_px: float) -> Boxes:
    """Keep the most confident of any picks whose centres are closer than `minimum_distance_px`.

    Picks are taken in falling confidence, so the result does not depend on the order of `picks`. Neighbours come from
    a k-d tree, which needs no n × n array, so the number of picks has no limit.

    Returns
    -------
    Boxes
        In falling confidence; no two centres closer than `minimum_distance_px`.
    """
    # Position breaks ties, so the order in which picks of equal confidence came does not matter.
    ranked = picks.select(np.lexsort((picks.x, picks.y, -picks.confidence)))
    if len(ranked) < 2 or minimum_distance_px <= 0:
        return ranked
    from scipy.spatial import cKDTree  # it takes a quarter of a second to load, and much needs no tree

    tree = cKDTree(ranked.centres)
    # query_pairs includes its radius, so a slightly smaller radius means "<", not "<=".
    pairs = tree.query_pairs(np.nextafter(minimum_distance_px, 0), output_type="ndarray")
    keep = np.ones(len(ranked), dtype=bool)
    # query_pairs gives i < j, and ranked is in falling confidence: i is the stronger one.
    for i, j in pairs[np.argsort(pairs[:, 0], kind="stable")]:
        if keep[i]:
            keep[j] = False
    return ranked.select(keep)
