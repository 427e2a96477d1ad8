"""Give the report what it shows of a folder of traced filaments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vitripick.evaluation.filaments import FilamentEvaluation
from vitripick.geometry import FloatArray
from vitripick.pictures.curves import histogram_png


@dataclass(frozen=True, eq=False)
class ReportTraced:
    """Holds one line of a report on filaments: a micrograph, what was traced there, and its overlay (PNG).

    Attributes
    ----------
    lengths_px, confidences, bends_degrees, seen_widths_px
        One for each filament: its length, its confidence, its mean bend in one width of length, and the width that the
        network sees. The widths are empty if they are not known.
    n_segments
        Segments at the spacing of the run; None if it is not known.
    pixel_size
        Å per pixel; None if it is not known.
    judged
        How the filaments compare with labels, where there are any.
    """

    name: str
    lengths_px: Sequence[float]
    confidences: Sequence[float] = ()
    bends_degrees: Sequence[float] = ()
    seen_widths_px: Sequence[float] = ()
    width_px: float | None = None
    n_segments: int | None = None
    pixel_size: float | None = None
    mean_confidence: float | None = None
    covered_share: float | None = None
    seconds: float | None = None
    overlay_png: bytes | None = None
    warnings: tuple[str, ...] = ()
    suspected: tuple[str, ...] = ()
    judged: FilamentEvaluation | None = None


@dataclass(frozen=True, eq=False)
class ReportFilaments:
    """Holds what a report shows of one folder of traced filaments.

    Attributes
    ----------
    name
        Name of the run, usually its folder.
    micrographs
        In the order they are shown.
    evaluation
        How all traced filaments compare with labels; None without labels.
    leak
        Whether any of the labels was used in training, in the user's words.
    threshold
        Lowest mean confidence of a filament.
    settings
        Values to show as they are.
    failures
        What is known about each failure: "micrograph", "error".
    straightened_png
        Filaments straightened, one above the other.
    notes
        Sentences to show at the top.
    quality
        Lines that say how many micrographs are suspected of what.
    """

    name: str
    micrographs: list[ReportTraced]
    evaluation: FilamentEvaluation | None = None
    leak: str | None = None
    threshold: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)
    straightened_png: bytes | None = None
    notes: tuple[str, ...] = ()
    quality: tuple[str, ...] = ()


def filament_values(run: ReportFilaments, *, n_first: int) -> dict[str, Any]:
    """Return what the template shows of a folder of filaments; `n_first` pictures are open from the start."""
    rows = run.micrographs
    sizes = {row.pixel_size for row in rows if len(row.lengths_px)}
    size = next(iter(sizes)) if len(sizes) == 1 else None
    scale, unit = (1.0, "px") if size is None else (size / 10, "nm")
    lengths = scale * _all(rows, lambda row: row.lengths_px)
    widths = scale * _all(rows, lambda row: row.seen_widths_px)
    traced_at = {scale * row.width_px for row in rows if row.width_px is not None}
    bends = _all(rows, lambda row: row.bends_degrees)
    segments = [row.n_segments for row in rows]
    given = traced_at.pop() if len(traced_at) == 1 else None
    figures = (
        (lengths, f"length of a filament, {unit}", None, "", None),
        (widths, f"width of a filament, as the network sees it, {unit}", given, "traced at", None),
        (bends, "mean bend in one width of length, degrees", None, "", None),
        (_all(rows, lambda row: row.confidences), "mean confidence of a filament", run.threshold, "threshold", 1.0),
    )
    total = float(lengths.sum())
    long = unit == "nm" and total >= 10_000
    return {
        "is_filaments": True,
        "run": run,
        "n_filaments": len(lengths),
        "n_segments": sum(n or 0 for n in segments) if any(n is not None for n in segments) else None,
        "length": f"{total / 1000 if long else total:.4g} {'µm' if long else unit}",
        "median_length": f"{np.median(lengths):.4g} {unit}" if len(lengths) else "–",
        "median_width": f"{np.median(widths):.3g} {unit}" if len(widths) else "–",
        "median_bend": f"{np.median(bends):.2g}°" if len(bends) else "–",
        "n_empty": sum(not len(row.lengths_px) for row in rows),
        "n_suspected": sum(bool(row.suspected) for row in rows),
        "n_warned": sum(bool(row.warnings) for row in rows),
        "seconds": sum(row.seconds or 0.0 for row in rows),
        "scale": scale,
        "unit": unit,
        "histograms": [
            (label, _histogram(values, label, mark, word, end))
            for values, label, mark, word, end in figures
            if np.isfinite(values).any()
        ],
        "shown": (shown := [row for row in rows if row.overlay_png is not None]),
        "n_overlays": len(shown),
        "n_first": n_first,
    }


def _histogram(values: FloatArray, label: str, mark: float | None, mark_label: str, end: float | None) -> bytes:
    """Return a histogram from 0 to `end`, or to a little above the largest value and the mark."""
    largest = 1.02 * max(float(np.nanmax(values)), mark or 0.0, 1e-6)
    limits = (0.0, largest if end is None else end)
    return histogram_png(
        values,
        label=label,
        mark=mark,
        mark_label=mark_label,
        limits=limits,
        below_is_paler=False,
        counted="filaments",
    )


def _all(rows: Sequence[ReportTraced], values: Callable[[ReportTraced], Sequence[float]]) -> FloatArray:
    return np.concatenate([np.zeros(0), *(np.asarray(values(row), np.float64) for row in rows)])
