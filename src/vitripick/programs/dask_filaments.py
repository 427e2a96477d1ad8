"""Trace filaments across machines on Dask, as `programs.dask` picks particles."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vitripick.atomic import remove_leftovers
from vitripick.errors import InputError, Spelling, current_spelling, parameters_spelled
from vitripick.formats import MicrographFile, find_micrographs, output_stems
from vitripick.models import device_name
from vitripick.models.card import ModelCard
from vitripick.models.detections import Network
from vitripick.models.engines import load_on_engine
from vitripick.models.filament_card import open_filament_model
from vitripick.programs.batch_jobs import Watch
from vitripick.programs.dask import as_they_end, cluster_client
from vitripick.run_layout import RunLayout
from vitripick.runs.filament_folder import FailedTrace, FilamentFolder
from vitripick.runs.filament_record import Stored
from vitripick.runs.filaments import FilamentSummary, trace_files
from vitripick.runs.resources import resource_errors
from vitripick.settings.filaments import FilamentSettings
from vitripick.settings.pick import PickSettings

if TYPE_CHECKING:
    from distributed import Client


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
            by=lambda: _results(client, watch, share, files, stems),
            on_done=on_done,
            on_found=on_found,
        )
        remove_leftovers(folder.out)  # lost workers may have left temporary files
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


# A worker process loads a model for its first micrograph and keeps it here.
_folders: dict[WorkerShare, FilamentFolder] = {}
_loading = threading.Lock()


def settle_on_worker(share: WorkerShare, files: Sequence[MicrographFile]) -> str | None:
    """Estimate the width on a worker, if it is not known; it is in the folder when this returns."""
    with parameters_spelled(share.spelling), resource_errors(Path(share.out)):
        return _folder_of(share).settle_width(files)


def trace_on_worker(share: WorkerShare, file: MicrographFile, stem: str) -> Stored | FailedTrace:
    """Trace one micrograph on a worker; its files are in the folder when this returns."""
    with parameters_spelled(share.spelling), resource_errors(Path(share.out)):
        folder = _folder_of(share)
        folder.settle_width([file])
        return folder.attempt(file, stem)


def _folder_of(share: WorkerShare) -> FilamentFolder:
    # Paths are written as they were typed, so a worker must work in the same folder as the caller.
    if os.getcwd() != share.folder:
        os.chdir(share.folder)
    with _loading:
        folder = _folders.get(share)
        if folder is None:
            model = open_filament_model(share.model)
            if model.sha256 != share.sha256:
                raise InputError(f"{share.model}: this worker finds another model there than the caller.")
            loaded = load_on_engine(
                model,
                engine=share.settings.engine,
                precision=share.settings.precision,
                device=device_name(share.device),
                filaments=True,
            )
            folder = FilamentFolder(share.out, loaded, share.lines, share.settings)
            _folders.clear()
            _folders[share] = folder
        return folder


def _results(
    client: Client, watch: Watch, share: WorkerShare, files: Sequence[MicrographFile], stems: dict[str, str]
) -> Iterator[tuple[MicrographFile, Stored | FailedTrace]]:
    """Yield what became of each micrograph, as it becomes known."""
    from distributed import KilledWorker

    # Dask would return the remembered results of an earlier run, so pure=False makes it look at the disk again.
    futures = {client.submit(trace_on_worker, share, file, stems[file.name], pure=False): file for file in files}
    for future in as_they_end(list(futures), watch):
        file = futures[future]
        error = future.exception()
        if error is None:
            yield file, future.result()
        elif isinstance(error, KilledWorker):
            # Several workers died while they traced it, most likely because it needs more memory than they have.
            reason = f"every worker that traced it was lost ({error}); give the workers more memory."
            yield file, FailedTrace(file, InputError(f"{file.path}: {reason}"))
        else:
            client.cancel([f for f in futures if not f.done()])
            raise error
        future.release()
