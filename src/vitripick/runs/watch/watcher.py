"""Pick micrographs as they arrive, for days: scan, wait until a file is whole, pick it, record it, scan again."""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vitripick.encoding import check_output_name
from vitripick.errors import InputError, ResourceError, VitripickError
from vitripick.formats import MicrographFile
from vitripick.geometry import Boxes
from vitripick.run_layout import REPORT
from vitripick.runs.earlier import EarlierCalls
from vitripick.runs.export import ExportError, check_formats, warn_of_refused_exports
from vitripick.runs.record import Outcome, Record, read_record
from vitripick.runs.run import finish_run, summary_of
from vitripick.runs.sample import N_SURVEYED
from vitripick.runs.step import ChangedFileError, FolderPicker
from vitripick.runs.summary import RunSummary
from vitripick.runs.watch.arrivals import Signature, Source, source_of
from vitripick.runs.watch.ending import Ending, at_work
from vitripick.runs.watch.ledger import Arrival, Ledger
from vitripick.runs.watch.lock import FolderLock
from vitripick.runs.watch.schedule import JoinSchedule
from vitripick.runs.watch.status import StatusReport
from vitripick.settings.watch import WatchSettings

_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


class Watcher:
    """Picks micrographs that arrive in one place into one run folder.

    Parameters
    ----------
    source
        A folder, or a RELION micrographs STAR that grows.
    picker
        The picker, which has the run folder, the model and its settings.
    settings
        How to watch; defaults if None.
    stop_file
        The watcher ends when this file appears, and removes it; `OUT/STOP` by default.
    tell
        Called with a line for people once a minute and on failures.
    on_outcome
        Called with what became of each micrograph that was picked or failed.
    """

    def __init__(
        self,
        source: str | Path,
        picker: FolderPicker,
        settings: WatchSettings | None = None,
        *,
        stop_file: Path | None = None,
        tell: Callable[[str], None] = lambda line: None,
        on_outcome: Callable[[Outcome], None] | None = None,
    ) -> None:
        self.picker = picker
        self.settings = settings or WatchSettings()
        self.out = picker.layout.out
        check_output_name(self.out)
        self._source: Source = source_of(source, self.out, picker.settings.include)
        check_formats(picker.settings.formats, [])
        self._ending = Ending(self.out, stop_file, self.settings.idle_timeout_seconds)
        self._say, self._on_outcome = tell, on_outcome
        self._started = time.monotonic()
        self._ledger = Ledger(picker.layout, self.settings.settle_seconds)
        self._schedule = JoinSchedule(self.settings.join_seconds)
        self._progress = StatusReport(
            self.out, tell, status_seconds=self.settings.status_seconds, line_seconds=self.settings.line_seconds
        )
        self._earlier = EarlierCalls()
        self._remembered: dict[str, tuple[Record, Boxes]] = {}
        self._warned = False
        # Whether diameter and threshold are known. If a survey failed: its number of micrographs, and its error.
        self._resolved = False
        self._unclear: tuple[int, VitripickError] | None = None

    def request_stop(self, reason: str) -> None:
        """Ask the watcher to finish its micrograph, write the joined files and end; a signal handler may call this."""
        self._ending.request(reason)

    def run(self) -> RunSummary:
        """Watch until a stop file, a request or the idle timeout ends it.

        Returns
        -------
        RunSummary
            The summary of all micrographs that are both in the run folder and in the source. The joined files cover
            the whole run folder.

        Raises
        ------
        UsageError
            If another watcher is at work in the run folder, or picks of other micrographs in it would be overwritten.
        ResourceError
            If disk, memory or GPU memory runs out; what is done stays.
        """
        with at_work(self.out, self._ending, self._progress, self.status, self._say) as lock:
            self._resolved = self.picker.resume_survey()
            for line in [] if self.picker.surveyed is None else self.picker.surveyed.summary_lines():
                self._say(line)
            self._loop(lock)
            return self._join(pictures=self._draws, last=True)

    def status(self) -> dict[str, Any]:
        """Return counts, rate and lag as they are now."""
        records = [arrival.outcome.record for arrival in self._ledger.done if arrival.outcome is not None]
        return self._progress.status(
            found=self._source.n_found,
            waiting_since=[arrival.since for arrival in self._ledger.waiting],
            n_picks=[record.n_picks for record in records if record is not None],
            n_failed=len(self._ledger.failed),
            passed_by=self._source.passed_by,
        )

    def _loop(self, lock: FolderLock) -> None:
        next_scan = 0.0
        while not self._should_stop(lock):
            now = time.monotonic()
            if now >= next_scan:
                done = {arrival.file.name for arrival in self._ledger.done}
                self._ledger.enter(self._source.scan(done), self._known_before)
                # A slow scan means a slow file server, so it is scanned less often.
                took = time.monotonic() - now
                next_scan = now + max(self.settings.poll_seconds, 10 * took)
            ready = self._ledger.next_ready()
            if ready is not None and self._may_pick():
                self._pick(ready)
                self._ledger.active = time.monotonic()
            elif self._ledger.changed and self._schedule.may_join():
                self._join(pictures=self._draws and self._schedule.may_report())
            else:
                time.sleep(min(0.2, self.settings.poll_seconds))
            self._progress.report_if_due(self.status)
            if self._ledger.changed and self._schedule.must_join():
                self._join(pictures=False)

    def _should_stop(self, lock: FolderLock) -> bool:
        is_picking = self._resolved and bool(self._ledger.waiting)
        idle = not is_picking and self._ending.is_idle(self._ledger.active)
        due = self._ending.is_due(lock, idle=idle)
        if idle and self._unclear is not None:
            raise self._unclear[1]
        return due

    def _known_before(self, file: MicrographFile, signature: Signature) -> Outcome | None:
        """Return the outcome that an earlier watcher recorded for exactly this file; None if it must be picked."""
        # Until the diameter is known, it is unknown whether the stored picks were made with it.
        if not self._resolved:
            return None
        stem = self._ledger.stem(file)
        made_from = self.picker.made_from(file)
        record = read_record(self.picker.layout.record(stem))
        if record is not None and made_from is not None and record.made_from == made_from:
            outcome = self.picker.attempt(file, stem)  # writes missing files, after a change of threshold or format
            if outcome.record is not None:
                return outcome
        failure = self.picker.failed_before(file, stem)
        return None if failure is None or signature is None else Outcome(file, stem, failure=failure)

    def _may_pick(self) -> bool:
        """Return whether diameter and threshold are known; if they are not, survey what has arrived first."""
        if self._resolved:
            return True
        settled = self._ledger.settled()
        if not self._enough_to_survey(settled) or (self._unclear and len(settled) <= self._unclear[0]):
            return False
        try:
            found = self.picker.survey(self._source.in_order(arrival.file for arrival in settled))
        except ResourceError:
            raise
        except VitripickError as error:
            self._unclear = len(settled), error
            self._say(f"{error} Waiting for more micrographs.")
            return False
        self._unclear = None
        # If none of them could be read, there is nothing to keep, so the next ones are surveyed again.
        self._resolved = found is None or found.complete
        for line in found.summary_lines() if found is not None and self._resolved else ():
            self._say(line)
        return True

    def _enough_to_survey(self, settled: list[Arrival]) -> bool:
        if len(settled) >= N_SURVEYED:
            return True
        # The survey must come before the idle timeout stops the watcher.
        wait = min(self.settings.survey_wait_seconds, (self.settings.idle_timeout_seconds or math.inf) / 2)
        now = time.monotonic()
        return now - min((arrival.next_try for arrival in settled), default=now) >= wait

    def _pick(self, arrival: Arrival) -> None:
        """Pick a file if it is whole and has not changed; otherwise put it off, or record its failure."""
        file, stem = arrival.file, self._ledger.stem(arrival.file)
        made_from = self.picker.made_from(file)
        try:
            # Writing may only have paused; reading compares length and header first, so it notices that.
            record, skipped = self.picker.pick_file(file, stem, settled=arrival.signature)
        except ResourceError:
            raise
        except ChangedFileError:
            self._ledger.put_off(arrival, self.settings.settle_seconds)  # the next scan notes its new size and time
            return
        except (VitripickError, OSError) as error:
            if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
                raise
            arrival.n_tries += 1
            if arrival.n_tries < self.settings.tries:
                self._ledger.put_off(arrival, self.settings.retry_seconds * 2 ** (arrival.n_tries - 1))
                return
            outcome = self.picker.give_up(file, stem, str(error), made_from)
            self._say(f"failed: {error}")
        else:
            self.picker.layout.failure(stem).unlink(missing_ok=True)
            outcome = Outcome(file, stem, record=record, skipped=skipped)
            self._progress.finished(since=arrival.since)
        self._ledger.close(arrival, outcome)
        if self._on_outcome is not None:
            self._on_outcome(outcome)

    @property
    def _draws(self) -> bool:
        """Return whether the report or the classes are drawn from time to time."""
        return self.settings.report or self.settings.classes

    def _join(self, *, pictures: bool, last: bool = False) -> RunSummary:
        """Write everything that describes the whole run from the per-micrograph files.

        With `pictures`, classes and the report are renewed, too, where they are wanted.
        """
        started = time.monotonic()
        summary = summary_of(self.picker)
        closed = {arrival.file.name: arrival for arrival in (*self._ledger.done, *self._ledger.failed)}
        files = self._source.in_order(arrival.file for arrival in closed.values())
        outcomes = [outcome for file in files if (outcome := closed[file.name].outcome) is not None]
        for outcome in outcomes:
            summary.add(outcome)
        summary.seconds = started - self._started
        try:
            finish_run(
                self.picker,
                summary,
                outcomes,
                earlier=self._earlier,
                remembered=self._remembered,
                distributions=last,
            )
        except ResourceError:
            raise
        except ExportError as error:
            self._say(str(error))  # such as two files of one base name in a format of base names
        except VitripickError as error:
            # The picks are safe, but a report would show the older joined files, so none is written.
            self._say(f"the joined files could not be written: {error}")
            pictures = False
        if summary.records and not self._warned:  # once, not at every joining
            warn_of_refused_exports(self.picker.layout, summary.records, self.picker.settings.formats)
            self._warned = True
        self._ledger.changed = False
        self._schedule.joined(started)
        if pictures and summary.records:
            started = time.monotonic()
            self._draw()
            self._schedule.reported(started)
        return summary

    def _draw(self) -> None:
        """Draw the classes and the report again, as far as they are wanted."""
        if self.settings.classes:
            from vitripick.runs.classes import classify_run

            try:
                classify_run(self.out)
            except InputError as error:  # no picks yet, for one
                self._say(f"no classes: {error}")
        if self.settings.report:
            from vitripick.pictures import write_report
            from vitripick.runs.report import gather_run

            write_report(self.out / REPORT, [gather_run(self.out)], title=f"Picks: {self.out.name}")
