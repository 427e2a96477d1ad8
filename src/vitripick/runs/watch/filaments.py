"""Trace filaments on micrographs as they arrive: scan, wait until a file is whole, trace it, scan again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitripick.errors import UsageError, parameter
from vitripick.formats import MicrographFile
from vitripick.formats.micrographs.finding import output_stems, whole_stem
from vitripick.run_layout import REPORT
from vitripick.runs.filament_folder import FailedTrace, FilamentFolder
from vitripick.runs.filament_record import Stored
from vitripick.runs.filaments import FilamentSummary, join
from vitripick.runs.watch.arrivals import Signature, Source, signature_of, source_of
from vitripick.runs.watch.ending import Ending, at_work
from vitripick.runs.watch.lock import FolderLock
from vitripick.runs.watch.schedule import JoinSchedule
from vitripick.runs.watch.status import StatusReport
from vitripick.settings.watch import WatchSettings


@dataclass
class _Waiting:
    """Describes a micrograph that is still to be traced; times are those of `time.monotonic`."""

    file: MicrographFile
    signature: Signature
    since: float
    next_try: float
    n_tries: int = 0


class FilamentWatcher:
    """Traces filaments on micrographs that arrive in one place.

    Parameters
    ----------
    source
        A folder, or a RELION micrographs STAR that grows.
    folder
        Where filaments go, with the model and the settings.
    settings
        How to watch; defaults if None.
    stop_file
        The watcher ends when this file appears, and removes it; `OUT/STOP` by default.
    tell
        Called with a line for people once a minute and on failures.
    on_found
        Called with the line of each micrograph in the table, or with its failure.
    """

    def __init__(
        self,
        source: str | Path,
        folder: FilamentFolder,
        settings: WatchSettings | None = None,
        *,
        stop_file: Path | None = None,
        tell: Callable[[str], None] = lambda line: None,
        on_found: Callable[[dict[str, Any]], None] = lambda row: None,
    ) -> None:
        self.settings = settings or WatchSettings()
        if self.settings.classes:
            raise UsageError(f"{parameter('classes')} acts on particles, not on filaments; leave it out.")
        self._folder = folder
        self._source: Source = source_of(source, folder.out, folder.settings.include)
        self._ending = Ending(folder.out, stop_file, self.settings.idle_timeout_seconds)
        self._say, self._on_found = tell, on_found
        self._waiting: dict[str, _Waiting] = {}
        # What each file looked like when it was traced, or given up.
        self._seen: dict[str, Signature] = {}
        self._found: dict[str, Stored] = {}
        # Name of the micrograph to the stem of its files, and why it failed.
        self._failed: dict[str, tuple[str, str]] = {}
        self._owners: dict[str, str] = {}
        self._changed, self._active = False, time.monotonic()
        self._schedule = JoinSchedule(self.settings.join_seconds)
        self._progress = StatusReport(
            folder.out, tell, status_seconds=self.settings.status_seconds, line_seconds=self.settings.line_seconds
        )

    def request_stop(self, reason: str) -> None:
        """Ask the watcher to finish its micrograph, write the joined files and end; a signal handler may call this."""
        self._ending.request(reason)

    def run(self) -> FilamentSummary:
        """Watch until a stop file, a request or the idle timeout ends it, and return what the folder holds.

        Raises
        ------
        UsageError
            If another watcher is at work in the folder.
        ResourceError
            If disk, memory or GPU memory runs out; what is done stays.
        """
        with at_work(self._folder.out, self._ending, self._progress, self.status, self._say) as lock:
            self._loop(lock)
            return self._join(ending=True)

    def status(self) -> dict[str, Any]:
        """Return counts, rate and lag as they are now; the picks are filaments."""
        return self._progress.status(
            found=self._source.n_found,
            waiting_since=[one.since for one in list(self._waiting.values())],
            n_picks=[len(one.filaments) for one in list(self._found.values())],
            n_failed=len(self._failed),
            passed_by=self._source.passed_by,
        )

    def _loop(self, lock: FolderLock) -> None:
        next_scan = 0.0
        while not self._should_stop(lock):
            now = time.monotonic()
            if now >= next_scan:
                self._scan()
                # A slow scan means a slow file server, so it is scanned less often.
                next_scan = now + max(self.settings.poll_seconds, 10 * (time.monotonic() - now))
            ready = min(
                (one for one in self._waiting.values() if one.next_try <= now), key=lambda one: one.since, default=None
            )
            if ready is not None:
                self._trace(ready)
                self._active = time.monotonic()
            elif self._changed and self._schedule.may_join():
                self._join()
            else:
                time.sleep(min(0.2, self.settings.poll_seconds))
            self._progress.report_if_due(self.status)
            if self._changed and self._schedule.must_join():
                self._join()

    def _should_stop(self, lock: FolderLock) -> bool:
        return self._ending.is_due(lock, idle=not self._waiting and self._ending.is_idle(self._active))

    def _scan(self) -> None:
        """Note new and changed files, and forget those that went before they were traced, or that failed."""
        now, there = time.monotonic(), set()
        for file, signature in self._source.scan({*self._owners.values()} - set(self._failed)):
            there.add(file.name)
            before = self._waiting.get(file.name)
            if before is not None:
                if before.signature != signature:
                    self._waiting[file.name] = _Waiting(file, signature, now, now + self.settings.settle_seconds)
            elif signature is not None and self._seen.get(file.name, ()) != signature:
                wait = 0.0 if self._folder.known(file, self._stem(file)) else self.settings.settle_seconds
                self._waiting[file.name] = _Waiting(file, signature, now, now + wait)
                self._active = now
        for name in set(self._waiting) - there:
            del self._waiting[name]
        for name in set(self._failed) - there:
            stem, _ = self._failed.pop(name)
            self._folder.forget_failure(stem)
            self._seen.pop(name, None)
            self._changed = True

    def _stem(self, file: MicrographFile) -> str:
        """Return the name of a micrograph's outputs: without suffix, or the whole name if another one has that."""
        bare = output_stems([file])[file.name]
        for stem in (bare, whole_stem(file.name)):
            if (self._owners.get(stem) or self._folder.owner(stem)) in (None, file.name):
                return stem
        raise UsageError(
            f"{self._folder.out}: this folder holds filaments of another micrograph that is called {bare}."
        )

    def _trace(self, one: _Waiting) -> None:
        """Trace a file if it has not changed; otherwise put it off, or note its failure."""
        name, now = one.file.name, time.monotonic()
        signature = signature_of(one.file.path)
        if signature != one.signature:
            one.signature, one.since, one.next_try = signature, now, now + self.settings.settle_seconds
            return
        try:
            width = self._folder.settle_width([one.file])
        except UsageError as error:
            self._say(f"{error} Waiting for more micrographs.")
            one.next_try = time.monotonic() + self.settings.retry_seconds
            return
        if width is not None:
            self._say(width)
        stem = self._stem(one.file)
        result = self._folder.attempt(one.file, stem)
        if isinstance(result, FailedTrace):
            one.n_tries += 1
            if one.n_tries < self.settings.tries:
                one.next_try = time.monotonic() + self.settings.retry_seconds * 2 ** (one.n_tries - 1)
                return
            self._failed[name] = (stem, str(result.error))
            self._say(f"failed: {result.error}")
            self._on_found({"status": "failed", "micrograph": name, "error": str(result.error)})
        else:
            self._failed.pop(name, None)
            self._found[stem] = result
            self._owners[stem] = name
            self._progress.finished(since=one.since)
            self._on_found({"status": "skipped" if result.skipped else "done", **self._folder.row(result)})
        self._seen[name] = one.signature
        del self._waiting[name]
        self._changed = True

    def _join(self, *, ending: bool = False) -> FilamentSummary:
        """Write what describes the whole folder, and, if it is wanted and due, the report."""
        started = time.monotonic()
        summary = FilamentSummary(self._folder.out)
        summary.failures = [{"micrograph": name, "error": error} for name, (_, error) in self._failed.items()]
        join(self._folder, summary, self._found)
        self._changed = False
        self._schedule.joined(started)
        if self.settings.report and summary.micrographs and (ending or self._schedule.may_report()):
            started = time.monotonic()
            from vitripick.pictures import write_report
            from vitripick.runs.filament_report import gather_filaments

            out = self._folder.out
            write_report(out / REPORT, [gather_filaments(out)], title=f"Filaments: {out.name}")
            self._schedule.reported(started)
        return summary
