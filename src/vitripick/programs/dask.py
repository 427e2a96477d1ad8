"""Pick across machines on Dask (extra `[cluster]`): each worker loads the model once and writes its own files.

The scheduler hands out micrographs one by one. If a worker is lost, another one picks its current micrograph again. All
workers share a file system, so a path means the same file on each of them.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from vitripick.atomic import remove_leftovers
from vitripick.errors import InputError, Spelling, UsageError, current_spelling, parameter, parameters_spelled
from vitripick.formats import MicrographFile, find_micrographs
from vitripick.formats.passed_by import passed_by_collected
from vitripick.json_toml import read_toml
from vitripick.models import device_name, open_model
from vitripick.programs.batch_jobs import BatchJobs, IdleScheduler, NoWatch, Watch
from vitripick.programs.batch_systems import BATCH_SYSTEMS, Report, job_class
from vitripick.programs.dask_workers import OncePerShare, as_they_end, each_on_workers, refuse_another_model
from vitripick.run_layout import RunLayout
from vitripick.runs.record import Outcome
from vitripick.runs.resources import resource_errors
from vitripick.runs.run import Listener, Run
from vitripick.runs.step import FolderPicker
from vitripick.runs.summary import RunSummary
from vitripick.runs.survey import Survey
from vitripick.settings import Settings
from vitripick.settings.pick import PickSettings

if TYPE_CHECKING:
    from distributed import Client, KilledWorker

# A scheduler that was just started needs some seconds, but a wrong address should not take a minute to fail.
_SECONDS_TO_ANSWER = 20.0
# Batch systems read a path in a job script up to a blank, and some give other characters a special meaning.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./+-]+")


class ClusterSettings(Settings):
    """Says how to start a cluster, as a TOML of `--cluster` holds it.

    Attributes
    ----------
    kind
        The batch system, or `local` for processes on this machine.
    jobs
        Number of batch jobs to ask for, or of processes if local.
    options
        Arguments for dask-jobqueue's class of this batch system (or `distributed.LocalCluster`), passed unchanged.
    """

    kind: Literal["slurm", "pbs", "sge", "lsf", "local"]
    jobs: int = Field(ge=1)
    options: dict[str, Any] = Field(default_factory=dict)


def pick_on_cluster(
    inputs: Sequence[str | Path],
    out: str | Path,
    model: str | Path,
    settings: PickSettings | None = None,
    *,
    cluster: str,
    device: str = "auto",
    on_done: Callable[[int, int, str], None] | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
    on_survey: Callable[[Survey], None] | None = None,
    on_stage: Callable[[str], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> RunSummary:
    """Pick as `pick_many` does, on a Dask cluster; the files are the same, however the work is split.

    Parameters
    ----------
    inputs, out, settings, on_done, on_outcome, on_survey, on_stage
        As in `pick_many`; paths must mean the same on the workers.
    model
        A released model's name or a bundle's path, which every worker loads for itself.
    cluster
        Address of a scheduler (`tcp://host:8786`), or a TOML with a `ClusterSettings`.
    device
        Device of the network, chosen on each worker.
    on_note
        Called with each line that says what the run waits for: jobs that were submitted, are pending, were refused.

    Raises
    ------
    InputError, UsageError
        As in `pick_many`; also if the extra is missing, the workers cannot be started or reached, or the batch system
        refuses the jobs.
    ResourceError
        If disk, memory or GPU memory runs out on a worker; what is done stays.
    """
    bundle = open_model(model)
    with passed_by_collected() as passed_by:
        files = find_micrographs(inputs, leave_out=[out], include=(settings or PickSettings()).include)
    run = Run(
        files,
        out,
        bundle,
        settings,
        listener=Listener(on_survey, on_outcome, on_done, on_stage),
    )
    share = WorkerShare(
        out=str(out),
        model=str(model if not Path(model).is_file() else Path(model).absolute()),
        sha256=bundle.sha256,
        settings=run.picker.settings,
        device=device,
        folder=os.getcwd(),
        spelling=current_spelling(),
    )
    with cluster_client(cluster, run.layout, on_note) as (client, watch), run:
        run.survey(by=lambda files: _surveyed(client, watch, share, files))
        share = dataclasses.replace(share, settings=run.picker.settings)
        run.pick(by=lambda files, stems: _results(client, watch, share, files, stems, run.picker))
        summary = run.finish()
        remove_leftovers(run.layout.out)  # lost workers may have left temporary files
    summary.passed_by = passed_by
    return summary


@dataclasses.dataclass(frozen=True)
class WorkerShare:
    """Holds what a worker must know to pick; each micrograph comes with it, a few hundred bytes."""

    out: str
    model: str
    sha256: str
    settings: PickSettings
    device: str
    folder: str
    spelling: Spelling | None


def survey_on_worker(share: WorkerShare, files: Sequence[MicrographFile]) -> Survey | None:
    """Survey on a worker what the settings leave open; `survey.json` is in the run folder when this returns."""
    with parameters_spelled(share.spelling), resource_errors(Path(share.out)):
        return _pickers.of(share).survey(files)


def pick_on_worker(share: WorkerShare, file: MicrographFile, stem: str) -> Outcome:
    """Pick one micrograph on a worker; its files are in the run folder when this returns."""
    with parameters_spelled(share.spelling):
        picker = _pickers.of(share)
        with resource_errors(Path(share.out)):
            return picker.attempt(file, stem)


def _load(share: WorkerShare) -> FolderPicker:
    model = open_model(share.model)
    refuse_another_model(model.sha256, share)
    return FolderPicker(share.out, model, share.settings, device=device_name(share.device))


_pickers = OncePerShare(_load)


def _ignore(line: str) -> None:
    """Take a line and do nothing with it."""


def _surveyed(client: Client, watch: Watch, share: WorkerShare, files: Sequence[MicrographFile]) -> Survey | None:
    (future,) = as_they_end([client.submit(survey_on_worker, share, files, pure=False)], watch)
    found: Survey | None = future.result()
    return found


def _results(
    client: Client,
    watch: Watch,
    share: WorkerShare,
    files: Sequence[MicrographFile],
    stems: dict[str, str],
    picker: FolderPicker,
) -> Generator[Outcome, None, None]:
    """Yield what became of each micrograph, as it becomes known."""

    def give_up(file: MicrographFile, lost: KilledWorker) -> Outcome:
        reason = f"{file.path}: every worker that picked it was lost ({lost}); give the workers more memory."
        return picker.give_up(file, stems[file.name], reason, picker.made_from(file))

    for _, outcome in each_on_workers(client, watch, pick_on_worker, share, files, stems, give_up):
        yield outcome


@contextmanager
def cluster_client(
    cluster: str, layout: RunLayout, on_note: Callable[[str], None] | None
) -> Iterator[tuple[Client, Watch]]:
    """Start a cluster, or connect to one, and end what was started afterwards.

    Parameters
    ----------
    cluster, on_note
        As in `pick_on_cluster`.
    layout
        Where batch jobs write their output, unless the TOML says another place.
    """
    on_note = on_note or _ignore
    try:
        from distributed import Client
    except ImportError as error:
        raise UsageError(f"{parameter('cluster')} needs Dask: pip install 'vitripick[cluster]'.") from error
    # Importing it makes its loggers report every connection, and these lines would hide important ones.
    logging.getLogger("distributed").setLevel(logging.WARNING)
    if "://" in cluster:
        try:
            client = Client(cluster, timeout=_SECONDS_TO_ANSWER)
        except (OSError, ValueError) as error:
            raise InputError(f"{parameter('cluster', cluster)}: no Dask scheduler answers there ({error}).") from error
        with client:
            yield client, IdleScheduler(client, cluster, on_note)
        return
    settings = read_cluster_settings(Path(cluster))
    if settings.kind == "local":
        with make_cluster(settings) as running, Client(running) as client:
            yield client, NoWatch()
        return
    with (
        _logs_below(layout, settings) as settings,
        _submitting(settings, Path(cluster), on_note) as (running, watch),
        Client(running) as client,
    ):
        yield client, watch


def read_cluster_settings(path: Path) -> ClusterSettings:
    """Read the settings of a cluster from a TOML with `kind`, `jobs` and a table `options`.

    Raises
    ------
    InputError
        If the file cannot be read, or holds something else.
    """
    try:
        return ClusterSettings.model_validate(read_toml(path))
    except OSError as error:
        raise InputError(
            f"{parameter('cluster', str(path))}: neither a scheduler's address (tcp://host:8786) nor a file that can "
            f"be read ({error.strerror})."
        ) from error
    except (ValueError, ValidationError) as error:
        raise InputError(f"{path}: not a description of a cluster ({error}); docs/lab.md shows one.") from error


def make_cluster(settings: ClusterSettings, report: Callable[[Report], None] | None = None) -> Any:
    """Return the cluster of Dask or dask-jobqueue; with a batch system, it has no workers yet.

    Parameters
    ----------
    settings
        From `read_cluster_settings`.
    report
        Called with what becomes of each batch job that is submitted.

    Raises
    ------
    UsageError
        If the extra is missing, or the options do not suit the class.
    """
    try:
        if settings.kind == "local":
            from distributed import LocalCluster

            options: dict[str, Any] = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", **settings.options}
            try:
                return LocalCluster(n_workers=settings.jobs, processes=True, **options)
            except RuntimeError as error:  # a worker did not start; the cause says why
                raise UsageError(f"[options] of a local cluster: {error.__cause__ or error}") from error
        import dask_jobqueue

        made = getattr(dask_jobqueue, BATCH_SYSTEMS[settings.kind].cluster)
        jobs = {"job_cls": job_class(made.job_cls, report)} if report is not None else {}
        return made(**{**jobs, **settings.options})
    except ImportError as error:
        raise UsageError(f"{parameter('cluster')} with a batch system: pip install 'vitripick[cluster]'.") from error
    # A scheduler that does not start, for example on an interface that is not there, is a RuntimeError with the reason.
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"[options] of a {settings.kind} cluster: {error.__cause__ or error}") from error


@contextmanager
def _logs_below(layout: RunLayout, settings: ClusterSettings) -> Iterator[ClusterSettings]:
    """Let the jobs write their output below the run folder, unless the person says where; remove empty folders."""
    import dask

    folder = layout.log / "jobs"
    key = "log_directory"
    given = settings.options.get(key) or dask.config.get(f"jobqueue.{settings.kind}.log-directory", None)
    if given or not _PLAIN_PATH.fullmatch(str(folder.absolute())):
        yield settings
        return
    missing = [one for one in (folder, folder.parent, folder.parent.parent) if not one.exists()]
    try:
        yield settings.model_copy(update={"options": {**settings.options, key: str(folder.absolute())}})
    finally:
        with suppress(OSError):
            for one in missing:
                one.rmdir()


@contextmanager
def _submitting(
    settings: ClusterSettings, source: Path, on_note: Callable[[str], None]
) -> Iterator[tuple[Any, BatchJobs]]:
    """Start a cluster whose jobs are watched, and end it afterwards."""
    folder = settings.options.get("log_directory")
    watch = BatchJobs(
        BATCH_SYSTEMS[settings.kind], source, settings.jobs, on_note, None if folder is None else Path(folder)
    )
    with make_cluster(settings, watch.report) as running:
        # If the command is missing, every job would be refused; a message about the machine helps more.
        submit = str(running.job_cls.submit_command).split()[0]
        if shutil.which(submit) is None:
            raise UsageError(
                f"{parameter('cluster')}, kind {settings.kind!r}: there is no {submit!r} on this machine; give the "
                "command on one from which jobs are submitted."
            )
        watch.start(running)
        yield running, watch
