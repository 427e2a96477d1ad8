"""What a micrograph is worth, as far as its picks and its junk map tell: one line each, to sort micrographs by."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from vitripick.geometry import IS_JUNK, Boxes, Image

Mask: TypeAlias = npt.NDArray[np.bool_]

# What a micrograph may be suspected of, in the order it is told.
EMPTY, MOSTLY_JUNK, EDGE, CONTAMINATED = "empty", "mostly junk", "carbon edge", "ice or contamination"
FAINT = "faint"

# Less of the clean ground than this under picks, each counted by its confidence, is next to nothing: on a micrograph of
# 5760 x 4092 pixels with particles of 180, four that are sure or ten that may well be noise.
_EMPTY_COVER = 0.005
_MOSTLY = 0.5
# The edge of a carbon film is marked as a band that reaches the border, at least this share of the shorter side long
# and filling at most this share of the square over its length (a disc fills 0.39 of that); or with the film behind it,
# which then runs along this share of the border. An ice crystal at the border is neither. Small gaps do not part a
# band, as long as it is so much of what it is with its gaps and a rim. Chosen by eye on 62 real micrographs: 8 film
# edges found and nothing else called one, three missed that cut off a small corner.
_BAND_LENGTH, _BAND_FILLS, _ALONG, _GAP, _SOLID = 0.33, 0.25, 0.5, 0.03, 0.2
# What lies nearly whole in the outermost two cells (a third of a diameter) of one side is no film either: a dark column
# or two, as some cameras and reductions leave there.
_RIM, _ALL_RIM = 2, 0.8
# Junk elsewhere than in a carbon edge that is worth a word.
_CONTAMINATED_SHARE = 0.1
_DIGITS = 4


@dataclass(frozen=True)
class Quality:
    """What picks and junk map tell about one micrograph.

    Attributes
    ----------
    threshold
        Picks at or above it count here.
    diameter_px
        Of the particle, in full-size pixels: what `covered_share` was reckoned with.
    mean_confidence
        Of the picks; None without picks.
    covered_share
        Of the ground that is not junk: how much lies under picks, circles of the particle's diameter. None where the
        diameter is unknown or all is junk. Above 1 if picks overlap.
    junk_share
        Of the micrograph's area; None where the network does not say what is junk, as the two below.
    edge_junk_share
        The part of it that looks like the edge of a carbon film: long areas that reach the border.
    n_on_junk
        Picks whose centre lies on junk.
    suspected
        Of `empty`, `mostly junk`, `carbon edge`, `ice or contamination`, what the numbers above suggest; and `faint`
        from `within_run`. A suspicion, no finding: look at the micrograph.
    """

    threshold: float
    diameter_px: float | None
    mean_confidence: float | None
    covered_share: float | None
    junk_share: float | None = None
    edge_junk_share: float | None = None
    n_on_junk: int | None = None
    suspected: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, fields: Any) -> Quality | None:
        """From JSON; None for what is no quality line of this version: it is made anew from what is stored."""
        try:
            return cls(**{**fields, "suspected": tuple(fields["suspected"])})
        except (TypeError, KeyError):
            return None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "suspected": list(self.suspected)}


def assess(picks: Boxes, junk: Image | None, *, threshold: float, diameter_px: float | None) -> Quality:
    """The quality line of one micrograph.

    Parameters
    ----------
    picks
        All that are stored, with the micrograph's shape.
    junk : (rows, columns), float32, or None
        0-1, over the whole micrograph from edge to edge, at any scale.
    threshold
        Picks below it do not count.
    diameter_px
        Of the particle in full-size pixels; that of the boxes where None.

    Raises
    ------
    ValueError
        If the picks come without the micrograph's shape.
    """
    shape = picks.shape
    if shape is None:
        raise ValueError("picks must come with their micrograph's shape: picks.of(shape=...)")
    picks = picks.above(threshold)
    n = len(picks)
    if diameter_px is None and n and np.isfinite(picks.box_size_px):
        diameter_px = picks.box_size_px
    is_junk = None if junk is None else junk >= IS_JUNK
    junk_share = None if is_junk is None else float(is_junk.mean())
    edge_share = None if is_junk is None else _edge_share(is_junk)
    clean_px = shape[0] * shape[1] * (1 - (junk_share or 0.0))
    covered = None
    if diameter_px and clean_px > 0:
        covered = n * np.pi / 4 * diameter_px**2 / clean_px
    suspected = []
    if junk_share is not None and junk_share >= _MOSTLY:
        suspected.append(MOSTLY_JUNK)
    elif n == 0 or (covered is not None and covered * float(picks.confidence.mean()) < _EMPTY_COVER):
        suspected.append(EMPTY)
    if edge_share:
        suspected.append(EDGE)
    if junk_share is not None and junk_share - (edge_share or 0.0) >= _CONTAMINATED_SHARE:
        suspected.append(CONTAMINATED)
    return Quality(
        threshold=threshold,
        diameter_px=_rounded(diameter_px) or None,
        mean_confidence=_rounded(float(picks.confidence.mean())) if n else None,
        covered_share=_rounded(covered),
        junk_share=_rounded(junk_share),
        edge_junk_share=_rounded(edge_share),
        n_on_junk=None if is_junk is None else _n_on(is_junk, picks),
        suspected=tuple(suspected),
    )


def _edge_share(is_junk: Mask) -> float:
    """Share of the area in parts that look like the edge of a carbon film."""
    side = min(is_junk.shape)
    gap = 1 + round(_GAP * side)
    joined = cv2.dilate(is_junk.astype(np.uint8), np.ones((gap, gap), np.uint8))
    n, parts, extents, _ = cv2.connectedComponentsWithStats(joined)
    share = 0.0
    for part in range(1, n):
        _, _, width, height, joined_area = extents[part]
        # Noise can have thousands of parts, of which hardly any is long.
        if np.hypot(width, height) < _BAND_LENGTH * side:
            continue
        own = is_junk & (parts == part)
        if own.sum() < _SOLID * joined_area:
            continue  # specks that lie near to one another
        rows, columns = np.nonzero(own)
        length = np.hypot(np.ptp(rows) + 1, np.ptp(columns) + 1)
        from_border = min(rows.min(), columns.min(), *(np.array(own.shape) - 1 - (rows.max(), columns.max())))
        is_band = length >= _BAND_LENGTH * side and from_border < gap and len(rows) <= _BAND_FILLS * length**2
        contact = sum(int(cells.sum()) for cells in (own[0], own[-1], own[:, 0], own[:, -1]))
        rim = max(int(cells.sum()) for cells in (own[:_RIM], own[-_RIM:], own[:, :_RIM], own[:, -_RIM:]))
        if (is_band or contact >= _ALONG * side) and rim < _ALL_RIM * len(rows):
            share += len(rows) / is_junk.size
    return share


def _n_on(is_junk: Mask, picks: Boxes) -> int:
    assert picks.shape is not None
    row, column = (
        np.clip((at + 0.5) * n_cells / length, 0, n_cells - 1).astype(np.intp)
        for at, n_cells, length in zip((picks.y, picks.x), is_junk.shape, picks.shape, strict=True)
    )
    return int(is_junk[row, column].sum())


def _rounded(value: float | None) -> float | None:
    # Records must not differ in the last bit from machine to machine.
    return None if value is None else round(float(value), _DIGITS)
