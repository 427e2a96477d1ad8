"""Trace filaments in an External job of RELION."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError

from vitripick.formats import MicrographFile
from vitripick.models.engines import load_on_engine
from vitripick.models.filament_card import open_filament_model
from vitripick.run_layout import RunLayout
from vitripick.runs.filament_folder import FilamentFolder
from vitripick.runs.filaments import FilamentSummary, trace_files
from vitripick.settings.filaments import FilamentSettings
from vitripick.settings.pick import PickSettings


def trace_as_job(
    layout: RunLayout,
    files: Sequence[MicrographFile],
    stems: dict[str, str],
    lines: FilamentSettings,
    settings: PickSettings,
    *,
    model: str,
    device: str,
    threads: int,
    stop: Callable[[], bool],
    on_done: Callable[[int, int, str], None],
    say: Callable[[str], None],
) -> FilamentSummary | None:
    """Trace the micrographs of a job; None if it was asked to stop.

    Parameters
    ----------
    layout
        Where the folder of filaments lies, and RELION's files.
    files, stems
        The micrographs, and the names of their coordinate files without ending.
    lines, settings
        How to trace.
    model, device, threads
        As in `RelionJob`.
    stop
        Returns true if the job should end after the current micrographs.
    on_done
        Called with (done, total, name) after each micrograph.
    say
        Called with lines for the job's output.

    Raises
    ------
    InputError, UsageError
        As in `trace_files`.
    """
    loaded = load_on_engine(
        open_filament_model(model),
        engine=settings.engine,
        precision=settings.precision,
        device=device,
        jobs=threads,
        threads=threads,
        filaments=True,
    )
    folder = FilamentFolder(layout.out, loaded, lines, settings, star_folder=layout.star_folder)
    width = folder.settle_width(files)
    if width is not None:
        say(width)
    try:
        return trace_files(folder, files, stems, jobs=threads, stop=stop, on_done=on_done)
    except CancelledError:
        return None
