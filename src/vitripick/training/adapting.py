"""Adapt a model to the micrographs that it is to pick, without labels: it learns on from its own sure picks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from vitripick.atomic import write_text_atomically
from vitripick.encoding import check_output_name
from vitripick.errors import FormatError, InputError, ResourceError, UsageError, VitripickError, parameter
from vitripick.formats import MicrographFile, find_micrographs, read_micrograph, write_picks
from vitripick.formats.names.stems import without_image_suffix
from vitripick.formats.star.dialect import StarBlock, format_star, table_of
from vitripick.geometry import Boxes
from vitripick.json_toml import read_json_object
from vitripick.models import ModelFile, TorchModel, load_weights, save_model
from vitripick.models.engines import load_on_engine
from vitripick.picking import pick
from vitripick.runs import survey_micrographs
from vitripick.runs.sample import spread_over
from vitripick.settings.pick import PickSettings
from vitripick.settings.train import TrainingSet, TrainSettings
from vitripick.text import count
from vitripick.training.callbacks import Callbacks
from vitripick.training.plan import default_settings
from vitripick.training.run import train

# Picks from the first confidence on are labels, from the second one on they are left out, the rest is background. With
# these, F1 rose on four of five sets that the model had never seen and fell by 0.003 on the fifth
# (docs/benchmarks/training.md).
SURE, GROUND = 0.8, 0.1
# Micrographs that are learnt from, spread over the run.
N_LEARNT = 12
# Fewer sure picks would teach what is particular about them.
N_SURE = 50
# In the folder of a run.
FOLDER = "adapted"


def adapt_to_run(
    inputs: Sequence[str | Path],
    out: str | Path,
    model: ModelFile,
    settings: PickSettings | None = None,
    *,
    device: str = "cpu",
    train_settings: TrainSettings | None = None,
    callbacks: Callbacks | None = None,
) -> Path:
    """Let a model learn on from its own sure picks on up to twelve micrographs of a run, and return the new bundle.

    It lies in `OUT/adapted`. A later call returns it as it is, so that all picks of a run folder are of one model. The
    idea is that of students of noisy labels (Xie et al. 2020).

    Parameters
    ----------
    inputs
        Files, globs, folders or RELION micrographs STARs.
    out
        The run folder.
    model
        From `open_model`; one that was trained on several particles.
    settings
        How to pick. A diameter that is left open is estimated first.
    device
        Device that trains.
    train_settings
        How to train; by default the settings of fine-tuning.
    callbacks
        For progress, and to stop the training.

    Raises
    ------
    UsageError
        If the model knows one particle only, the particles are white, too few picks are sure, or `OUT/adapted` was made
        from another model or for another diameter or pixel size.
    InputError
        If there are no micrographs, or none can be read.
    FormatError
        If `OUT/adapted/adapted.json` is damaged.
    ResourceError
        If memory runs out.
    """
    check_output_name(out)
    settings, callbacks = settings or PickSettings(), callbacks or Callbacks()
    if model.card.diameter_px is not None or model.card.diameter_angstrom is not None:
        raise UsageError(
            f"{model.card.name} was trained on one particle, and only a model of several ones is adapted; leave out "
            f"{parameter('adapt')}, or train it on labels."
        )
    folder = Path(out) / FOLDER
    asked = {
        "model": model.sha256,
        "diameter_px": settings.diameter_px,
        "diameter_angstrom": settings.diameter_angstrom,
        "pixel_size": settings.pixel_size,
    }
    bundle, kept = folder / "model.safetensors", folder / "adapted.json"
    if bundle.is_file() and kept.is_file():
        try:
            before = read_json_object(kept).get("asked")
        except ValueError as error:
            raise FormatError(f"{kept}: cannot be read ({error}); remove {folder} to adapt again.") from error
        if before != asked:
            raise UsageError(
                f"{folder}: was adapted from another model or for another diameter or pixel size; give another "
                f"{parameter('out')}, or remove that folder."
            )
        return bundle
    callbacks.on_stage("adapting: looking at the micrographs")
    settings = survey_micrographs(inputs, model, settings, device=device).apply(settings)
    if settings.invert:
        raise UsageError(f"{parameter('adapt')} does not work with white particles; leave it out.")
    files = find_micrographs(inputs, leave_out=[out], include=settings.include)
    found = _write_labels(files, folder, model, settings, device)
    start = load_weights(model)
    entry = TrainingSet(
        micrographs=str(folder / "micrographs.star"),
        labels=str(folder / "labels"),
        ignored=str(folder / "ignored"),
        pixel_size=settings.pixel_size,
    )
    plan = train_settings or default_settings(start.card.architecture, fine_tune=True)
    train(entry, folder / "training", settings=plan, start=start, device=device, callbacks=callbacks)
    save_model(_student(start, folder / "training", found), bundle)
    write_text_atomically(kept, json.dumps({"asked": asked, **found}, indent=1) + "\n")
    return bundle


def _write_labels(
    files: Sequence[MicrographFile], folder: Path, model: ModelFile, settings: PickSettings, device: str
) -> dict[str, Any]:
    """List micrographs, write their labels and what to ignore into the folder, and return how many there are."""
    loaded = load_on_engine(model, engine=settings.engine, precision=settings.precision, device=device)
    everything = settings.model_copy(update={"threshold": 0.0, "aim": "balanced"})
    names: list[str] = []
    n_sure, n_ignored = 0, 0
    errors: list[VitripickError] = []
    for part in spread_over(files, N_LEARNT):
        for file in part:
            try:
                pixel_size = settings.pixel_size or file.pixel_size
                found = pick(read_micrograph(file.path, name=file.name, pixel_size=pixel_size), loaded, everything)
            except ResourceError:
                raise
            except VitripickError as error:
                errors.append(error)
                continue
            sure = found.above(SURE)
            between = found.select((found.confidence >= GROUND) & (found.confidence < SURE))
            name = str(file.path.absolute())
            # Labels are found by the micrograph's whole path, because two folders may hold micrographs of one name.
            own = without_image_suffix(name).lstrip("/")
            for which, boxes in (("labels", sure), ("ignored", between)):
                write_picks(_as_labels(boxes, name), folder / which / f"{own}.csv")
            names.append(name)
            n_sure, n_ignored = n_sure + len(sure), n_ignored + len(between)
            break
    if not names and errors:
        raise InputError(f"no micrograph could be read to adapt to: {errors[0]}")
    if n_sure < N_SURE:
        raise UsageError(
            f"{parameter('adapt')} needs {N_SURE} sure picks to learn from, and {count('micrograph', len(names))} "
            f"gave {n_sure}; leave it out, or label some particles and train on them."
        )
    table = table_of({"rlnMicrographName": names})
    write_text_atomically(folder / "micrographs.star", format_star([StarBlock("micrographs", table=table)]))
    return {"micrographs": len(names), "labels": n_sure, "ignored": n_ignored}


def _as_labels(picks: Boxes, micrograph: str) -> Boxes:
    """Return labels at the places of picks, of the same size."""
    if not len(picks):
        return Boxes.empty(micrograph=micrograph)
    return Boxes.at(picks.x, picks.y, size_px=float(picks.width[0]), micrograph=micrograph, shape=picks.shape)


def _student(start: TorchModel, training: Path, found: dict[str, Any]) -> TorchModel:
    """Return the model as it stands after the last step, with calibration and threshold of the one it started from.

    Judged by its own picks, the start model would always be the best one; so no validation chooses.
    """
    trained = load_weights(training / "model.safetensors")
    last = torch.load(training / "last.pt", map_location="cpu", weights_only=True)
    trained.detector.load_state_dict(last["averaged"])
    name = f"{start.card.name}, adapted"
    description = f"{start.card.name}, which learnt on from {found['labels']} of its own picks, without labels."
    card = start.card.model_copy(
        update={"name": name, "description": description, "training": {**trained.card.training, "adapted": found}}
    )
    return TorchModel(trained.detector, card)
