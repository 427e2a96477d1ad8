"""Take a run of picking from the list of micrographs to the files that describe the whole run.

`pick`, shards, clusters, RELION jobs and cryoSPARC jobs all take these steps. They differ in where the picking happens.
"""

from __future__ import annotations

import importlib
import json
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitripick.atomic import check_folder, remove_leftovers, write_text_atomically
from vitripick.formats import FORMATS, MicrographFile, output_stems
from vitripick.geometry import Boxes
from vitripick.json_toml import is_number
from vitripick.models.engines import available_cores
from vitripick.run_layout import RunLayout
from vitripick.runs.distributions import write_distributions
from vitripick.runs.doubts import refuse_folder_of_filaments, refuse_two_samples, refuse_unknown_pixel_sizes
from vitripick.runs.earlier import EarlierCalls
from vitripick.runs.export import (
    ExportError,
    check_formats,
    listed_before,
    warn_of_refused_exports,
    write_run_exports,
)
from vitripick.runs.folder import run_before
from vitripick.runs.jobs import in_order
from vitripick.runs.record import Outcome, Record, read_exported, refuse_other_files, write_failures
from vitripick.runs.resources import resource_errors
from vitripick.runs.sample import N_SURVEYED
from vitripick.runs.shards import Shard
from vitripick.runs.step import FolderPicker
from vitripick.runs.summary import RunSummary
from vitripick.runs.survey import (
    Survey,
    open_questions,
)
from vitripick.runs.suspects import write_quality
from vitripick.runs.watch.lock import refuse_if_watched
from vitripick.settings.pick import PickSettings
from vitripick.text import count
from vitripick.version import VERSION

if TYPE_CHECKING:
    from vitripick.models import Model

# What `run.json` says about how the picks were made and exported.
_OF_THE_PICKS = ("vitripick", "model", "model_sha256", "threshold", "threshold_from", "settings", "survey")

SurveyedBy = Callable[[Sequence[MicrographFile]], "Survey | None"]
PickedBy = Callable[[Sequence[MicrographFile], "dict[str, str]"], "Generator[Outcome, None, None]"]


@dataclass(frozen=True)
class Listener:
    """Holds the functions that a run calls while it works; one that is None is not called.

    Attributes
    ----------
    on_survey
        Called with what the survey found before the first micrograph: the diameter, the threshold.
    on_outcome
        Called with what became of each micrograph.
    on_done
        Called with (done, total, name) after each micrograph, failed ones too.
    on_stage
        Called with what the run does next, in words: `looking at 5 micrographs`, `picking`, `writing …`.
    """

    on_survey: Callable[[Survey], None] | None = None
    on_outcome: Callable[[Outcome], None] | None = None
    on_done: Callable[[int, int, str], None] | None = None
    on_stage: Callable[[str], None] | None = None

    def stage(self, words: str) -> None:
        """Say what the run does next."""
        if self.on_stage is not None:
            self.on_stage(words)


@dataclass(frozen=True)
class Machine:
    """Says where a run works.

    Attributes
    ----------
    devices
        Devices that run the network; several share the micrographs.
    jobs
        Micrographs to work on at once; None for one on each core. Several devices share them, with at least one each.
        Picks do not depend on it, but for the last digits on a GPU, where it decides the size of batches.
    threads
        Threads of the network, for all jobs together; one for each core by default.
    """

    devices: Sequence[str] = ("cpu",)
    jobs: int | None = 1
    threads: int | None = None


class Run:
    """Takes one run through its steps: survey what is open, pick, and write what describes the whole run.

    Parameters
    ----------
    files
        All micrographs of the run, from `find_micrographs`.
    out
        The run folder, or its layout if the STAR files lie elsewhere.
    model
        From `open_model`, or from `load_model`.
    settings
        How to pick; defaults if None.
    machine
        Where the network runs.
    stems
        Name of the outputs, without ending, by the micrograph's name; from `output_stems` by default.
    share
        Pick only this share of the micrographs, and leave the files that describe the whole run to a later call.
    listener
        Functions to call meanwhile.

    Raises
    ------
    UsageError
        If the settings cannot work for any micrograph. On entering, if a watcher is at work in the run folder, or
        picks of other micrographs in it would be overwritten.

    Examples
    --------
    ::

        with Run(find_micrographs(["mics"]), "picks", open_model("general"), settings) as run:
            run.survey()
            run.pick()
            summary = run.finish()
    """

    def __init__(
        self,
        files: Sequence[MicrographFile],
        out: str | Path | RunLayout,
        model: Model,
        settings: PickSettings | None = None,
        *,
        machine: Machine | None = None,
        stems: dict[str, str] | None = None,
        share: Shard | None = None,
        listener: Listener | None = None,
    ) -> None:
        self._started = time.perf_counter()
        machine = machine or Machine()
        self.files = list(files)
        self._mine = self.files if share is None else share.of(self.files)
        # Every share must name its files as one run would, so the names of outputs follow from the whole list.
        self.stems = output_stems(self.files) if stems is None else stems
        self.pickers = [FolderPicker(out, model, settings, device=d, threads=machine.threads) for d in machine.devices]
        self.picker = self.pickers[0]
        self.layout = self.picker.layout
        wanted = available_cores() if machine.jobs is None else machine.jobs
        wanted = min(wanted, max(1, len(self._mine)))
        for picker in self.pickers:  # each device has its share of the jobs, at least one
            picker.jobs = max(1, wanted // len(self.pickers))
        self._share, self._listener = share, listener or Listener()
        self._outcomes: dict[str, Outcome] = {}
        self._stack = ExitStack()
        check_formats(self.picker.settings.formats, [file.name for file in self.files])

    def __enter__(self) -> Run:
        with ExitStack() as stack:
            stack.enter_context(resource_errors(self.layout.out))
            check_folder(self.layout.out)
            refuse_folder_of_filaments(self.layout.out)
            refuse_if_watched(self.layout.out)
            # A RELION job that runs again on another input replaces its earlier files.
            if self.layout.star_folder is None:
                refuse_other_files(self._mine, self.stems, self.layout)
            self._stack = stack.pop_all()
        threading.Thread(target=_load_early, args=(self._share is None,), name="imports").start()
        return self

    def __exit__(self, *error: Any) -> bool | None:
        return self._stack.__exit__(*error)

    @property
    def n_picks(self) -> int:
        """Return the number of picks that were exported so far."""
        return sum(outcome.record.n_picks for outcome in self._outcomes.values() if outcome.record is not None)

    def survey(self, by: SurveyedBy | None = None) -> Survey | None:
        """Find the diameter and the threshold, if the settings leave them open, and use them from now on.

        Parameters
        ----------
        by
            Function that surveys instead of this process; its result must be in the run folder afterwards.

        Returns
        -------
        Survey or None
            None if nothing is open.

        Raises
        ------
        InputError
            If a diameter in Å is given and pixel sizes are unknown, or micrographs seem to show different particles.
        """
        refuse_unknown_pixel_sizes(self.files, self.picker.settings)
        if open_questions(self.picker.model.card, self.picker.settings):
            self._listener.stage(f"looking at {count('micrograph', min(N_SURVEYED, len(self.files)))}")
        if by is None:
            found = self.picker.survey(self.files, self.stems)
        else:
            found = by(self.files)
            if found is not None:
                self.picker.use(found.apply(self.picker.settings), found)
        if found is not None:
            refuse_two_samples(found)
        for other in self.pickers[1:]:
            other.use(self.picker.settings, found)
        if found is not None and self._listener.on_survey is not None:
            self._listener.on_survey(found)
        return found

    def pick(self, by: PickedBy | None = None, *, stop: Callable[[], bool] | None = None) -> bool:
        """Pick each micrograph of this run or share, as many at once as there are jobs.

        Parameters
        ----------
        by
            Function that picks the micrographs instead of this process, in any order.
        stop
            Called before each micrograph. Once it returns true, no other micrograph is begun; begun ones are finished.

        Returns
        -------
        bool
            False if `stop` returned true before the last micrograph.
        """
        # Without a diameter nothing can be picked, so the folder is made only now.
        prepare_folder(self.layout)
        self._listener.stage("picking")
        outcomes = self._here(stop) if by is None else by(self._mine, self.stems)
        with closing(outcomes), suppress(CancelledError):
            for done, outcome in enumerate(outcomes, start=1):
                self._outcomes[outcome.file.name] = outcome
                if self._listener.on_outcome is not None:
                    self._listener.on_outcome(outcome)
                if self._listener.on_done is not None:
                    self._listener.on_done(done, len(self._mine), outcome.file.name)
            return True
        return False

    def summary(self) -> RunSummary:
        """Sum up what was done so far, in the order of the micrographs."""
        summary = summary_of(self.picker)
        summary.jobs = sum(picker.jobs for picker in self.pickers)
        summary.engine = self.picker.engine
        for file in self._mine:
            if file.name in self._outcomes:
                summary.add(self._outcomes[file.name])
        return summary

    def finish(self) -> RunSummary:
        """Write the files that describe the whole run, and sum it up; a share leaves these files to a later call.

        Raises
        ------
        ExportError
            If some formats cannot hold what was picked; it comes at the end, when all else is written.
        """
        summary = self.summary()
        if self._share is None:
            self._listener.stage("writing what describes the whole run")
            finish_run(self.picker, summary, self._outcomes.values())
            warn_of_refused_exports(self.layout, summary.all_records, self.picker.settings.formats)
        summary.seconds = time.perf_counter() - self._started
        self.picker.log.write(run={"seconds": round(summary.seconds, 3), "n_skipped": summary.n_skipped})
        return summary

    def _here(self, stop: Callable[[], bool] | None) -> Generator[Outcome, None, None]:
        def attempt(picker: FolderPicker, file: MicrographFile) -> Outcome:
            return picker.attempt(file, self.stems[file.name])

        # Few micrographs are shared by all devices, so these take turns in the list.
        workers = [partial(attempt, picker) for _ in range(self.picker.jobs) for picker in self.pickers]
        return in_order(self._mine, workers, stop=stop)


def _load_early(draws: bool) -> None:
    """Load what a run needs only later, in a thread of its own: the engine compiles the network meanwhile.

    `draws` says whether the run draws distributions at its end; a share of a run draws none.
    """
    for name in ("scipy.sparse", *(("matplotlib.figure", "matplotlib.backends.backend_agg") if draws else ())):
        # The error is raised where the engine is needed.
        with suppress(ImportError):
            importlib.import_module(name)


def summary_of(picker: FolderPicker) -> RunSummary:
    """Return the summary of a run, before its first micrograph."""
    return RunSummary(
        out=picker.layout.out,
        threshold=picker.threshold,
        model=picker.model.card.name,
        threshold_from=picker.threshold_from,
        survey=picker.surveyed,
    )


def prepare_folder(layout: RunLayout) -> None:
    """Make the run folder, and remove the temporary files that killed processes left there.

    Raises
    ------
    UsageError
        If a watcher is at work in it.
    """
    refuse_if_watched(layout.out)
    layout.out.mkdir(parents=True, exist_ok=True)
    remove_leftovers(layout.star_folder or layout.out)


def finish_run(
    picker: FolderPicker,
    summary: RunSummary,
    outcomes: Iterable[Outcome],
    *,
    earlier: EarlierCalls | None = None,
    remembered: dict[str, tuple[Record, Boxes]] | None = None,
    distributions: bool = True,
) -> None:
    """Write the files that describe the whole run: joined files, quality, failures, `run.json`.

    They cover all that was ever picked into the run folder; `outcomes` are the micrographs of this call. A watcher
    gives its own `earlier`, so that each record is read once. A call that could pick nothing changes no export of
    earlier calls: their threshold and settings stay, because its own may rest on no micrograph. `remembered` is for
    `write_run_exports`. Without `distributions`, the distributions stay as they are. They need every stored pick, and
    those of 20,000 micrographs take a minute to read.

    Raises
    ------
    ExportError
        If some formats cannot hold what was picked; it comes at the end, when all else is written.
    """
    layout, settings, model = picker.layout, picker.settings, picker.model
    before = None if summary.records or layout.star_folder is not None else run_before(layout)
    before = before if before is not None and is_number(before.get("threshold")) else None
    summary.earlier = (earlier or EarlierCalls()).beside(picker, outcomes, as_asked=before is None)
    formats = _joined_before(layout)
    if before is None:
        formats = list(dict.fromkeys([*settings.formats, *formats]))
    else:
        summary.threshold = float(before["threshold"])
    records = summary.all_records
    refused: ExportError | None = None
    try:
        write_run_exports(layout, records, formats, summary.threshold, remembered=remembered)
    except ExportError as error:
        refused = error
    if distributions:
        stored = (read_exported(layout, record) for record in records)
        write_distributions(layout.out, stored, summary.threshold)
    write_quality(layout.quality, records)
    write_failures(summary.all_failures, layout)
    run = {
        "vitripick": VERSION,
        "model": model.card.name,
        "model_sha256": model.sha256,
        "threshold": summary.threshold,
        "settings": settings.model_dump(),
        "engines": sorted({record.engine for record in records}),
        **summary.stable_dict(),
    }
    run |= {name: before[name] for name in _OF_THE_PICKS if before is not None and name in before}
    write_text_atomically(layout.run, json.dumps(run, indent=1, ensure_ascii=False) + "\n")
    if refused is not None:
        raise refused


def _joined_before(layout: RunLayout) -> list[str]:
    """Return the formats whose joined files an earlier call wrote; they would be stale if they stayed as they are."""
    joined = {name: layout.out / entry.joined_name for name, entry in FORMATS.items() if entry.joined_name}
    return [*listed_before(layout), *(name for name, path in joined.items() if path.is_file())]
