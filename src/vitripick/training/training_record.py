"""Write what a run folder says about itself (settings, split, versions, curves), and check whether a run may continue
there."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from vitripick.atomic import write_bytes_atomically, write_text_atomically
from vitripick.errors import UsageError, parameter
from vitripick.json_toml import read_json_object
from vitripick.pictures import training_curves_png
from vitripick.settings.train import SimulatedSet, TrainingSet, TrainSettings
from vitripick.training.checkpoint import Checkpoint, Row
from vitripick.training.precision import training_precision
from vitripick.training.processes import Processes
from vitripick.training.samples import TrainingData
from vitripick.version import VERSION


def training_summary(
    settings: TrainSettings, data: TrainingData, started_from: dict[str, Any] | None
) -> dict[str, Any]:
    """Return, for the bundle's card, how these weights were made."""
    return {
        **({} if started_from is None else {"started_from": started_from}),
        "settings": settings.model_dump(),
        "split": list(data.split),
        "diameters_px": list(data.diameters_px),
        "n_labels": int(sum(len(sample.labels) for sample in data.training)),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Return the versions of the libraries that the weights depend on."""
    return {
        "vitripick": VERSION,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }


def fingerprint(
    data: TrainingData, settings: TrainSettings, started_from: dict[str, Any] | None, n_processes: int
) -> str:
    """Return a hash of all that decides the weights: settings, start model, every prepared pixel and label."""
    digest = hashlib.sha256(f"{settings.model_dump_json()} {n_processes}".encode())
    if started_from is not None:
        digest.update(f"{started_from['weights_sha256']} {started_from['trainable']}".encode())
    for sample in [*data.training, *data.validation]:
        digest.update(f"{sample.name} {sample.set_weight}".encode())
        digest.update(sample.image.tobytes())
        digest.update(sample.labels.tobytes())
        digest.update(b"" if sample.knowledge.ignored is None else sample.knowledge.ignored.tobytes())
        digest.update(b"" if sample.knowledge.junk is None else np.packbits(sample.knowledge.junk).tobytes())
        digest.update(sample.knowledge.rejected.tobytes() + repr(sample.knowledge.complete).encode())
    return digest.hexdigest()


def check_run_folder(out: Path, checkpoint: Checkpoint) -> None:
    """Raise `UsageError`, before anything in it is touched, if the folder holds another run than the checkpoint's."""
    written = out / "settings.json"
    if checkpoint.path.is_file() and written.is_file():
        try:
            other = read_json_object(written).get("fingerprint")
        except ValueError:
            other = None  # a damaged file cannot be compared, so the folder counts as another run's
        if other != checkpoint.fingerprint:
            raise UsageError(
                f"{out} belongs to a run with other settings or data; give another {parameter('out')}, or remove that "
                "folder."
            )


def write_provenance(
    out: Path,
    sets: Sequence[TrainingSet | SimulatedSet],
    settings: TrainSettings,
    data: TrainingData,
    processes: Processes,
    fingerprint: str,
    started_from: dict[str, Any] | None,
) -> None:
    """Write `settings.json` and `split.json`."""
    effective = {
        "sets": [entry.model_dump() for entry in sets],
        "training": settings.model_dump(),
        "started_from": started_from,
        "device": str(processes.device),
        "precision": training_precision(settings.precision, processes.device, settings.architecture),
        "processes": processes.world,
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "fingerprint": fingerprint,
    }
    write_text_atomically(out / "settings.json", json.dumps(effective, indent=2) + "\n")
    write_text_atomically(out / "split.json", json.dumps(data.split, indent=2) + "\n")


def write_curves(out: Path, rows: list[Row]) -> None:
    """Write `curves.csv` and `curves.png`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text_atomically(out / "curves.csv", text.getvalue())
    write_bytes_atomically(out / "curves.png", training_curves_png(rows))
