"""What the page's second process does with filaments: train on labelled ones, and trace."""

from __future__ import annotations

import threading
from collections.abc import Callable

from vitripick.errors import InputError, Stopped
from vitripick.web.job import Job, JobFolder

Send = Callable[..., None]

# Filaments of a lower mean confidence are not kept; the page's threshold moves above this.
_FLOOR = 0.3


def train_lines(job: Job, folder: JobFolder, stop: threading.Event, send: Send) -> str:
    """Train on the filaments that the server copied into the run folder, and return the path of the new model.

    Raises
    ------
    Stopped
        If the user stopped it; the model so far is kept.
    """
    from vitripick.formats import find_micrographs, read_micrograph
    from vitripick.formats.filaments import read_filaments
    from vitripick.formats.names.stems import without_image_suffix
    from vitripick.models.bundle import choose_device
    from vitripick.models.filament_bundle import load_filament_model, save_filament_model
    from vitripick.training.filament_labels import train_filaments

    if job.settings is None:
        raise InputError("this job says no number of steps; start it again in the page.")
    steps = job.settings.steps
    send("stage", stage="training", steps=steps)
    pairs = []
    for file in find_micrographs([folder.to_train], include=["*"]):
        stem = without_image_suffix(file.name).lstrip("/")
        (labels,) = read_filaments(folder.labels / f"{stem}.csv")
        pairs.append((read_micrograph(file.path, name=file.name, pixel_size=job.pixel_size or file.pixel_size), labels))
    done = 0

    def on_step(step: int, total: int, loss: float) -> None:
        nonlocal done
        done = step
        send("step", step=step, steps=total, loss=round(loss, 4))

    model = train_filaments(
        pairs,
        start=None if job.start is None else load_filament_model(job.start),
        width_px=job.diameter_px,
        steps=steps,
        device=str(choose_device("auto")),
        name=job.name,
        on_step=on_step,
        should_stop=stop.is_set,
    )
    folder.train.mkdir(parents=True, exist_ok=True)
    if stop.is_set():
        save_filament_model(model, folder.best)
        raise Stopped(f"stopped after about {done} of {steps} steps; the model so far is kept.")
    path = folder.train / "model.safetensors"
    save_filament_model(model, path)
    send("trained", threshold=model.card.threshold)
    return str(path)


def trace_lines(job: Job, model: str, folder: JobFolder, stop: threading.Event, send: Send) -> None:
    """Trace the micrographs of the job into the `picks` of its run folder, except those that are traced already."""
    from vitripick.models import device_name
    from vitripick.models.engines import available_cores, load_on_engine
    from vitripick.models.filament_card import open_filament_model
    from vitripick.runs.filaments import trace_many
    from vitripick.settings.filaments import FilamentSettings
    from vitripick.settings.pick import PickSettings

    send("stage", stage="picking", total=job.n_pick)
    opened = open_filament_model(model)
    jobs = max(1, min(job.n_pick, available_cores()))
    settings = PickSettings(threshold=min(_FLOOR, opened.card.threshold), pixel_size=job.pixel_size, formats=())
    loaded = load_on_engine(
        opened,
        engine=settings.engine,
        precision=settings.precision,
        device=device_name("auto"),
        jobs=jobs,
        filaments=True,
    )

    def on_done(n_done: int, total: int, name: str) -> None:
        send("picked", done=n_done, total=total, name=name)
        if stop.is_set():
            raise Stopped(f"stopped after {n_done} of {total} micrographs; the filaments so far are kept.")

    summary = trace_many(
        [folder.to_pick],
        folder.picks,
        loaded,
        FilamentSettings(filaments=True, width_px=job.diameter_px),
        settings,
        jobs=jobs,
        on_done=on_done,
    )
    failures = {failure["micrograph"]: failure["error"] for failure in summary.failures}
    n_found = sum(row["filaments"] for row in summary.micrographs)
    send("finished picking", n_picks=n_found, threshold=opened.card.threshold, failures=failures)
