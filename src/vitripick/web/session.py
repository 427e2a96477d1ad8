"""Hold one open project, with everything that works on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from vitripick.atomic import remove_leftovers
from vitripick.encoding import check_output_name
from vitripick.errors import InputError, parameter
from vitripick.runs.folder import threshold_of_run
from vitripick.text import count
from vitripick.web.classes import ClassSets
from vitripick.web.exchange import Exchange
from vitripick.web.filament_exchange import FilamentExchange
from vitripick.web.filament_sets import FilamentSets, own_threshold, threshold_of_traced
from vitripick.web.job import read_job
from vitripick.web.job_runner import JobProgress, JobRunner
from vitripick.web.montage import Montage
from vitripick.web.own_files import ProjectLock
from vitripick.web.picksets import PickSet, PickSets
from vitripick.web.previews import Previews
from vitripick.web.project import Project, open_project
from vitripick.web.requests import SettingsRequest
from vitripick.web.sheets import Sheets
from vitripick.web.start_jobs import JobStarter, root_of
from vitripick.web.transfer import DroppedPicks


class Session:
    """Puts the parts of the server together for one project.

    Parameters
    ----------
    project
        The open project.
    picks
        Picks to show at the start, in any format or as a folder of `vitripick pick`.
    lock
        The lock of the project folder, which the session keeps while it lives.
    """

    def __init__(self, project: Project, picks: str | Path | None = None, lock: ProjectLock | None = None) -> None:
        self.project = project
        self._lock = lock
        self.sheets = Sheets(project)
        self.previews = Previews(project)
        self.lines = FilamentSets(project, self.sheets) if project.settings.filaments else None
        self.pick_sets = PickSets(project, self.sheets) if self.lines is None else self.lines
        self.classes = ClassSets(project, self.sheets, self.pick_sets)
        self.montage = Montage(project, self.pick_sets, self.previews)
        self.exchange = (
            Exchange(project, self.sheets, self.pick_sets)
            if self.lines is None
            else FilamentExchange(project, self.sheets, self.lines)
        )
        root = root_of(project)
        self.jobs = JobRunner(
            project.out / "runs",
            root,
            filaments=project.settings.filaments,
            on_picked=self._picked,
            on_end=self._ended,
        )
        self.starter = JobStarter(project, self.sheets, self.jobs)
        self.n_picked = 0
        self.dropped = DroppedPicks(project, self.pick_sets)
        if picks is not None:
            if not Path(picks).exists():
                raise InputError(f"{picks}: there are no such picks; check {parameter('picks')}.")
            self.pick_sets.put(
                PickSet("given", Path(picks).name, Path(picks), threshold=self._threshold_of(Path(picks)))
            )
        for run in self.jobs.all_runs():
            if run.has_picks:
                self._put(run.id)
        self._choose(given=picks is not None)
        self.sheets.catch_up()
        self.sheets.resize()  # a killed server may have left label files with an old box size

    def _choose(self, *, given: bool) -> None:
        """Choose the picks to show at the start: the same as last time, else those given, else the newest."""
        known = [pick_set.id for pick_set in self.pick_sets.all()]
        chosen = self.project.settings.pick_set
        if given and chosen is None:
            chosen = "given"
            threshold = self.pick_sets.named(chosen).threshold
            if threshold is not None:
                self.project.settings = self.project.settings.model_copy(update={"threshold": threshold})
        elif chosen not in known:
            chosen = known[-1] if known else None
        self.project.settings = self.project.settings.model_copy(update={"pick_set": chosen})

    def _threshold_of(self, picks: Path) -> float | None:
        return threshold_of_run(picks) if self.lines is None else threshold_of_traced(picks)

    def _put(self, run: str, *, grown: bool = False) -> None:
        folder = self.jobs.folder(run)
        job = read_job(folder.job)
        threshold = self.jobs.run(run).threshold or self._threshold_of(folder.picks)
        if self.lines is not None:  # it is traced below the model's own threshold, so that the page's can move
            threshold = own_threshold(folder.model() or job.model)
        title, trained_on = f"run {run}: {job.title}", frozenset(job.trained_on)
        self.pick_sets.put(PickSet(run, title, folder.picks, threshold=threshold, trained_on=trained_on), grown=grown)

    def _picked(self, run: str) -> None:
        """Count a micrograph that was just picked; the page shows its picks while the job goes on."""
        self.n_picked += 1
        if self.n_picked % 10 == 1:
            self._put(run, grown=True)

    def _ended(self, progress: JobProgress) -> None:
        if progress.kind == "classes" or not self.jobs.folder(progress.run).has_picks:
            return
        self._put(progress.run)
        self.n_picked += 1
        threshold = self.pick_sets.named(progress.run).threshold
        with self.project.lock:
            settings = self.project.settings
            if threshold is None or settings.pick_set == progress.run:
                threshold = settings.threshold
            # Confidences of another model mean something else, so the threshold starts at the new model's own.
            changed = {"pick_set": progress.run, "threshold": threshold}
            self.project.change(SettingsRequest.model_validate(changed))


def open_session(
    inputs: Sequence[str | Path],
    out: Path,
    *,
    picks: str | Path | None = None,
    labels: str | Path | None = None,
    box_size_px: float | None = None,
    pixel_size: float | None = None,
    include: Sequence[str] = (),
    read_only: bool = False,
    filaments: bool = False,
    width_px: float | None = None,
    say: Callable[[str], None] = lambda message: None,
) -> Session:
    """Open a project with the picks and labels given on the command line.

    Parameters
    ----------
    inputs, out, box_size_px, pixel_size, include, read_only, filaments, width_px
        As in `open_project`.
    picks
        Picks to show beside the labels.
    labels
        Labels to import; they are added to those of the project.
    say
        Told what takes time with many micrographs.
    """
    check_output_name(out)
    lock = None if read_only else ProjectLock(out)
    if lock is not None:
        lock.take()
        for folder in (out / "labels", out / "areas"):
            remove_leftovers(folder)  # a killed server leaves the files that it was writing
    say("Searching for micrographs…")
    project = open_project(
        inputs,
        out,
        box_size_px=box_size_px,
        pixel_size=pixel_size,
        include=include,
        read_only=read_only,
        filaments=filaments,
        width_px=width_px,
    )
    say(f"{count('micrograph', len(project.entries))}: opening the project…")
    session = Session(project, picks, lock)
    if labels is not None and not read_only:
        say("Importing labels…")
        # A user who repeats the command to go on may have corrected some of these labels since.
        session.exchange.import_labels(Path(labels), again=True)
    return session
