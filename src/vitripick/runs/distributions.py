"""Write tables and pictures of the confidences and sizes of a run's picks.

Two peaks in the confidences show where a threshold belongs: between them. Two peaks in the sizes show that two kinds of
objects were picked.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vitripick.atomic import write_bytes_atomically, write_text_atomically
from vitripick.geometry import Boxes, FloatArray, estimated_size_px
from vitripick.pictures import histogram_png
from vitripick.run_layout import DISTRIBUTIONS

_N_BINS = 40
Counts = npt.NDArray[np.int64]


def write_distributions(out: str | Path, stored: Iterable[Boxes], threshold: float) -> None:
    """Write `OUT/distributions/`: `confidence` and `size`, each as `.csv` and `.png`.

    Parameters
    ----------
    out
        The run folder.
    stored
        Every pick of each micrograph that is done, down to the floor confidence. They come one micrograph after the
        other, so a run of many thousand micrographs needs little memory.
    threshold
        Picks at or above it were exported. Sizes are counted for exported picks only.
    """
    confidences, sizes = [np.empty(0)], [np.empty(0)]
    for picks in stored:
        confidences.append(picks.confidence)
        sizes.append(estimated_size_px(picks.above(threshold)))
    confidence, size = np.concatenate(confidences), np.concatenate(sizes)
    folder = Path(out) / DISTRIBUTIONS
    _write_table(folder / "confidence.csv", "confidence", *_count(confidence, (0.0, 1.0)), threshold)
    write_bytes_atomically(
        folder / "confidence.png", histogram_png(confidence, label="confidence", mark=threshold, limits=(0, 1))
    )
    size = size[np.isfinite(size)]
    limits = (float(size.min()), float(size.max())) if len(size) else (0.0, 1.0)
    _write_table(folder / "size.csv", "size_px", *_count(size, limits), None)
    median = float(np.median(size)) if len(size) else None
    write_bytes_atomically(
        folder / "size.png",
        histogram_png(size, label="estimated size (px)", mark=median, mark_label="median", below_is_paler=False),
    )


def _count(values: FloatArray, limits: tuple[float, float]) -> tuple[FloatArray, Counts]:
    low, high = limits
    if not high > low:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(values, bins=_N_BINS, range=(low, high))
    return edges, counts


def _write_table(path: Path, name: str, edges: FloatArray, counts: Counts, threshold: float | None) -> None:
    """Write a row for each bar: lower edge, upper edge (outside, except in the last bar), count, threshold."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    exported = [] if threshold is None else ["threshold"]
    writer.writerow([f"{name}_from", f"{name}_to", "n_picks", *exported])
    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
        writer.writerow([f"{low:.4f}", f"{high:.4f}", int(count), *([] if threshold is None else [f"{threshold:g}"])])
    write_text_atomically(path, text.getvalue())
