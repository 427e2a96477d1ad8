"""Keep account of what has arrived: what waits, what is done, what failed, and what each file looked like then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vitripick.formats import MicrographFile
from vitripick.formats.micrographs.finding import output_stems, whole_stem
from vitripick.run_layout import RunLayout
from vitripick.runs.record import Outcome, own_record, read_failure, read_record
from vitripick.runs.watch.arrivals import Signature, signature_of
from vitripick.text import printable_name


@dataclass
class Arrival:
    """One micrograph that is there; times by this process's own clock (`time.monotonic`).

    Attributes
    ----------
    file
        Which one.
    signature
        Its size and time when it was last looked at.
    since
        When it was last seen to change.
    next_try
        When it may be picked.
    n_tries
        How often picking it has failed.
    outcome
        What became of it; None while it waits.
    """

    file: MicrographFile
    signature: Signature
    since: float
    next_try: float
    n_tries: int = 0
    outcome: Outcome | None = None

    @property
    def is_done(self) -> bool:
        """Whether its picks are stored."""
        return self.outcome is not None and self.outcome.record is not None

    @property
    def has_failed(self) -> bool:
        """Whether it is recorded as failed."""
        return self.outcome is not None and self.outcome.record is None

    def looks_like(self, file: MicrographFile, signature: Signature) -> bool:
        """Whether the file is still the one that was looked at."""
        return self.signature == signature and self.file == file


class Ledger:
    """All arrivals of one source, by the micrograph's name.

    Parameters
    ----------
    layout
        Of the run folder, which knows what earlier watchers did.
    settle_seconds
        How long a file must look the same before it may be picked.

    Attributes
    ----------
    changed
        Whether something was done, failed or went since the joined files were written; whoever writes them resets it.
    active
        When something arrived last.
    """

    def __init__(self, layout: RunLayout, settle_seconds: float) -> None:
        self._layout = layout
        self._settle_seconds = settle_seconds
        self._arrivals: dict[str, Arrival] = {}
        self._stems: dict[str, str] = {}
        self._owners: dict[str, str] = {}
        self.changed = False
        self.active = time.monotonic()

    def enter(
        self,
        found: Iterable[tuple[MicrographFile, Signature]],
        known_before: Callable[[MicrographFile, Signature], Outcome | None],
    ) -> None:
        """Take down what a scan found: new files, changed files, files that went.

        Parameters
        ----------
        found
            Every file that is not done, and some of those that are, each as it is on disk now.
        known_before
            Says what an earlier watcher made of exactly this file; None where it must be picked.
        """
        now, seen = time.monotonic(), set()
        for file, signature in found:
            seen.add(file.name)
            before = self._arrivals.get(file.name)
            if before is not None and before.looks_like(file, signature):
                continue
            if before is not None and before.is_done and signature is None:
                continue  # it was picked, and then moved to an archive
            outcome = known_before(file, signature) if before is None else None
            next_try = now if outcome is not None else now + self._settle_seconds
            self._arrivals[file.name] = Arrival(file, signature, now, next_try, outcome=outcome)
            if outcome is None:
                self.active = now
            else:
                self.changed = True
        for name, arrival in list(self._arrivals.items()):
            if name in seen or arrival.is_done:
                continue
            # A temporary name that was renamed, or a line that left the STAR.
            del self._arrivals[name]
            if arrival.outcome is not None:
                self._layout.failure(arrival.outcome.stem).unlink(missing_ok=True)
                self.changed = True

    def close(self, arrival: Arrival, outcome: Outcome) -> None:
        """Take down what became of an arrival."""
        arrival.outcome = outcome
        self.changed = True

    @property
    def done(self) -> list[Arrival]:
        """Arrivals whose picks are stored. A copy: the page of a facility may ask from another thread."""
        return [arrival for arrival in list(self._arrivals.values()) if arrival.is_done]

    @property
    def failed(self) -> list[Arrival]:
        """Arrivals that are recorded as failed."""
        return [arrival for arrival in list(self._arrivals.values()) if arrival.has_failed]

    @property
    def waiting(self) -> list[Arrival]:
        """Arrivals that are to be picked."""
        return [arrival for arrival in list(self._arrivals.values()) if arrival.outcome is None]

    def next_ready(self) -> Arrival | None:
        """Return the arrival that has waited longest of those that may be picked now."""
        now = time.monotonic()
        return min((a for a in self.waiting if a.next_try <= now), key=lambda arrival: arrival.since, default=None)

    def settled(self) -> list[Arrival]:
        """Return the arrivals that may be picked now and still look as they did."""
        now = time.monotonic()
        return [a for a in self.waiting if a.next_try <= now and signature_of(a.file.path) == a.signature]

    def put_off(self, arrival: Arrival, seconds: float) -> None:
        """Try an arrival again after `seconds`."""
        arrival.next_try = time.monotonic() + seconds

    def stem(self, file: MicrographFile) -> str:
        """Return what the outputs of a micrograph are called.

        That is the name without suffix, or the whole name where another micrograph has that.

        Raises
        ------
        UsageError
            If the run folder holds picks of another file under this name.
        """
        if file.name not in self._stems:
            owners = (None, file.name, printable_name(file.name))  # a failure names it in the last way
            bare = output_stems([file])[file.name]
            stem = next(s for s in (bare, whole_stem(file.name)) if self._owner(s) in owners)
            own_record(file, self._layout, stem)
            self._stems[file.name] = stem
            self._owners[stem] = file.name
        return self._stems[file.name]

    def _owner(self, stem: str) -> str | None:
        if stem in self._owners:
            return self._owners[stem]
        record = read_record(self._layout.record(stem))
        if record is not None:
            return record.name
        failure = read_failure(self._layout.failure(stem))
        return None if failure is None else failure.get("micrograph")
