"""Report which micrographs of a run look suspicious and why, in `quality.csv` and in a few lines for the user."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vitripick.atomic import write_text_atomically
from vitripick.picking.quality import CONTAMINATED, EDGE, EMPTY, FAINT, MOSTLY_JUNK
from vitripick.runs.record import Record

# A micrograph is faint if its picks are less sure than usual in its run. The difference must exceed a number of robust
# standard deviations, and a smallest value. Only with enough micrographs and picks is it known what is usual.
_FAINT_SIGMAS, _FAINT_BY, _FAINT_FROM, _FAINT_PICKS = 3.0, 0.05, 8, 10


def within_run(records: Sequence[Record]) -> list[Record]:
    """Return the records, with `faint` added to those that are faint compared with the whole run.

    Thick ice, little defocus or drift makes a micrograph faint. Records on the disk do not depend on other micrographs,
    so it is not written there.
    """
    sure = [
        None if record.quality is None or record.n_picks < _FAINT_PICKS else record.quality.mean_confidence
        for record in records
    ]
    return [
        record
        if not faint or record.quality is None
        else replace(record, quality=replace(record.quality, suspected=(*record.quality.suspected, FAINT)))
        for record, faint in zip(records, much_less_sure(sure), strict=True)
    ]


def much_less_sure(confidences: Sequence[float | None]) -> list[bool]:
    """Return for each micrograph whether its mean confidence lies far below what is usual in the run.

    Parameters
    ----------
    confidences
        One for each micrograph; None where too little was found to say it.
    """
    known = np.array([value for value in confidences if value is not None])
    if len(known) < _FAINT_FROM:
        return [False] * len(confidences)
    usual = float(np.median(known))
    spread = 1.4826 * float(np.median(np.abs(known - usual)))
    limit = usual - max(_FAINT_SIGMAS * spread, _FAINT_BY)
    return [value is not None and value < limit for value in confidences]


_COLUMNS = ("mean_confidence", "covered_share", "junk_share", "edge_junk_share", "n_on_junk")


def write_quality(path: Path, records: Sequence[Record]) -> None:
    """Write `quality.csv`, a line for each micrograph that is done, in the order given; unknown values are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["micrograph", "path", "n_picks", "n_stored", *_COLUMNS, "suspected"])
    for record in within_run(records):
        quality = record.quality
        values = ["" if (v := getattr(quality, name, None)) is None else v for name in _COLUMNS]
        suspected = "; ".join(quality.suspected) if quality is not None else ""
        writer.writerow([record.name, record.path, record.n_picks, record.n_stored, *values, suspected])
    write_text_atomically(path, text.getvalue())


def summary_lines(records: Sequence[Record], *, n_named: int = 3) -> list[str]:
    """Return a line for each suspicion in a run, with its number of micrographs and the names of the worst."""
    lines = []
    records = within_run(records)
    for word in (EMPTY, MOSTLY_JUNK, EDGE, CONTAMINATED, FAINT):
        of = [record for record in records if record.quality is not None and word in record.quality.suspected]
        if not of:
            continue
        worst = sorted(of, key=_junk_first)[:n_named]
        named = ", ".join(_named(record, word) for record in worst) + (", …" if len(of) > n_named else "")
        lines.append(f"suspected {word}: {len(of)} ({named})")
    return lines


def _junk_first(record: Record) -> tuple[float, int]:
    quality = record.quality
    return -((quality.junk_share if quality is not None else None) or 0.0), record.n_picks


def _named(record: Record, word: str) -> str:
    share = None if record.quality is None else record.quality.junk_share
    return f"{record.name} {share:.0%} junk" if share and word in (MOSTLY_JUNK, CONTAMINATED) else record.name
