"""Judge how good a micrograph is from its picks and its junk map, in one line for sorting micrographs."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from vitripick.geometry import IS_JUNK, Boxes, Image
from vitripick.json_toml import is_number

Mask: TypeAlias = npt.NDArray[np.bool_]

# A micrograph may be suspected of these, in the order of the output.
EMPTY, MOSTLY_JUNK, EDGE, CONTAMINATED = "empty", "mostly junk", "carbon edge", "ice or contamination"
FAINT = "faint"

# A micrograph is empty if picks, weighted by confidence, cover less than this share of its clean area. On 5760 x 4092
# pixels with particles of 180, that is four sure picks, or ten that are probably noise.
_EMPTY_COVER = 0.005
_MOSTLY = 0.5
# The network marks the edge of a carbon film in one of two ways. It may be a band that reaches the border. Such a band
# is at least _BAND_LENGTH of the shorter side long. It fills at most _BAND_FILLS of the square over its length, where a
# disc fills 0.39. Or the film behind the edge is marked too, and runs along the border for _ALONG of the shorter side.
# An ice crystal at the border is neither. Gaps up to _GAP of the shorter side do not divide a band. But the band itself
# must be at least _SOLID of its area with gaps and rim.
# These values were chosen by eye on 62 real micrographs. They find 8 film edges and nothing else, and miss three edges
# that cut off a small corner.
_BAND_LENGTH, _BAND_FILLS, _ALONG, _GAP, _SOLID = 0.33, 0.25, 0.5, 0.03, 0.2
# Some cameras and reductions leave a dark column or two at the border. So an area that lies almost wholly in the
# outermost two cells (a third of a diameter) of one side is not film either.
_RIM, _ALL_RIM = 2, 0.8
# Junk outside of carbon edges is mentioned from this share of the area.
_CONTAMINATED_SHARE = 0.1
_DIGITS = 4


@dataclass(frozen=True)
class Quality:
    """Says what picks and junk map show about one micrograph.

    Attributes
    ----------
    threshold
        Picks at or above it count here.
    diameter_px
        Diameter of the particle, in full-size pixels, that `covered_share` was calculated with.
    mean_confidence
        Mean confidence of the picks; None without picks.
    covered_share
        Share of the area without junk that lies under picks, which are circles of the particle's diameter. None if the
        diameter is unknown or everything is junk. Where picks overlap, the shared area counts twice, but never above 1.
    junk_share
        Share of the micrograph's area that is junk. This and the next two are None if the network has no junk map.
    edge_junk_share
        Share of the micrograph's area that looks like the edge of a carbon film: long areas that reach the border.
    n_on_junk
        Number of picks that have their centre on junk.
    suspected
        What the numbers above suggest: `empty`, `mostly junk`, `carbon edge`, `ice or contamination`; and `faint` from
        `within_run`. These are only suspicions, so the micrograph should be looked at.
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
        """Return the quality from JSON; None if another version wrote it; it is then made from the stored picks."""
        try:
            suspected = tuple(fields["suspected"])
            numbers = {name: value for name, value in fields.items() if name != "suspected"}
            found = cls(**numbers, suspected=suspected)
        except (TypeError, KeyError):
            return None
        # A damaged record may hold anything under the right names.
        if found.threshold is None or not all(map(_is_number_or_none, numbers.values())):
            return None
        return found if all(isinstance(text, str) for text in suspected) else None

    def to_dict(self) -> dict[str, Any]:
        """Return the quality ready for JSON."""
        return {**asdict(self), "suspected": list(self.suspected)}


def assess(picks: Boxes, junk: Image | None, *, threshold: float, diameter_px: float | None) -> Quality:
    """Return the quality of one micrograph.

    Parameters
    ----------
    picks
        All stored picks, with the micrograph's shape.
    junk : (rows, columns), float32, or None
        Probability of junk, 0-1, over the whole micrograph from edge to edge, at any scale.
    threshold
        Picks below it do not count.
    diameter_px
        Diameter of the particle in full-size pixels; the size of the boxes if None.

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
        covered = min(1.0, n * np.pi / 4 * diameter_px**2 / clean_px)
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
        diameter_px=rounded(diameter_px) or None,
        mean_confidence=rounded(float(picks.confidence.mean())) if n else None,
        covered_share=rounded(covered),
        junk_share=rounded(junk_share),
        edge_junk_share=rounded(edge_share),
        n_on_junk=None if is_junk is None else _n_on(is_junk, picks),
        suspected=tuple(suspected),
    )


def _edge_share(is_junk: Mask) -> float:
    """Return the share of the area in parts that look like the edge of a carbon film."""
    side = min(is_junk.shape)
    gap = 1 + round(_GAP * side)
    joined = cv2.dilate(is_junk.astype(np.uint8), np.ones((gap, gap), np.uint8))
    n, parts, extents, _ = cv2.connectedComponentsWithStats(joined)
    share = 0.0
    for part in range(1, n):
        _, _, width, height, joined_area = extents[part]
        # Noise can have thousands of parts, so short ones are skipped first.
        if np.hypot(width, height) < _BAND_LENGTH * side:
            continue
        own = is_junk & (parts == part)
        if own.sum() < _SOLID * joined_area:
            continue  # these are specks that lie near one another
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


def rounded(value: float | None) -> float | None:
    """Return a value as records hold it, which must not differ in the last bit from machine to machine."""
    return None if value is None else round(float(value), _DIGITS)


def _is_number_or_none(value: Any) -> bool:
    return value is None or (is_number(value) and math.isfinite(value))
