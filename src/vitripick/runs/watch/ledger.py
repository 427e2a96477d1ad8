"""Keep a list of what has arrived: what waits, what is done, what failed, and the size and time of each file then."""

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
    """Describes one micrograph that has arrived; times are those of this process's clock (`time.monotonic`).

    Attributes
    ----------
    file
        The micrograph's name and path.
    signature
        Its size and time when it was last looked at.
    since
        Time at which it was last seen to change.
    next_try
        Time from which it may be picked.
    n_tries
        Number of times that picking it has failed.
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
        """Return whether its picks are stored."""
        return self.outcome is not None and self.outcome.record is not None

    @property
    def has_failed(self) -> bool:
        """Return whether it is recorded as failed."""
        return self.outcome is not None and self.outcome.record is None

    def looks_like(self, file: MicrographFile, signature: Signature) -> bool:
        """Return whether the file is still the one that was looked at."""
        return self.signature == signature and self.file == file


class Ledger:
    """Holds all arrivals of one source, by the micrograph's name.

    Parameters
    ----------
    layout
        The layout of the run folder, where earlier watchers left their records.
    settle_seconds
        Time for which a file must not change before it may be picked.

    Attributes
    ----------
    changed
        Whether a micrograph was done, failed or removed since the joined files were written; their writer resets it.
    active
        Time of the last arrival.
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
        """Note what a scan found: new files, changed files, files that were removed.

        Parameters
        ----------
        found
            Every file that is not done, and some of those that are, each as it is on disk now.
        known_before
            Returns the outcome that an earlier watcher recorded for exactly this file; None if it must be picked.
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
            # A temporary file was renamed, or a line was taken out of the STAR.
            del self._arrivals[name]
            if arrival.outcome is not None:
                self._layout.failure(arrival.outcome.stem).unlink(missing_ok=True)
                self.changed = True

    def close(self, arrival: Arrival, outcome: Outcome) -> None:
        """Note what became of an arrival."""
        arrival.outcome = outcome
        self.changed = True

    @property
    def done(self) -> list[Arrival]:
        """Return a copied list of the arrivals with stored picks, because another thread may read it."""
        return [arrival for arrival in list(self._arrivals.values()) if arrival.is_done]

    @property
    def failed(self) -> list[Arrival]:
        """Return the arrivals that are recorded as failed."""
        return [arrival for arrival in list(self._arrivals.values()) if arrival.has_failed]

    @property
    def waiting(self) -> list[Arrival]:
        """Return the arrivals that are still to be picked."""
        return [arrival for arrival in list(self._arrivals.values()) if arrival.outcome is None]

    def next_ready(self) -> Arrival | None:
        """Return the arrival that has waited longest, among those that may be picked now; None if there is none."""
        now = time.monotonic()
        return min((a for a in self.waiting if a.next_try <= now), key=lambda arrival: arrival.since, default=None)

    def settled(self) -> list[Arrival]:
        """Return the arrivals that may be picked now and have not changed since."""
        now = time.monotonic()
        return [a for a in self.waiting if a.next_try <= now and signature_of(a.file.path) == a.signature]

    def put_off(self, arrival: Arrival, seconds: float) -> None:
        """Try an arrival again after `seconds`."""
        arrival.next_try = time.monotonic() + seconds

    def stem(self, file: MicrographFile) -> str:
        """Return the name of a micrograph's outputs, without ending.

        That is the name without suffix, or the whole name if another micrograph already uses the shorter one.

        Raises
        ------
        UsageError
            If the run folder holds picks of another file under this name.
        """
        if file.name not in self._stems:
            owners = (None, file.name, printable_name(file.name))  # failures hold the printable name
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
