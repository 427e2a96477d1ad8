"""Trace filaments across machines on Dask, as `programs.dask` picks particles."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vitripick.atomic import remove_leftovers
from vitripick.errors import InputError, Spelling, current_spelling, parameters_spelled
from vitripick.formats import MicrographFile, find_micrographs, output_stems
from vitripick.formats.passed_by import passed_by_collected
from vitripick.models import device_name
from vitripick.models.card import ModelCard
from vitripick.models.detections import Network
from vitripick.models.engines import load_on_engine
from vitripick.models.filament_card import open_filament_model
from vitripick.programs.batch_jobs import Watch
from vitripick.programs.dask import cluster_client
from vitripick.programs.dask_workers import OncePerShare, as_they_end, each_on_workers, refuse_another_model
from vitripick.run_layout import RunLayout
from vitripick.runs.filament_folder import FailedTrace, FilamentFolder
from vitripick.runs.filament_record import Stored
from vitripick.runs.filaments import FilamentSummary, trace_files
from vitripick.runs.resources import resource_errors
from vitripick.settings.filaments import FilamentSettings
from vitripick.settings.pick import PickSettings

if TYPE_CHECKING:
    from distributed import Client, KilledWorker


def trace_on_cluster(
    inputs: Sequence[str | Path],
    out: str | Path,
    model: str | Path,
    lines: FilamentSettings,
    settings: PickSettings,
    *,
    cluster: str,
    device: str = "auto",
    on_done: Callable[[int, int, str], None] | None = None,
    on_found: Callable[[dict[str, object]], None] | None = None,
    on_width: Callable[[str], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> FilamentSummary:
    """Trace as `trace_many` does, on a Dask cluster; the files are the same, however the work is split.

    Parameters
    ----------
    inputs, out, lines, settings, on_done, on_found, on_width
        As in `trace_many`; paths must mean the same on the workers.
    model, cluster, device, on_note
        As in `pick_on_cluster`; the model is one of filaments.

    Raises
    ------
    InputError, UsageError, ResourceError
        As in `trace_many` and `pick_on_cluster`.
    """
    bundle = open_filament_model(model)
    folder = FilamentFolder(out, _OnWorkers(bundle.card, bundle.sha256, bundle.path), lines, settings)
    with passed_by_collected() as passed_by:
        files = find_micrographs(inputs, leave_out=[folder.out], include=settings.include)
    stems = output_stems(files)
    share = WorkerShare(
        out=str(out),
        model=str(model if not Path(model).is_file() else Path(model).absolute()),
        sha256=bundle.sha256,
        lines=lines,
        settings=settings,
        device=device,
        folder=os.getcwd(),
        spelling=current_spelling(),
    )
    with cluster_client(cluster, RunLayout(folder.out), on_note) as (client, watch):
        (settled,) = as_they_end([client.submit(settle_on_worker, share, files, pure=False)], watch)
        width = settled.result()
        if width is not None:
            folder.settle_width(files)  # reads what the worker kept in the folder
            if on_width is not None:
                on_width(width)
        summary = trace_files(
            folder,
            files,
            stems,
            by=lambda: _results(client, watch, share, files, stems, folder),
            on_done=on_done,
            on_found=on_found,
        )
        remove_leftovers(folder.out)  # lost workers may have left temporary files
    summary.passed_by = passed_by
    return summary


@dataclass(frozen=True)
class WorkerShare:
    """Holds what a worker must know to trace; each micrograph comes with it, a few hundred bytes."""

    out: str
    model: str
    sha256: str
    lines: FilamentSettings
    settings: PickSettings
    device: str
    folder: str
    spelling: Spelling | None


@dataclass(frozen=True)
class _OnWorkers:
    """Is a model that only the workers load."""

    card: ModelCard
    sha256: str
    path: Path | None

    @property
    def network(self) -> Network:
        """Raise `RuntimeError`: the network runs on the workers."""
        raise RuntimeError("the network runs on the workers")


def settle_on_worker(share: WorkerShare, files: Sequence[MicrographFile]) -> str | None:
    """Estimate the width on a worker, if it is not known; it is in the folder when this returns."""
    with parameters_spelled(share.spelling), resource_errors(Path(share.out)):
        return _folders.of(share).settle_width(files)


def trace_on_worker(share: WorkerShare, file: MicrographFile, stem: str) -> Stored | FailedTrace:
    """Trace one micrograph on a worker; its files are in the folder when this returns."""
    with parameters_spelled(share.spelling), resource_errors(Path(share.out)):
        folder = _folders.of(share)
        folder.settle_width([file])
        return folder.attempt(file, stem)


def _load(share: WorkerShare) -> FilamentFolder:
    model = open_filament_model(share.model)
    refuse_another_model(model.sha256, share)
    loaded = load_on_engine(
        model,
        engine=share.settings.engine,
        precision=share.settings.precision,
        device=device_name(share.device),
        filaments=True,
    )
    return FilamentFolder(share.out, loaded, share.lines, share.settings)


_folders = OncePerShare(_load)


def _results(
    client: Client,
    watch: Watch,
    share: WorkerShare,
    files: Sequence[MicrographFile],
    stems: dict[str, str],
    folder: FilamentFolder,
) -> Iterator[tuple[MicrographFile, Stored | FailedTrace]]:
    """Yield what became of each micrograph, as it becomes known."""

    def give_up(file: MicrographFile, lost: KilledWorker) -> Stored | FailedTrace:
        reason = f"{file.path}: every worker that traced it was lost ({lost}); give the workers more memory."
        return folder.give_up(file, stems[file.name], InputError(reason))

    yield from each_on_workers(client, watch, trace_on_worker, share, files, stems, give_up)
