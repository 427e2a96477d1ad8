"""Judge a micrograph by its traced filaments, in one line for sorting micrographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vitripick.geometry import Filaments
from vitripick.picking.quality import EDGE, EMPTY, rounded

OTHER_WIDTH = "another width"
# Lines that were left out as edges suggest a film of carbon where they are this long together, in shorter sides.
_EDGE_LENGTH = 0.33
# Of the width that is given, the network sees 0.91 to 1.11 where that is right (ten simulated fields), 1.05 to 1.35
# where 0.6 times the right one is given, and 0.80 to 1.05 where 1.7 times the right one is.
_WIDER, _NARROWER = 1.2, 0.87


@dataclass(frozen=True)
class FilamentQuality:
    """Says what the traced filaments show about one micrograph.

    Attributes
    ----------
    mean_confidence
        Mean confidence by length; None without filaments.
    covered_share
        Share of the area under filaments of the width they were traced at; it counts twice where two cross.
    seen_width_px
        Width that the network sees, the median over filaments; None if it is not known.
    bend_degrees
        Mean bend in one width of length; None without filaments.
    edge_length_px
        Length of the lines that were left out as edges of something dark; None if it is not known.
    suspected
        What the numbers above suggest: `empty`, `carbon edge`, `another width`; and `faint`, by the whole run. These
        are only suspicions, so the micrograph should be looked at.
    """

    mean_confidence: float | None
    covered_share: float | None
    seen_width_px: float | None
    bend_degrees: float | None
    edge_length_px: float | None
    suspected: tuple[str, ...] = ()


def assess_filaments(
    filaments: Filaments, *, width_px: float, seen_widths_px: Sequence[float] = (), edge_length_px: float | None = None
) -> FilamentQuality:
    """Return the quality of one micrograph.

    Parameters
    ----------
    filaments
        In full-size pixels, with the micrograph's shape.
    width_px
        The width that they were traced at.
    seen_widths_px
        The width that the network sees, one for each filament; empty if it is not known.
    edge_length_px
        Length of the lines that were left out as edges; None if it is not known.
    """
    shape = filaments.shape
    lengths = np.array([one.length for one in filaments])
    confidences = np.array([one.confidence for one in filaments])
    some = len(filaments) > 0
    seen = float(np.median(seen_widths_px)) if len(seen_widths_px) else None
    suspected = [] if some else [EMPTY]
    if shape is not None and edge_length_px is not None and edge_length_px >= _EDGE_LENGTH * min(shape):
        suspected.append(EDGE)
    if seen is not None and not _NARROWER < seen / width_px < _WIDER:
        suspected.append(OTHER_WIDTH)
    bends = [np.rad2deg(one.bend(width_px)) for one in filaments]
    return FilamentQuality(
        mean_confidence=rounded(float(np.average(confidences, weights=lengths)))
        if some and np.isfinite(confidences).all()
        else None,
        covered_share=None if not shape else rounded(min(1.0, filaments.length * width_px / (shape[0] * shape[1]))),
        seen_width_px=None if seen is None else round(seen, 2),
        bend_degrees=round(float(np.average(bends, weights=lengths)), 2) if some else None,
        edge_length_px=None if edge_length_px is None else round(edge_length_px, 1),
        suspected=tuple(suspected),
    )
