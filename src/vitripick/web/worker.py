"""Train, pick and sort picks for the page, in a process of its own. `job_runner` starts `main` with the path of a job
file.

It writes its progress to stdout, one JSON object per line. The line `stop` on stdin ends it after the current step, and
so does the end of stdin: the process never outlives the server that started it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from vitripick.atomic import write_text_atomically
from vitripick.errors import InputError, Stopped, VitripickError, parameters_spelled
from vitripick.run_layout import STORE_FORMAT
from vitripick.settings.spelling import as_flag
from vitripick.web.filament_worker import trace_lines, train_lines
from vitripick.web.job import Job, JobFolder, read_job
from vitripick.web.own_files import try_lock

_PATIENCE_SECONDS = 20.0


def send_event(event: str, **what: Any) -> None:
    """Send one line to the server."""
    print(json.dumps({"event": event, **what}, ensure_ascii=False), flush=True)


def run(job: Job, folder: JobFolder, stop: threading.Event) -> None:
    """Do what a job asks for: describe the machine, sort picks, or train and then pick in the run folder."""
    if job.kind == "describe":
        describe(filaments=job.filaments)
        return
    if job.kind == "classes":
        sort(job, stop)
        return
    model = job.model
    if job.kind == "train" and not job.trained:
        model = train_lines(job, folder, stop, send_event) if job.filaments else train(job, folder, stop)
    if job.pick:
        if model is None:
            raise InputError("this job names no model to pick with; start it again in the page.")
        if job.filaments:
            trace_lines(job, model, folder, stop, send_event)
        else:
            pick(job, model, folder, stop)


def describe(*, filaments: bool = False) -> None:
    """Send the list of released models, of filaments or of particles, and the device that this machine computes on."""
    from vitripick.models import DEFAULT_MODEL, RELEASED, device_name, read_model_card
    from vitripick.models.engines import available_cores
    from vitripick.models.filament_card import DEFAULT_FILAMENT_MODEL
    from vitripick.models.released import OF_FILAMENTS

    cards = [(name, read_model_card(name)) for name in (OF_FILAMENTS if filaments else RELEASED)]
    send_event(
        "described",
        default=DEFAULT_FILAMENT_MODEL if filaments else DEFAULT_MODEL,
        released=[{"name": name, "description": card.description, "threshold": card.threshold} for name, card in cards],
        device=device_name("auto").partition(":")[0],
        threads=available_cores(),
    )


def train(job: Job, folder: JobFolder, stop: threading.Event) -> str:
    """Train on the labels that the server copied into the run folder, and return the path of the new model."""
    from vitripick.training import About, Callbacks, TrainingSet, default_settings
    from vitripick.training import train as train_model

    if job.settings is None:
        raise InputError("this job gives no number of steps; start it again in the page.")
    entry = TrainingSet(micrographs=str(folder.to_train), labels=str(folder.labels), areas=str(folder.areas))
    # People label only some particles of most micrographs. Those marked "fully labelled" count in full anyway.
    changes = {"unlabelled": "teach", **job.settings.arguments(from_scratch=job.start is None)}
    if job.start is None:
        settings = default_settings(**changes)
    else:
        from vitripick.models import read_model_card

        settings = default_settings(read_model_card(job.start).architecture, fine_tune=True, **changes)
    send_event("stage", stage="training", steps=settings.steps)
    result = train_model(
        entry,
        folder.train,
        settings=settings,
        start=job.start,
        about=About(name=job.name, description=job.description),
        device="auto",
        callbacks=Callbacks(
            on_step=lambda step, steps, loss: send_event("step", step=step, steps=steps, loss=round(loss, 4)),
            on_epoch=lambda row: send_event("validation", row={key: round(value, 5) for key, value in row.items()}),
            should_stop=stop.is_set,
        ),
    )
    from vitripick.models.engines.export import write_graph_or_warn

    write_graph_or_warn(result.model)
    send_event("trained", threshold=result.model.card.threshold, seconds=round(result.seconds, 1))
    return str(result.path)


def pick(job: Job, model: str, folder: JobFolder, stop: threading.Event) -> None:
    """Pick the micrographs of the job into the `picks` of its run folder, except those that are picked already."""
    from vitripick.models import device_name, open_model
    from vitripick.runs import PickSettings, pick_many

    send_event("stage", stage="picking", total=job.n_pick)

    def done(n_done: int, total: int, name: str) -> None:
        send_event("picked", done=n_done, total=total, name=name)
        if stop.is_set():
            raise Stopped(f"stopped after {n_done} of {total} micrographs; the picks so far are kept.")

    # A box drawn on the micrograph says how large the particle is. Labels may lie at the border, so picks may, too.
    settings = PickSettings(
        diameter_px=job.diameter_px,
        keep_diameter=True,
        pixel_size=job.pixel_size,
        edge="centre",
        formats=(STORE_FORMAT,),
    )
    bundle = open_model(model)
    summary = pick_many([folder.to_pick], folder.picks, bundle, settings, device=device_name("auto"), on_done=done)
    failures = {failure["micrograph"]: failure["error"] for failure in summary.failures}
    send_event("finished picking", n_picks=summary.n_picks, threshold=summary.threshold, failures=failures)


def sort(job: Job, stop: threading.Event) -> None:
    """Sort the picks of a run folder into classes."""
    from vitripick.runs.classes import Steps, classify_run
    from vitripick.runs.folder import read_run_folder
    from vitripick.settings.classes import ClassesSettings

    if job.picks is None or job.classes is None:
        raise InputError("this job names no picks to sort; start it again in the page.")
    send_event("stage", stage="classes")

    def stage(words: str) -> None:
        send_event("sorting", words=words)
        if stop.is_set():
            raise Stopped("stopped; these picks are not sorted.")

    def done(n_done: int, total: int, name: str) -> None:
        send_event("sorting", done=n_done, total=total)
        if stop.is_set():
            raise Stopped("stopped; these picks are not sorted.")

    stated = read_run_folder(job.picks).diameter_px
    settings = ClassesSettings(
        n=job.n_classes, threshold=job.threshold, diameter_px=None if stated is not None else job.diameter_px
    )
    classify_run(job.picks, job.classes, settings, steps=Steps(stage, done))


def main(path: Path) -> int:
    """Run one job, write `result.json` beside it, and return the exit code."""
    stop = threading.Event()
    threading.Thread(target=_listen, args=(stop,), daemon=True).start()
    # The server and the user's browser need the CPU first.
    if hasattr(os, "nice"):  # Windows has no nice
        os.nice(5)
    job, folder = read_job(path), JobFolder(path.parent)
    held = None if job.kind == "describe" else try_lock(folder.lock)
    outcome: dict[str, Any] = {"outcome": "done"}
    code = 0
    try:
        # The page belongs to a command, whose options docs/options.md explains.
        with parameters_spelled(as_flag):
            run(job, folder, stop)
    except Stopped as error:
        outcome, code = {"outcome": "stopped", "message": str(error)}, error.exit_code
    except VitripickError as error:
        outcome, code = {"outcome": "failed", "message": str(error)}, error.exit_code
    except MemoryError:
        outcome, code = {"outcome": "failed", "message": "out of memory."}, 5
    outcome["cpu_seconds"] = round(time.process_time(), 1)
    if job.kind != "describe":
        write_text_atomically(folder.result, json.dumps(outcome, ensure_ascii=False) + "\n")
    send_event("end", **outcome)
    if held is not None:
        held.close()
    return code


def _listen(stop: threading.Event) -> None:
    line = sys.stdin.readline()
    stop.set()
    if not line:
        # The server is gone. A step ends within seconds; a process that takes longer is ended.
        threading.Timer(_PATIENCE_SECONDS, os._exit, (130,)).start()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
