"""The process that trains and picks for the page: `python -m vitripick.web.worker JOB.json`.

It speaks one JSON object a line on stdout. The line `stop` on stdin ends it after the current step, and so does the
end of stdin: it never outlives the server that started it.
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
from vitripick.errors import Stopped, VitripickError

# How much may be asked of a model: optimiser steps and, from scratch, the network's width and the particle's diameter
# in its pixels. A narrow network that sees particles small learns from a handful of clicks in a tenth of the time.
EFFORTS: dict[str, dict[str, Any]] = {
    "quick": {
        "steps": 200,
        "steps_per_epoch": 40,
        "batch_size": 8,
        "crop_px": 160,
        "scratch": {"options": {"width": 16}, "working_diameter_px": 20.0},
    },
    "standard": {"steps": 600, "steps_per_epoch": 100, "batch_size": 16, "scratch": {}},
    "thorough": {"steps": 1600, "steps_per_epoch": 200, "batch_size": 16, "scratch": {}},
}
_PATIENCE_SECONDS = 20.0


def tell(event: str, **what: Any) -> None:
    """One line for the server."""
    print(json.dumps({"event": event, **what}, ensure_ascii=False), flush=True)


def run(job: dict[str, Any], folder: Path, stop: threading.Event) -> None:
    """Do what a job asks for; see `jobs.py` for what it holds."""
    if job["kind"] == "describe":
        describe()
        return
    model = job["model"]
    if job["kind"] == "train" and not job.get("trained"):
        model = train(job, folder, stop)
    if job["pick"]:
        pick(job, model, folder, stop)


def describe() -> None:
    """Which released models there are and what this machine computes with."""
    import torch

    from vitripick.models import DEFAULT_MODEL, RELEASED, read_model_card

    cards = [(name, read_model_card(name)) for name in RELEASED]
    tell(
        "described",
        default=DEFAULT_MODEL,
        released=[{"name": name, "description": card.description, "threshold": card.threshold} for name, card in cards],
        device="cuda" if torch.cuda.is_available() else "cpu",
        threads=torch.get_num_threads(),
    )


def train(job: dict[str, Any], folder: Path, stop: threading.Event) -> str:
    """Train on the labels that the server copied into the run folder; the bundle's path."""
    from vitripick.training import About, Callbacks, TrainingSet, default_settings
    from vitripick.training import train as train_model

    entry = TrainingSet(
        micrographs=str(folder / "train.star"), labels=str(folder / "labels"), areas=str(folder / "areas")
    )
    # Micrographs marked "fully labelled" count in full anyway; on the others people have clicked what they liked.
    changes = {"unlabelled": "teach", **job["settings"]}
    only_from_scratch = changes.pop("scratch")
    start = job["start"]
    if start is None:
        settings = default_settings(**only_from_scratch, **changes)
    else:
        from vitripick.models import read_model_card

        settings = default_settings(read_model_card(start).architecture, fine_tune=True, **changes)
    tell("stage", stage="training", steps=settings.steps)
    result = train_model(
        entry,
        folder / "train",
        settings=settings,
        start=start,
        about=About(name=job["name"], description=job["description"]),
        device="auto",
        callbacks=Callbacks(
            on_step=lambda step, steps, loss: tell("step", step=step, steps=steps, loss=round(loss, 4)),
            on_epoch=lambda row: tell("validation", row={key: round(value, 5) for key, value in row.items()}),
            should_stop=stop.is_set,
        ),
    )
    tell("trained", threshold=result.model.card.threshold, seconds=round(result.seconds, 1))
    return str(result.path)


def pick(job: dict[str, Any], model: str, folder: Path, stop: threading.Event) -> None:
    """Pick the micrographs of the job into the run folder's `picks`; those that are done are passed over."""
    from vitripick.models import choose_device, load_model
    from vitripick.runs import PickSettings, pick_many

    tell("stage", stage="picking", total=job["n_pick"])

    def done(n_done: int, total: int, name: str) -> None:
        tell("picked", done=n_done, total=total, name=name)
        if stop.is_set():
            raise Stopped(f"stopped after {n_done} of {total} micrographs; the picks so far are kept.")

    # A box drawn on the micrograph says how large the particle is.
    settings = PickSettings(
        diameter_px=job["diameter_px"], keep_diameter=True, pixel_size=job["pixel_size"], formats=("cbox",)
    )
    bundle = load_model(model)
    summary = pick_many(
        [folder / "pick.star"], folder / "picks", bundle, settings, device=choose_device("auto"), on_done=done
    )
    failures = {failure["micrograph"]: failure["error"] for failure in summary.failures}
    tell("finished picking", n_picks=summary.n_picks, threshold=summary.threshold, failures=failures)


def main(path: Path) -> int:
    """Run one job and leave `result.json` beside it."""
    stop = threading.Event()
    threading.Thread(target=_listen, args=(stop,), daemon=True).start()
    # The server and the user's browser come first.
    if hasattr(os, "nice"):  # not on Windows
        os.nice(5)
    job = json.loads(path.read_text(encoding="utf-8"))
    outcome: dict[str, Any] = {"outcome": "done"}
    code = 0
    try:
        run(job, path.parent, stop)
    except Stopped as error:
        outcome, code = {"outcome": "stopped", "message": str(error)}, error.exit_code
    except VitripickError as error:
        outcome, code = {"outcome": "failed", "message": str(error)}, error.exit_code
    except MemoryError:
        outcome, code = {"outcome": "failed", "message": "out of memory."}, 5
    outcome["cpu_seconds"] = round(time.process_time(), 1)
    if job["kind"] != "describe":
        write_text_atomically(path.parent / "result.json", json.dumps(outcome, ensure_ascii=False) + "\n")
    tell("end", **outcome)
    return code


def _listen(stop: threading.Event) -> None:
    line = sys.stdin.readline()
    stop.set()
    if not line:
        # The server is gone. A step ends within seconds; after that there is nobody left to wait for.
        threading.Timer(_PATIENCE_SECONDS, os._exit, (130,)).start()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
