"""Sum up what a run did, for `run.json`, for `--json`, and for people."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitripick.formats.micrographs.finding import natural_key
from vitripick.formats.passed_by import PassedBy
from vitripick.runs.earlier import Earlier
from vitripick.runs.record import Outcome, Record
from vitripick.runs.survey import Survey
from vitripick.runs.suspects import within_run


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
        What earlier calls left in the run folder; the files of the whole run speak of that, too.
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
        What the search for micrographs passed by.
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

    def stable_dict(self) -> dict[str, Any]:
        """Return, for `run.json`, what speaks of the whole folder, and does not depend on interruptions."""
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
