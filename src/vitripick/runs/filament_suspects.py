"""Say which micrographs of a folder of filaments look suspicious, in `quality.csv` and in a few lines for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vitripick.atomic import write_text_atomically
from vitripick.picking.filament_quality import OTHER_WIDTH, FilamentQuality
from vitripick.picking.quality import EDGE, EMPTY, FAINT
from vitripick.runs.filament_record import Stored
from vitripick.runs.suspects import much_less_sure

# Fewer filaments do not say how sure the network is of a micrograph.
_FAINT_FROM = 3
_COLUMNS = ("mean_confidence", "covered_share", "seen_width_px", "bend_degrees", "edge_length_px")


def qualities(found: Sequence[Stored]) -> list[FilamentQuality]:
    """Return the quality of each micrograph, with `faint` added where the comparison with all shows it."""
    each = [one.quality() for one in found]
    sure = [
        q.mean_confidence if len(one.filaments) >= _FAINT_FROM else None for one, q in zip(found, each, strict=True)
    ]
    return [
        replace(quality, suspected=(*quality.suspected, FAINT)) if faint else quality
        for quality, faint in zip(each, much_less_sure(sure), strict=True)
    ]


def write_filament_quality(path: Path, found: Sequence[Stored]) -> None:
    """Write `quality.csv`, a line for each micrograph, in the order given; unknown values are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["micrograph", "path", "filaments", "length_px", "width_px", *_COLUMNS, "suspected"])
    for one, quality in zip(found, qualities(found), strict=True):
        counts = [len(one.filaments), round(one.filaments.length, 1), round(one.width_px, 2)]
        values = ["" if (v := getattr(quality, name)) is None else v for name in _COLUMNS]
        writer.writerow([one.name, one.path, *counts, *values, "; ".join(quality.suspected)])
    write_text_atomically(path, text.getvalue())


def suspicion_lines(found: Sequence[Stored], *, n_named: int = 3) -> list[str]:
    """Return a line for each suspicion, with its number of micrographs and the names of some."""
    lines, each = [], qualities(found)
    for word in (EMPTY, EDGE, OTHER_WIDTH, FAINT):
        of = [one.name for one, quality in zip(found, each, strict=True) if word in quality.suspected]
        if of:
            named = ", ".join(of[:n_named]) + (", …" if len(of) > n_named else "")
            lines.append(f"suspected {word}: {len(of)} ({named})")
    return lines
