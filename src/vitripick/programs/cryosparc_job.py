"""Pick as an External job of cryoSPARC, through cryosparc-tools (extra `[cryosparc]`).

This was written from the documentation and the sources of cryosparc-tools 5, and not tried with a live cryoSPARC. The
direction of y is not settled there (docs/formats.md), so the caller can flip it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from vitripick.errors import InputError, UsageError
from vitripick.formats import MicrographFile
from vitripick.geometry import Boxes
from vitripick.models import Model
from vitripick.run_layout import RunLayout
from vitripick.runs.record import read_stored
from vitripick.runs.run import Listener, Machine, Run
from vitripick.runs.summary import RunSummary
from vitripick.runs.suspects import summary_lines
from vitripick.settings.pick import PickSettings

_INPUT, _OUTPUT = "micrographs", "picked_particles"


def connect(instance: dict[str, Any]) -> Any:
    """Return a connection to an instance, from the arguments of `cryosparc.tools.CryoSPARC`.

    Raises
    ------
    UsageError
        If the extra is missing.
    InputError
        If the instance does not answer.
    """
    try:
        from cryosparc.tools import CryoSPARC
    except ImportError as error:
        raise UsageError("this needs cryosparc-tools: pip install 'vitripick[cryosparc]'.") from error
    client = CryoSPARC(**instance)
    if not client.test_connection():
        raise InputError("cryoSPARC does not answer; look at the address and the account in the instance's file.")
    return client


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

    Returns
    -------
    RunSummary
        The summary, as `pick_many` returns it; its micrographs are named by their path in the project.
    """
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
        files = [MicrographFile(path, folder / path) for path in paths]
        run = Run(files, out, model, settings, machine=Machine([device]), listener=Listener(on_done=on_done))
        with run:
            survey = run.survey()
            for line in [] if survey is None else survey.summary_lines():
                job.log(line)
            run.pick()
            summary = run.finish()
        picks = _picks_of(run.layout, summary, flip_y)
        rows = {path: i for i, path in enumerate(paths)}
        particles = job.alloc_output(_OUTPUT, sum(map(len, picks)))
        fill_particles(particles, picks, exposures, rows)
        job.save_output(_OUTPUT, particles)
        for failure in summary.failures:
            job.log(f"failed: {failure['error']}", level="warning")
        for line in summary_lines(summary.records):
            job.log(line)
        job.log(f"{summary.n_picks} picks on {len(summary.records)} micrographs with {summary.model}")
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


def _picks_of(layout: RunLayout, summary: RunSummary, flip_y: bool) -> list[Boxes]:
    picks = [read_stored(layout, record).above(summary.threshold) for record in summary.records]
    return [boxes.flipped(boxes.shape[0]) if flip_y and boxes.shape is not None else boxes for boxes in picks]
