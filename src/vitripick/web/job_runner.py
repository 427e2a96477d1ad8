"""Run the page's jobs: start one process at a time, follow its progress, list the runs and how they ended."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitripick.errors import InputError, UsageError
from vitripick.json_toml import read_json_object
from vitripick.web.job import Job, JobFolder, read_job, write_job
from vitripick.web.own_files import try_lock

_MAX_LOSSES = 2000


@dataclass
class JobProgress:
    """Says how far the running job is, or how the last one ended.

    Attributes
    ----------
    run
        The number of the run.
    stage
        `starting`, `training`, `picking`, `classes`, and in the end `done`, `stopped` or `failed`.
    step, steps
        Optimiser steps that are done, and all of them.
    done, total
        Micrographs that are picked, or whose particles are cut out, and all of them.
    words
        What is done now, where the stage does not say it.
    losses
        (step, loss) of each step.
    rows
        One row of figures for each validation.
    cpu_seconds
        CPU time of the process; 0 until it has ended.
    started, ended
        Seconds since 1970; `ended` is None while the job runs.
    """

    run: str
    kind: str
    stage: str = "starting"
    message: str = ""
    step: int = 0
    steps: int = 0
    done: int = 0
    total: int = 0
    words: str = ""
    losses: list[tuple[int, float]] = field(default_factory=list)
    rows: list[dict[str, float]] = field(default_factory=list)
    cpu_seconds: float = 0.0
    started: float = field(default_factory=time.time)
    ended: float | None = None

    @property
    def running(self) -> bool:
        """Return whether the process is at work."""
        return self.ended is None

    def to_json(self) -> dict[str, Any]:
        """Return what the page shows, with a few hundred losses at most."""
        every = max(1, len(self.losses) // 300)
        seconds = (self.ended or time.time()) - self.started
        return {
            **{key: value for key, value in vars(self).items() if key not in ("started", "ended")},
            "losses": self.losses[::every],
            "running": self.running,
            "seconds": round(seconds, 1),
        }


@dataclass(frozen=True)
class Run:
    """Describes one run of the project, as the page's list shows it.

    Attributes
    ----------
    id
        Its number, which is the name of its folder.
    outcome, message
        `running`, `done`, `stopped`, `failed` or `interrupted`, and why.
    threshold
        The threshold that the new model's card gives; None without a new model.
    validation
        Figures of the new model's validation, by name.
    """

    id: str
    kind: str
    title: str
    outcome: str
    message: str
    has_model: bool
    has_picks: bool
    threshold: float | None
    validation: dict[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """Return what the page shows."""
        return dict(vars(self))


class JobRunner:
    """Starts jobs and follows them.

    Parameters
    ----------
    runs
        The folder of runs.
    root
        The folder that the micrographs' names start from, and in which the process works.
    filaments
        Whether the models of the machine's description are those of filaments.
    on_picked, on_end
        Called when micrographs were picked, and when the job has ended, from the thread that follows the process.
    """

    def __init__(
        self,
        runs: Path,
        root: Path,
        *,
        filaments: bool = False,
        on_picked: Callable[[str], None] = lambda run: None,
        on_end: Callable[[JobProgress], None] = lambda progress: None,
    ) -> None:
        self.runs, self.root, self._filaments = runs.absolute(), root, filaments
        self.progress: JobProgress | None = None
        self.machine: dict[str, Any] | None = None
        self._on_picked, self._on_end = on_picked, on_end
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._asked = False

    def folder(self, run: str) -> JobFolder:
        """Return the folder of the run of this number."""
        return JobFolder(self.runs / run)

    def folders(self) -> list[JobFolder]:
        """Return the folders of all runs, oldest first."""
        return [JobFolder(path) for path in sorted(self.runs.iterdir())] if self.runs.is_dir() else []

    def new_folder(self) -> JobFolder:
        """Make `runs/NNN` with the next free number, and return it."""
        self.runs.mkdir(parents=True, exist_ok=True)
        numbers = [int(path.name) for path in self.runs.iterdir() if path.name.isdecimal()]
        number = max([0, *numbers]) + 1
        while True:
            folder = self.folder(f"{number:03d}")
            try:
                folder.path.mkdir()
                return folder
            except FileExistsError:
                number += 1

    def start(self, folder: JobFolder, job: Job) -> JobProgress:
        """Start a job in its run folder.

        Raises
        ------
        UsageError
            If another job is running.
        """
        with self._lock:
            self.refuse_if_busy()
            held = try_lock(folder.lock)
            if held is None:
                # The server was killed and started again. Its process ends its step first.
                raise UsageError(f"the last process of run {folder.id} is still ending; try again in half a minute.")
            held.close()
            write_job(job, folder.job)
            folder.result.unlink(missing_ok=True)
            progress = JobProgress(run=folder.id, kind=job.kind)
            with folder.log.open("a", encoding="utf-8") as log:
                self._process = _spawn(folder.job, self.root, log)
            self.progress = progress
            follower = threading.Thread(target=self._follow, args=(self._process, progress, folder), daemon=True)
            follower.start()
            return progress

    def refuse_if_busy(self) -> None:
        """Raise `UsageError` if a job is running."""
        if self.progress is not None and self.progress.running:
            raise UsageError("something is running already; wait for it, or stop it.")

    def stop(self) -> None:
        """Ask the running job to end after its current step.

        Raises
        ------
        UsageError
            If no job is running.
        """
        process = self._process
        if process is None or process.stdin is None or process.poll() is not None:
            raise UsageError("nothing is running.")
        try:
            process.stdin.write("stop\n")
            process.stdin.flush()
        except BrokenPipeError as error:
            raise UsageError("it has ended by itself just now.") from error

    def close(self) -> None:
        """End the process, because the server ends."""
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()

    def describe_machine(self) -> None:
        """Ask a process, once and without waiting, for the released models and the device."""
        with self._lock:
            if self._asked:
                return
            self._asked = True

        def ask() -> None:
            with tempfile.TemporaryDirectory() as folder:
                path = JobFolder(Path(folder)).job
                write_job(Job(kind="describe", filaments=self._filaments), path)
                process = _spawn(path, self.root, subprocess.DEVNULL)
                with process:
                    for event in _events(process):
                        if event["event"] == "described":
                            self.machine = {key: value for key, value in event.items() if key != "event"}
                if self.machine is None:
                    # The page waits for the models. Without any it can still train from scratch, or from a run.
                    self.machine = {"default": "", "released": [], "device": "cpu", "threads": 0}

        threading.Thread(target=ask, daemon=True).start()

    def all_runs(self) -> list[Run]:
        """Return every run of the project, oldest first; folders without a readable job are left out."""
        return [run for folder in self.folders() if (run := self._run(folder)) is not None]

    def run(self, run: str) -> Run:
        """Return the run of this number, or raise `UsageError`."""
        found = next((one for one in self.all_runs() if one.id == run), None)
        if found is None:
            raise UsageError("there is no such run.")
        return found

    def curves(self, run: str) -> list[dict[str, float]]:
        """Return the training curves of a run, a row for each validation; empty without a training."""
        try:
            with self.folder(run).curves.open(encoding="utf-8", newline="") as file:
                return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
        except FileNotFoundError:
            return []

    def _running_here(self, folder: JobFolder) -> bool:
        # Sorting into classes works in a folder of its own, whose name is that of the picks.
        return self.progress is not None and self.progress.run == folder.id and self.progress.kind != "classes"

    def _run(self, folder: JobFolder) -> Run | None:
        try:
            job = read_job(folder.job)
        except InputError:
            return None
        result = _read_json(folder.result) or {}
        if not all(isinstance(result.get(key, ""), str) for key in ("outcome", "message")) or "outcome" not in result:
            result = {"outcome": "interrupted"}
        if self.progress is not None and self.progress.running and self._running_here(folder):
            result = {"outcome": "running"}
        card = _read_json(folder.card) or {}
        training = card.get("training")
        return Run(
            id=folder.id,
            kind=job.kind,
            title=job.title,
            outcome=result["outcome"],
            message=result.get("message", ""),
            has_model=folder.model() is not None,
            has_picks=folder.has_picks,
            threshold=card.get("threshold"),
            validation=training.get("validation") if isinstance(training, dict) else None,
        )

    def _follow(self, process: subprocess.Popen[str], progress: JobProgress, folder: JobFolder) -> None:
        try:
            self._read_events(process, progress, folder)
        except (OSError, ValueError) as error:
            # The disk may be full, for example. The page must still see that the job is over.
            progress.stage, progress.message = "failed", str(error)
        finally:
            if process.poll() is None:
                process.terminate()
            progress.ended = time.time()

    def _read_events(self, process: subprocess.Popen[str], progress: JobProgress, folder: JobFolder) -> None:
        outcome: dict[str, Any] = {}
        for event in _events(process):
            name = event["event"]
            if name == "stage":
                progress.stage = event["stage"]
                progress.steps = event.get("steps", progress.steps)
                progress.total = event.get("total", progress.total)
            elif name == "step":
                progress.step, progress.steps = event["step"], event["steps"]
                if len(progress.losses) < _MAX_LOSSES:
                    progress.losses.append((event["step"], event["loss"]))
            elif name == "validation":
                progress.rows.append(event["row"])
            elif name == "picked":
                progress.done, progress.total = event["done"], event["total"]
                self._on_picked(progress.run)
            elif name == "sorting":
                progress.words = event.get("words", progress.words)
                progress.done, progress.total = event.get("done", 0), event.get("total", 0)
            elif name == "end":
                outcome = event
        code = process.wait()
        if not outcome:
            last = _last_line(folder.log)
            outcome = {"outcome": "failed", "message": f"the process ended with code {code}. {last}".strip()}
        progress.stage = outcome["outcome"]
        progress.message = outcome.get("message", "")
        progress.cpu_seconds = outcome.get("cpu_seconds", 0.0)
        # The page may ask for the picks as soon as it sees the end, so `on_end` runs before `ended` is set.
        self._on_end(progress)


def _spawn(job: Path, root: Path, log: Any) -> subprocess.Popen[str]:
    # The process works in the folder of the micrographs, which may come from other people. Python would look for
    # modules there if it were started by -m, or if PYTHONPATH had an empty part. So -I lets it look nowhere by itself,
    # and it gets the folders that this server imports from.
    folders = _import_folders(root)
    code = (
        f"import sys; sys.path[:] = {folders!r}; "
        "from pathlib import Path; from vitripick.web.worker import main; sys.exit(main(Path(sys.argv[1])))"
    )
    return subprocess.Popen(
        [sys.executable, "-I", "-c", code, str(job.absolute())],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        encoding="utf-8",
        # Processes that the worker starts obey these two.
        env={**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(folders)},
    )


def _events(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """Yield what the process says; lines that a library printed are passed over."""
    for line in process.stdout or ():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event:
            yield event


def _import_folders(root: Path) -> list[str]:
    """Return where the job's process may look for modules: where this one does, without the working folders."""
    own = os.path.realpath(Path(__file__).parents[2])
    doubtful = {os.path.realpath(root), os.path.realpath(os.curdir)} - {own}
    return [path for path in sys.path if os.path.isabs(path) and os.path.realpath(path) not in doubtful]


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        return read_json_object(path)
    except (OSError, ValueError):
        return None


def _last_line(path: Path) -> str:
    try:
        lines = [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return lines[-1][:300] if lines else ""
