"""What a micrograph is worth, as far as its picks and its junk map tell: one line each, to sort micrographs by."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from vitripick.atomic import write_text_atomically
from vitripick.geometry import Boxes, Image
from vitripick.picking.junk import IS_JUNK

if TYPE_CHECKING:
    from vitripick.picking.record import Record

# What a micrograph may be suspected of, in the order it is told.
EMPTY, MOSTLY_JUNK, EDGE, CONTAMINATED = "empty", "mostly junk", "carbon edge", "ice or contamination"

# Less of the clean ground than this under picks is next to nothing: one pick on 200 squares of a diameter's side, that
# is three on a micrograph of 5760 x 4092 pixels with particles of 180.
_EMPTY_COVER = 0.004
_MOSTLY = 0.5
# A carbon edge is one junk area that covers this share of the micrograph and runs along its border for this share of
# the shorter side. An ice crystal at the border is smaller, or compact.
_EDGE_SHARE, _EDGE_CONTACT = 0.04, 0.5
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
        The part of it that looks like a carbon edge: large areas along the border.
    n_on_junk
        Picks whose centre lies on junk.
    suspected
        Of `empty`, `mostly junk`, `carbon edge`, `ice or contamination`, what the numbers above suggest. A suspicion,
        no finding: look at the micrograph.
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
    """
    shape = picks.shape
    assert shape is not None
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
    elif n == 0 or (covered is not None and covered < _EMPTY_COVER):
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


def _edge_share(is_junk: Any) -> float:
    """Share of the area in connected parts that are large and run along the border."""
    n, parts = cv2.connectedComponents(is_junk.astype(np.uint8), connectivity=8)
    border = np.zeros(is_junk.shape, bool)
    border[[0, -1]] = border[:, [0, -1]] = True
    area = np.bincount(parts.ravel(), minlength=n)[1:]
    contact = np.bincount(parts[border], minlength=n)[1:]
    edges = (area >= _EDGE_SHARE * is_junk.size) & (contact >= _EDGE_CONTACT * min(is_junk.shape))
    return float(area[edges].sum() / is_junk.size)


def _n_on(is_junk: Any, picks: Boxes) -> int:
    assert picks.shape is not None
    row, column = (
        np.clip((at + 0.5) * n_cells / length, 0, n_cells - 1).astype(np.intp)
        for at, n_cells, length in zip((picks.y, picks.x), is_junk.shape, picks.shape, strict=True)
    )
    return int(is_junk[row, column].sum())


def _rounded(value: float | None) -> float | None:
    # Records must not differ in the last bit from machine to machine.
    return None if value is None else round(float(value), _DIGITS)


_COLUMNS = ("mean_confidence", "covered_share", "junk_share", "edge_junk_share", "n_on_junk")


def write_quality(path: Path, records: Sequence[Record]) -> None:
    """`quality.csv`: a line for each micrograph that is done, in the order given; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["micrograph", "path", "n_picks", "n_stored", *_COLUMNS, "suspected"])
    for record in records:
        quality = record.quality
        values = ["" if (v := getattr(quality, name, None)) is None else v for name in _COLUMNS]
        suspected = "; ".join(quality.suspected) if quality is not None else ""
        writer.writerow([record.name, record.path, record.n_picks, record.n_stored, *values, suspected])
    write_text_atomically(path, text.getvalue())


def in_words(records: Sequence[Record], *, n_named: int = 3) -> list[str]:
    """A few lines on a run: how many micrographs are suspected of what, the worst by name; none where all is well."""
    lines = []
    for word in (EMPTY, MOSTLY_JUNK, EDGE, CONTAMINATED):
        of = [record for record in records if record.quality is not None and word in record.quality.suspected]
        if not of:
            continue
        worst = sorted(of, key=_junk_first)[:n_named]
        named = ", ".join(_named(record) for record in worst) + (", …" if len(of) > n_named else "")
        lines.append(f"suspected {word}: {len(of)} ({named})")
    return lines


def _junk_first(record: Record) -> tuple[float, int]:
    quality = record.quality
    return -((quality.junk_share if quality is not None else None) or 0.0), record.n_picks


def _named(record: Record) -> str:
    quality = record.quality
    share = None if quality is None else quality.junk_share
    return record.name if not share else f"{record.name} {share:.0%} junk"
