"""Pick micrographs as they arrive, for days: look, wait until a file is whole, pick it, remember, look again."""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from vitripick.atomic import remove_leftovers
from vitripick.errors import ResourceError, UsageError, VitripickError
from vitripick.formats import MicrographFile
from vitripick.formats.micrographs.finding import output_stems, whole_stem
from vitripick.geometry import Boxes
from vitripick.run_layout import REPORT, STOP
from vitripick.runs.export import ExportError, check_formats
from vitripick.runs.many import RunSummary, finish_run, summary_of
from vitripick.runs.record import Outcome, Record, own_record, read_failure, read_record
from vitripick.runs.resources import resource_errors
from vitripick.runs.step import ChangedFileError, FolderPicker
from vitripick.runs.survey import N_SURVEYED
from vitripick.runs.watch.arrivals import Signature, Source, signature_of, source_of
from vitripick.runs.watch.lock import FolderLock
from vitripick.runs.watch.status import Progress, in_a_line
from vitripick.settings import Settings
from vitripick.text import printable_name

# What rebuilding the joined files and the report may take of the time.
_SHARE_FOR_JOINING = 0.05
_REPORT_SECONDS = 600.0


class WatchSettings(Settings):
    """How to wait.

    Attributes
    ----------
    settle_seconds
        A file is taken when two looks this far apart find the same size and time.
    poll_seconds
        Between two looks.
    tries, retry_seconds
        A file that cannot be picked is tried again after this long, then after twice as long, and so on; it is recorded
        as failed after so many tries.
    survey_wait_seconds
        What a run leaves open is looked for on as many micrographs as a survey takes (five), or on those that are there
        this long after the first: one alone may be an odd one, and what it says holds for all that follow.
    idle_timeout_seconds
        Stop when nothing has arrived and nothing waits for so long; None to wait for ever.
    join_seconds
        Between two rebuilds of the joined files, at least.
    status_seconds, line_seconds
        Between two writings of the status file, and two lines told.
    report
        Rebuild `report.html` too, now and then and at the end.
    """

    settle_seconds: float = Field(5.0, ge=0)
    poll_seconds: float = Field(2.0, gt=0)
    tries: int = Field(5, ge=1)
    retry_seconds: float = Field(10.0, ge=0)
    survey_wait_seconds: float = Field(40.0, ge=0)
    idle_timeout_seconds: float | None = Field(None, gt=0)
    join_seconds: float = Field(60.0, ge=0)
    status_seconds: float = Field(5.0, ge=0)
    line_seconds: float = Field(60.0, gt=0)
    report: bool = False


@dataclass
class _Waiting:
    """A micrograph that is not done; times by this process's own clock."""

    file: MicrographFile
    signature: Signature
    since: float
    next_try: float
    n_tries: int = 0


class Watcher:
    """Picks what arrives in one place into one run folder.

    Parameters
    ----------
    source
        A folder, or a RELION micrographs STAR that grows.
    picker
        With the run folder, the model and its settings.
    settings
        Defaults where None.
    stop_file
        Whose appearance asks for the end; `OUT/STOP` by default. It is removed then.
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
        self._source: Source = source_of(source, self.out)
        check_formats(picker.settings.formats, [])
        self._stop_file = stop_file or self.out / STOP
        self._tell = tell
        self._on_outcome = on_outcome
        self._stop_reason: str | None = None
        self._waiting: dict[str, _Waiting] = {}
        self._done: dict[str, tuple[MicrographFile, Signature, Outcome]] = {}
        self._failed: dict[str, tuple[MicrographFile, Signature, Outcome]] = {}
        self._stem_of: dict[str, str] = {}
        self._owner_of: dict[str, str] = {}
        self._started = self._active = time.monotonic()
        self._progress = Progress(
            self.out, tell, status_seconds=self.settings.status_seconds, line_seconds=self.settings.line_seconds
        )
        self._joined_at = self._reported_at = self._started
        self._join_took = self._report_took = 0.0
        self._unjoined = False
        self._remembered: dict[str, tuple[Record, Boxes]] = {}
        self._resolved = False
        self._unclear: tuple[int, VitripickError] | None = None

    def request_stop(self, reason: str) -> None:
        """Finish the micrograph in hand, write the joined files and return; safe to call in a signal handler."""
        self._stop_reason = self._stop_reason or reason

    def run(self) -> RunSummary:
        """Watch until something asks for the end.

        Returns
        -------
        RunSummary
            Of all micrographs in the run folder that are in the source.

        Raises
        ------
        UsageError
            If another watcher is at work in the run folder, or picks of other micrographs in it would be overwritten.
        ResourceError
            If disk, memory or GPU run out; what is done stays.
        """
        with resource_errors(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
            with FolderLock(self.out) as lock:
                remove_leftovers(self.out)
                self._resolved = self.picker.resume_survey()
                try:
                    self._loop(lock)
                    summary = self._join(report=self.settings.report, last=True)
                except BaseException as error:
                    # On a full disk this cannot be written either; the error itself goes on.
                    with suppress(OSError):
                        self._progress.write(self.status(), "stopped", f"{type(error).__name__}: {error}")
                    raise
                self._progress.write(self.status(), "stopped", self._stop_reason or "")
                self._tell(in_a_line(self.status()))
        return summary

    def _loop(self, lock: FolderLock) -> None:
        next_look = 0.0
        while not self._should_stop(lock):
            now = time.monotonic()
            if now >= next_look:
                self._look()
                # A file server that takes long to answer is asked less often.
                took = time.monotonic() - now
                next_look = now + max(self.settings.poll_seconds, 10 * took)
            ready = self._next_ready()
            if ready is not None and self._may_pick():
                self._try(ready)
                self._active = time.monotonic()
            elif self._unjoined and self._may_join():
                self._join(report=self.settings.report and self._may_report())
            else:
                time.sleep(min(0.2, self.settings.poll_seconds))
            self._progress.tell_if_due(self.status)
            if self._unjoined and time.monotonic() - self._joined_at > 5 * self._join_interval():
                self._join(report=False)  # never idle: once in a while all the same

    def _should_stop(self, lock: FolderLock) -> bool:
        if lock.lost:
            raise UsageError(f"{self.out}: another watcher has taken this folder over; this one stops.")
        if self._stop_reason is None and self._stop_file.exists():
            self._stop_file.unlink(missing_ok=True)
            self._stop_reason = f"stop file {self._stop_file}"
        idle = self.settings.idle_timeout_seconds
        if idle is not None and not (self._waiting and self._resolved) and time.monotonic() - self._active > idle:
            if self._unclear is not None:
                raise self._unclear[1]
            self._stop_reason = self._stop_reason or f"nothing arrived for {idle:g} s"
        return self._stop_reason is not None

    def _look(self) -> None:
        """One scan: who is new, who changed, who went."""
        now = time.monotonic()
        known = {**self._done, **self._failed}
        seen = set()
        for file, signature in self._source.scan(set(self._done)):
            seen.add(file.name)
            before = known.get(file.name)
            if before is not None:
                if before[1] == signature and before[0] == file:
                    continue
                if signature is None and file.name in self._done:
                    continue  # gone, as micrographs go that were moved to an archive: it was picked
                self._done.pop(file.name, None)
                self._failed.pop(file.name, None)
            waiting = self._waiting.get(file.name)
            if waiting is None:
                # As long as nobody knows the diameter, nobody knows whether its picks are those that are asked for.
                if before is None and self._resolved and self._was_done_before(file, signature):
                    continue
                self._waiting[file.name] = _Waiting(file, signature, now, now + self.settings.settle_seconds)
                self._active = now
            elif waiting.signature != signature or waiting.file != file:
                self._waiting[file.name] = _Waiting(file, signature, now, now + self.settings.settle_seconds)
                self._active = now
        for name in [name for name in self._waiting if name not in seen]:
            del self._waiting[name]  # a temporary name that was renamed, or a line that left the STAR
        for name in [name for name in self._failed if name not in seen]:
            outcome = self._failed.pop(name)[2]
            self.picker.layout.failure(outcome.stem).unlink(missing_ok=True)
            self._unjoined = True

    def _was_done_before(self, file: MicrographFile, signature: Signature) -> bool:
        """Whether an earlier watcher finished with exactly this file; then nothing is to be waited for."""
        stem = self._stem(file)
        made_from = self.picker.made_from(file)
        record = read_record(self.picker.layout.record(stem))
        if record is not None and made_from is not None and record.made_from == made_from:
            outcome = self.picker.attempt(file, stem)  # writes what another threshold or format asks for
            if outcome.record is not None:
                self._done[file.name] = (file, signature, outcome)
                self._unjoined = True
                return True
        failure = self.picker.failed_before(file, stem)
        if failure is not None and signature is not None:
            self._failed[file.name] = (file, signature, Outcome(file, stem, failure=failure))
            self._unjoined = True
            return True
        return False

    def _stem(self, file: MicrographFile) -> str:
        """What the outputs are called: the name without suffix, or the whole name where another one has that."""
        if file.name not in self._stem_of:
            told = printable_name(file.name)  # as a failure has it
            bare = output_stems([file])[file.name]
            stem = next(s for s in (bare, whole_stem(file.name)) if self._owner(s) in (None, file.name, told))
            own_record(file, self.picker.layout, stem)
            self._stem_of[file.name] = stem
            self._owner_of[stem] = file.name
        return self._stem_of[file.name]

    def _owner(self, stem: str) -> str | None:
        if stem in self._owner_of:
            return self._owner_of[stem]
        record = read_record(self.picker.layout.record(stem))
        if record is not None:
            return record.name
        failure = read_failure(self.picker.layout.failure(stem))
        return None if failure is None else failure.get("micrograph")

    def _may_pick(self) -> bool:
        """Whether diameter and threshold are known; where they are not, looks at what has arrived."""
        if self._resolved:
            return True
        now = time.monotonic()
        settled = [w for w in self._waiting.values() if w.next_try <= now and signature_of(w.file.path) == w.signature]
        if not self._enough_to_survey(settled, now) or (self._unclear and len(settled) <= self._unclear[0]):
            return False
        try:
            found = self.picker.survey(self._source.in_order(waiting.file for waiting in settled))
        except ResourceError:
            raise
        except VitripickError as error:
            self._unclear = len(settled), error
            self._tell(f"{error} Waiting for more micrographs.")
            return False
        self._unclear = None
        # Where not one of them could be read there is nothing to keep: the next ones are looked at again.
        self._resolved = found is None or found.complete
        for line in found.in_words() if found is not None and self._resolved else ():
            self._tell(line)
        return True

    def _enough_to_survey(self, settled: list[_Waiting], now: float) -> bool:
        if len(settled) >= N_SURVEYED:
            return True
        # Before the watcher would stop because nothing has arrived.
        wait = min(self.settings.survey_wait_seconds, (self.settings.idle_timeout_seconds or math.inf) / 2)
        return now - min((waiting.next_try for waiting in settled), default=now) >= wait

    def _next_ready(self) -> _Waiting | None:
        now = time.monotonic()
        ready = [waiting for waiting in self._waiting.values() if waiting.next_try <= now]
        return min(ready, key=lambda waiting: waiting.since, default=None)

    def _try(self, waiting: _Waiting) -> None:
        """The second look at a file, and if it is whole, its picks."""
        file, now = waiting.file, time.monotonic()
        stem = self._stem(file)
        made_from = self.picker.made_from(file)
        try:
            # Reading compares length and header first: that tells a pause in the writing from its end.
            record, skipped = self.picker.pick_file(file, stem, settled=waiting.signature)
        except ResourceError:
            raise
        except ChangedFileError:
            waiting.next_try = now + self.settings.settle_seconds  # the next look finds what it is now
            return
        except (VitripickError, OSError) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
                raise
            waiting.n_tries += 1
            if waiting.n_tries < self.settings.tries:
                waiting.next_try = time.monotonic() + self.settings.retry_seconds * 2 ** (waiting.n_tries - 1)
                return
            outcome = self.picker.give_up(file, stem, str(error), made_from)
            self._failed[file.name] = (file, waiting.signature, outcome)
            self._tell(f"failed: {error}")
        else:
            self.picker.layout.failure(stem).unlink(missing_ok=True)
            outcome = Outcome(file, stem, record=record, skipped=skipped)
            self._done[file.name] = (file, waiting.signature, outcome)
            self._progress.finished(since=waiting.since)
        del self._waiting[file.name]
        self._unjoined = True
        if self._on_outcome is not None:
            self._on_outcome(outcome)

    def _join_interval(self) -> float:
        return max(self.settings.join_seconds, self._join_took / _SHARE_FOR_JOINING)

    def _may_join(self) -> bool:
        return time.monotonic() - self._joined_at >= self._join_interval()

    def _may_report(self) -> bool:
        interval = max(_REPORT_SECONDS, self._report_took / _SHARE_FOR_JOINING)
        return time.monotonic() - self._reported_at >= interval

    def _join(self, *, report: bool, last: bool = False) -> RunSummary:
        """Everything that speaks of the whole run, anew from the per-micrograph files."""
        started = time.monotonic()
        summary = summary_of(self.picker)
        files = self._source.in_order(entry[0] for entry in (*self._done.values(), *self._failed.values()))
        for file in files:
            summary.add((self._done.get(file.name) or self._failed[file.name])[2])
        summary.seconds = started - self._started
        try:
            finish_run(self.picker, files, summary, remembered=self._remembered, distributions=last)
        except ResourceError:
            raise
        except ExportError as error:
            self._tell(str(error))  # two of one base name in a format that has only those, say
        except VitripickError as error:
            # The picks themselves are safe; a report would be of what was there before.
            self._tell(f"the joined files could not be written: {error}")
            report = False
        self._unjoined = False
        self._joined_at = time.monotonic()
        self._join_took = self._joined_at - started
        if report and summary.records:
            from vitripick.pictures import write_report
            from vitripick.runs.report import gather_run

            write_report(self.out / REPORT, [gather_run(self.out)], title=f"Picks: {self.out.name}")
            self._reported_at = time.monotonic()
            self._report_took = self._reported_at - self._joined_at
        return summary

    def status(self) -> dict[str, Any]:
        """Counts, rate and lag as they are now."""
        # Copies, because the page of a facility may ask from another thread.
        records = [entry[2].record for entry in list(self._done.values())]
        return self._progress.status(
            found=self._source.n_found,
            waiting_since=[waiting.since for waiting in list(self._waiting.values())],
            n_picks=[record.n_picks for record in records if record is not None],
            n_failed=len(self._failed),
        )
