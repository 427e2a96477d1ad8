"""Sum up what a run did, for `run.json`, for `--json`, and for the user."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitripick.errors import parameter
from vitripick.formats.micrographs.finding import natural_key
from vitripick.formats.passed_by import PassedBy
from vitripick.models.run import FLOOR_CONFIDENCE
from vitripick.run_layout import RunLayout
from vitripick.runs.earlier import Earlier
from vitripick.runs.record import Outcome, Record
from vitripick.runs.survey import Survey
from vitripick.runs.suspects import summary_lines, within_run
from vitripick.text import count, listed

# Proposed thresholds differ by this, which changes the number of picks by a few per cent to a third.
_STEP = 0.1
_MOST_NOTES = 5
AGAIN = "in the same command; nothing is picked again"


@dataclass
class RunSummary:
    """Says what a run did.

    Attributes
    ----------
    records
        One for each micrograph of this call that is done, in the order of the input.
    failures
        `{"micrograph", "path", "error"}` for each that failed.
    earlier
        What earlier calls left in the run folder; the files of the whole run cover that, too.
    n_skipped
        Number of records of micrographs that were done before.
    threshold
        Picks at or above this were exported.
    threshold_from
        Where it comes from: `given`, the `model`'s own, or chosen by the `survey`.
    survey
        What the survey found before picking; None if nothing was left open.
    model
        Name of the model.
    engine
        The engine that ran the network; empty if nothing was picked.
    passed_by
        Files that the search for micrographs did not use.
    jobs
        Number of micrographs that were worked on at once.
    seconds
        Time of the whole run.
    """

    out: Path
    threshold: float
    model: str = ""
    threshold_from: str = "model"
    survey: Survey | None = None
    records: list[Record] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    earlier: Earlier = field(default_factory=Earlier)
    n_skipped: int = 0
    engine: str = ""
    passed_by: list[PassedBy] = field(default_factory=list)
    jobs: int = 1
    seconds: float = 0.0

    @property
    def n_picks(self) -> int:
        """Return the number of exported picks of this call's micrographs."""
        return sum(record.n_picks for record in self.records)

    @property
    def all_records(self) -> list[Record]:
        """Return the records of the whole run folder: in the order of the input, else in natural order of names."""
        if not self.earlier.records:
            return self.records
        return sorted([*self.records, *self.earlier.records], key=lambda record: natural_key(record.name))

    @property
    def all_failures(self) -> list[dict[str, Any]]:
        """Return the failures of the whole run folder."""
        if not self.earlier.failures:
            return self.failures
        return sorted([*self.failures, *self.earlier.failures], key=lambda failure: natural_key(failure["micrograph"]))

    def add(self, outcome: Outcome) -> None:
        """Count one more micrograph."""
        if outcome.record is not None:
            self.records.append(outcome.record)
            self.n_skipped += outcome.skipped
        elif outcome.failure is not None:
            failure = outcome.failure
            self.failures.append({key: failure[key] for key in ("micrograph", "path", "error")})

    def to_dict(self) -> dict[str, Any]:
        """Return the summary ready for JSON."""
        return {
            **self.stable_dict(),
            "this_call": {
                "n_micrographs": len(self.records),
                "n_failed": len(self.failures),
                "n_picks": self.n_picks,
                "n_skipped": self.n_skipped,
            },
            "notes": self.earlier.notes,
            "passed_by": [one.to_dict() for one in self.passed_by],
            "n_skipped": self.n_skipped,
            "engine": self.engine,
            "jobs": self.jobs,
            "seconds": round(self.seconds, 3),
        }

    def lines(self, *, out: Path | None = None, again: str = AGAIN) -> list[str]:
        """Return lines for the user: what was picked, what looks unusual, and what to do next.

        What the survey found is not among them, because it was said before picking; see `Survey.summary_lines`.

        Parameters
        ----------
        out
            Where the picks lie, if that is not the run folder.
        again
            How to pick with another threshold, and what that costs; empty to leave it out.
        """
        n, counts = len(self.records), [record.n_picks for record in self.records]
        first = f"{count('pick', self.n_picks)} on {count('micrograph', n)} with the model {self.model}"
        if self.survey is None or self.survey.threshold is None:
            first += f", threshold {self.threshold:g} ({'as given' if self.threshold_from == 'given' else 'its own'})"
        lines = [first]
        if self.n_skipped:
            lines.append(f"{count('micrograph', self.n_skipped)} picked before and not picked again")
        if n > 1:
            median = statistics.median(counts)
            lines.append(f"picks per micrograph: {min(counts)} to {max(counts)}, median {median:g}")
        n_empty = sum(one == 0 for one in counts)
        if n_empty:
            lines.append(f"{n_empty} without a pick")
        seconds = [record.seconds for record in self.records if record.seconds]  # 0 for those done before
        if seconds:
            at_once = f", {self.jobs} at once" if self.jobs > 1 else ""
            engines = self.engine or ", ".join(sorted({r.engine for r in self.records if r.seconds}))
            lines.append(
                f"{self.seconds:.1f} s in all, {sum(seconds) / len(seconds):.2f} s per micrograph{at_once}; "
                f"network run by {engines}"
            )
        lines += summary_lines(self.records)
        if self.earlier.records:
            whole = self.all_records
            n_all = sum(record.n_picks for record in whole)
            lines.append(
                f"with {len(self.earlier.records)} of earlier calls, {self.out} holds {count('pick', n_all)} on "
                f"{count('micrograph', len(whole))}, and so do its joined files"
            )
        lines += [f"note: {note}" for note in self.earlier.notes]
        lines += self._notes()
        lines.append(f"written to {self.out if out is None else out}")
        return [*lines, *self._next(again)]

    def _next(self, again: str) -> list[str]:
        """Return what can be done next, in a line: another threshold; more if nothing was found."""
        if not self.records:
            return []
        if not self.n_picks:
            return [
                f"fainter candidates are stored in {self.out / 'cbox'}: look at them with "
                f"{parameter('threshold', 0.1)}, check the diameter, or train on one labelled micrograph "
                "(docs/training.md)"
            ]
        stricter, looser = round(self.threshold + _STEP, 2), max(FLOOR_CONFIDENCE, round(self.threshold - _STEP, 2))
        ways = [
            *([f"stricter: {parameter('threshold', stricter)}"] if stricter < 1 else []),
            *([f"looser: {parameter('threshold', looser)}"] if looser < self.threshold else []),
        ]
        chosen = None if self.survey is None else self.survey.threshold
        if again and chosen is not None and chosen.aim != "balanced":
            again += f", without {parameter('aim')}"
        return [f"{'; '.join(ways)}{f' ({again})' if again else ''}"]

    def _notes(self) -> list[str]:
        """Return a line for each warning, with the micrographs that it is about."""
        named: dict[str, list[str]] = {}
        for record in self.records:
            for warning in record.warnings:
                named.setdefault(warning, []).append(record.name)
        lines = [f"note: {listed(names, most=1)}: {warning}" for warning, names in named.items()]
        more = len(lines) - _MOST_NOTES
        return lines[:_MOST_NOTES] + ([f"note: {more} more in {RunLayout(self.out).records}"] if more > 0 else [])

    def stable_dict(self) -> dict[str, Any]:
        """Return the part of `run.json` that describes the whole folder, and does not depend on interruptions."""
        records, failures = self.all_records, self.all_failures
        return {
            "out": str(self.out),
            "threshold": self.threshold,
            "threshold_from": self.threshold_from,
            "survey": None if self.survey is None else self.survey.to_dict(),
            "n_micrographs": len(records),
            "n_failed": len(failures),
            "n_picks": sum(record.n_picks for record in records),
            "n_stored": sum(record.n_stored for record in records),
            "micrographs": [
                {
                    "name": r.name,
                    "stem": r.stem,
                    "n_picks": r.n_picks,
                    "n_stored": r.n_stored,
                    "quality": None if r.quality is None else r.quality.to_dict(),
                }
                for r in within_run(records)
            ],
            "failures": failures,
        }
