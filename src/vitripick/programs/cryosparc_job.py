"""Pick as an External job of cryoSPARC, through cryosparc-tools (extra `[cryosparc]`).

Tables are tested with the `Dataset` of cryosparc-tools 5.0.3; the calls to an instance follow its documentation and
sources, and were not tried with a live cryoSPARC. The direction of y there is not known (docs/formats.md), so the
caller can flip it.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from vitripick.errors import InputError, UsageError
from vitripick.formats import MicrographFile
from vitripick.formats.star.optics import OpticsGroup
from vitripick.geometry import Boxes
from vitripick.models import Model
from vitripick.run_layout import RunLayout
from vitripick.runs.record import read_exported
from vitripick.runs.run import Listener, Machine, Run
from vitripick.runs.summary import RunSummary
from vitripick.settings.pick import PickSettings

_INPUT, _OUTPUT = "micrographs", "picked_particles"


def connect(instance: dict[str, Any]) -> Any:
    """Return a connection to an instance, from the arguments of `cryosparc.tools.CryoSPARC`.

    Raises
    ------
    UsageError
        If the extra is missing.
    InputError
        If the instance does not answer, or does not take these arguments.
    """
    try:
        from cryosparc.tools import CryoSPARC
    except ImportError as error:
        raise UsageError("this needs cryosparc-tools: pip install 'vitripick[cryosparc]'.") from error
    # Version 5 raises a RuntimeError for whatever went wrong, and a ValueError where no account is given.
    refusals: tuple[type[Exception], ...] = (RuntimeError, ValueError, OSError, *_instance_errors())
    failed = f"there is no connection to cryoSPARC at {_address(instance)}"
    advice = "Look at the address and the account in the instance's file."
    try:
        # Each of its tries would print two lines. Version 4 prints whether the instance is there.
        with warnings.catch_warnings(), redirect_stdout(sys.stderr):
            warnings.filterwarnings("ignore", message=r"\*\*\* API client")
            client = CryoSPARC(**instance)
            answers = client.test_connection()
    except TypeError as error:
        raise InputError(f"cryosparc-tools does not accept the values in the instance's file: {error}.") from error
    except refusals as error:
        reason = str(error.__cause__ or error).strip().partition("\n")[0].rstrip(". ") or type(error).__name__
        raise InputError(f"{failed}: {reason}. {advice}") from error
    if not answers:
        raise InputError(f"{failed}. {advice}")
    return client


def _address(instance: dict[str, Any]) -> str:
    """Return the address that a person gave, for messages; the instance's file may hold a password, too."""
    if instance.get("base_url"):
        return str(instance["base_url"])
    return f"{instance.get('host', 'localhost')}:{instance.get('base_port', 39000)}"


def _instance_errors() -> tuple[type[Exception], ...]:
    """Return what cryosparc-tools raises where the instance refuses a call or is not there any more."""
    found: list[Any] = []
    with suppress(ImportError):
        from cryosparc import errors

        # Version 5 has the first one, version 4 the second.
        found += [getattr(errors, name, None) for name in ("APIError", "CommandError", "ExternalJobError")]
    with suppress(ImportError):
        import httpx

        found += [httpx.HTTPError, httpx.InvalidURL]
    return tuple(one for one in found if one is not None)


def _in_one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__


@contextmanager
def _refusals_told() -> Iterator[None]:
    """Turn what an instance refuses into an error that the user can mend, in one line."""
    try:
        yield
    except _instance_errors() as error:
        raise InputError(f"cryoSPARC refused, or no longer answers: {_in_one_line(error)}.") from error


def run_cryosparc_job(
    client: Any,
    *,
    project: str,
    workspace: str,
    source: str,
    out: str | Path,
    model: Model,
    settings: PickSettings | None = None,
    device: str = "cpu",
    flip_y: bool = False,
    on_done: Callable[[int, int, str], None] | None = None,
    on_stage: Callable[[str], None] | None = None,
) -> RunSummary:
    """Pick the micrographs of a job and save them as particles of a new External job.

    Parameters
    ----------
    client
        From `connect`.
    project, workspace
        Their numbers, such as `P3` and `W1`.
    source
        The job and its output with the micrographs: `J12.micrographs`.
    out
        Our run folder, from which a stopped job can continue. The project's folder must be readable here.
    model, settings, device
        As in `pick_many`.
    flip_y
        Count y from the last row.
    on_done
        Called with (done, total, name) after each micrograph.
    on_stage
        Called with what the run does next, in words.

    Returns
    -------
    RunSummary
        The summary, as `pick_many` returns it; its micrographs are named by their path in the project.

    Raises
    ------
    InputError
        If the instance refuses something, or none of the micrographs could be picked. The job is then marked as failed.
    """
    listener = Listener(on_done=on_done, on_stage=on_stage)
    with _refusals_told():
        return _run_job(
            client, project, workspace, source, out, model, settings or PickSettings(), device, flip_y, listener
        )


def _run_job(
    client: Any,
    project: str,
    workspace: str,
    source: str,
    out: str | Path,
    model: Model,
    settings: PickSettings,
    device: str,
    flip_y: bool,
    listener: Listener,
) -> RunSummary:
    source_job, _, output = source.partition(".")
    if not source_job or not output:
        raise UsageError(f"{source!r}: give the job and its output with the micrographs, such as J12.micrographs.")
    found = client.find_project(project)
    job = found.create_external_job(workspace, title="vitripick: particle picking")
    job.connect(_INPUT, source_job, output, slots=["micrograph_blob"])
    job.add_output("particle", _OUTPUT, slots=["location", "pick_stats"])
    with job.run():
        exposures = job.load_input(_INPUT, ["micrograph_blob"])
        # cryosparc-tools 5 has a path here; version 4 has a function that returns one.
        folder = Path(found.dir if isinstance(found.dir, PurePath | str) else found.dir())
        paths = [str(path) for path in exposures["micrograph_blob/path"]]
        files = [
            MicrographFile(path, folder / path, optics=None if size is None else OpticsGroup(pixel_size=size))
            for path, size in zip(paths, _pixel_sizes(exposures, len(paths)), strict=True)
        ]
        run = Run(files, out, model, settings, machine=Machine([device]), listener=listener)
        with run:
            survey = run.survey()
            for line in [] if survey is None else survey.summary_lines():
                job.log(line)
            run.pick()
            summary = run.finish()
        for failure in summary.failures:
            job.log(f"failed: {failure['error']}", level="warning")
        if not summary.records:
            # Without an error, cryoSPARC would show a completed job with 0 particles.
            reason = summary.failures[0]["error"] if summary.failures else f"{source} has no micrographs."
            raise InputError(f"no micrograph of {source} was picked; the first one: {reason}")
        picks = _picks_of(run.layout, summary, flip_y)
        rows = {path: i for i, path in enumerate(paths)}
        particles = job.alloc_output(_OUTPUT, sum(map(len, picks)))
        fill_particles(particles, picks, exposures, rows)
        job.save_output(_OUTPUT, particles)
        for line in summary.lines():
            job.log(line)
    return summary


def fill_particles(particles: Any, picks: list[Boxes], exposures: Any, rows: dict[str, int]) -> None:
    """Fill those columns of an allocated table of particles that the instance has.

    Parameters
    ----------
    particles
        A table with one row for each pick and columns by name, such as a `cryosparc.dataset.Dataset`.
    picks
        Picks of each micrograph, named by its path in the project.
    exposures, rows
        The micrographs' table, and the row of each path.
    """
    n_each = [len(boxes) for boxes in picks]
    of_exposure = np.repeat([rows[str(boxes.micrograph)] for boxes in picks], n_each).astype(np.intp)
    shapes = np.repeat(np.array([boxes.shape for boxes in picks], np.uint32).reshape(-1, 2), n_each, axis=0)
    x, y, confidence = (
        np.concatenate([getattr(boxes, name) for boxes in picks] or [np.empty(0)]) for name in ("x", "y", "confidence")
    )
    columns = {
        "location/micrograph_uid": np.asarray(exposures["uid"])[of_exposure],
        "location/micrograph_path": np.asarray(exposures["micrograph_blob/path"])[of_exposure],
        "location/micrograph_shape": shapes,
        "location/center_x_frac": x / np.maximum(shapes[:, 1], 1),
        "location/center_y_frac": y / np.maximum(shapes[:, 0], 1),
        "pick_stats/ncc_score": confidence,
        "pick_stats/power": confidence,
    }
    if "micrograph_blob/psize_A" in exposures:
        columns["location/micrograph_psize_A"] = np.asarray(exposures["micrograph_blob/psize_A"])[of_exposure]
    if "location/exp_group_id" in particles:
        columns["location/exp_group_id"] = np.ones(len(of_exposure), np.uint32)
    for name, values in columns.items():
        if name in particles:
            particles[name] = values


def _pixel_sizes(exposures: Any, n: int) -> list[float | None]:
    """Return what cryoSPARC says about each micrograph's pixel size, which overrides the header's; None if nothing."""
    if "micrograph_blob/psize_A" not in exposures:
        return [None] * n
    sizes = np.asarray(exposures["micrograph_blob/psize_A"], np.float64)
    return [float(size) if np.isfinite(size) and size > 0 else None for size in sizes]


def _picks_of(layout: RunLayout, summary: RunSummary, flip_y: bool) -> list[Boxes]:
    picks = [read_exported(layout, record).above(summary.threshold) for record in summary.records]
    return [boxes.flipped(boxes.shape[0]) if flip_y and boxes.shape is not None else boxes for boxes in picks]
