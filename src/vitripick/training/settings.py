"""A training plan: data, settings and seed of a training run. Written into the run folder as it was used.

The descriptions of the fields are what help texts print, so this module imports no torch.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from vitripick.errors import InputError, UsageError
from vitripick.images import Patches
from vitripick.models.architecture_names import (
    ARCHITECTURE_NAMES,
    DEFAULT_ARCHITECTURE,
    in_a_row,
    names_that_scale_by,
)
from vitripick.settings import Settings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_NAMES = f"{in_a_row(ARCHITECTURE_NAMES)}; {DEFAULT_ARCHITECTURE} by default."
_BY_PARTICLE, _BY_LONG_SIDE = names_that_scale_by("particle"), names_that_scale_by("long_side")


class TrainingSet(Settings):
    """One particle's labelled micrographs."""

    micrographs: str = Field(description="Folder, glob or RELION STAR.")
    labels: str = Field(description="Labels in any format we read: folder or file.")
    box_size_px: float | None = Field(default=None, description="Label box size, if the labels have none.")
    validate_on: tuple[str, ...] = Field(
        default=(),
        description="Names or stems of the micrographs to validate on; by default a share drawn by the seed.",
    )
    leave_out: tuple[str, ...] = Field(
        default=(), description="Names or stems of micrographs to keep for judging: neither trained nor validated on."
    )
    areas: str | None = Field(
        default=None,
        description="Folder that says where labels are incomplete or areas are to be ignored, one STEM.json a "
        "micrograph (docs/label.md); by default every label file is complete.",
    )
    weight: float = Field(default=1.0, gt=0, description="How often this set is drawn from, relative to others.")


class SimulatedSet(Settings):
    """Training samples from the simulator."""

    recipe: str = Field(default="general", description="The simulator's recipe: a name or a TOML file.")
    changes: tuple[str, ...] = Field(
        default=(), description="Changes to that recipe, key=value each, as vitripick simulate --set takes them."
    )
    structures: str | None = Field(
        default=None, description="Folder or file of molecules; by default those that come with vitripick."
    )
    leave_out: tuple[str, ...] = Field(
        default=(), description="Names of structures to keep for judging: neither trained nor validated on."
    )
    samples: int = Field(default=4000, gt=0, description="How many fields train.")
    validation_samples: int = Field(default=100, ge=0, description="How many more fields validate.")
    field_px: int = Field(
        default=256, ge=64, description="Side of a field; larger than a crop, which is turned within it."
    )
    scale_jitter: float = Field(
        default=0.25, ge=0, description="Molecules span from 1 / (1 + jitter) to 1 + jitter of the working diameter."
    )
    seed: int = Field(default=1, description="Of the draws.")
    weight: float = Field(default=1.0, gt=0, description="How often this set is drawn from, relative to others.")


class Augmentation(Settings):
    """Random changes of a training crop; a `_chance` is how often one is drawn at all."""

    rotate: bool = Field(
        default=True, description="Turn crops by any angle, and not only flip them; whole micrographs are only flipped."
    )
    scale_jitter: float = Field(
        default=0.15, ge=0, description="Scale factors are drawn log-uniformly from 1 / (1 + jitter) to 1 + jitter."
    )
    # Ours, not in the paper.
    shift_px: int = Field(
        default=0,
        ge=0,
        description="Whole micrographs and patches are moved by up to this many working pixels, so that a grid network "
        "sees a particle at every place of its cell, not always at the same.",
    )
    blur_chance: float = Field(default=0.3, ge=0, le=1, description="Chance of a Gaussian blur.")
    blur_sigma_px: float = Field(
        default=1.2, ge=0, description="Largest sigma of the Gaussian blur, in working pixels; drawn uniformly from 0."
    )
    box_blur_chance: float = Field(default=0.0, ge=0, le=1, description="Chance of an average blur.")
    box_blur_px: int = Field(default=7, ge=2, description="Most pixels the average blur is over; the fewest are 2.")
    noise_chance: float = Field(default=0.5, ge=0, le=1, description="Chance of Gaussian noise.")
    noise_sd: float = Field(
        default=0.6, ge=0, description="Largest sd of the noise in units of the image's own; drawn uniformly from 0."
    )
    dropout_chance: float = Field(default=0.1, ge=0, le=1, description="Chance that pixels are set to the mean.")
    dropout_share: float = Field(
        default=0.1, ge=0.01, le=1, description="Largest share of pixels set to the mean; the smallest is 1 %."
    )
    # Ours, not in the paper: as another defocus, detector or filter would change the spectrum.
    spectrum_chance: float = Field(default=0.0, ge=0, le=1, description="Chance that the power spectrum is bent.")
    spectrum_range: float = Field(
        default=1.0,
        ge=0,
        description="The bent spectrum's gains, a smooth curve over spatial frequency, are drawn log-uniformly from "
        "1 / (1 + r) to 1 + r.",
    )
    contrast_chance: float = Field(default=0.7, ge=0, le=1, description="Chance of another contrast.")
    contrast_range: float = Field(
        default=0.4,
        ge=0,
        description="The difference to the median is multiplied by a factor drawn log-uniformly from 1 / (1 + r) to "
        "1 + r.",
    )
    # Ours, not in the paper (`contaminants.py`).
    contaminant_chance: float = Field(
        default=0.6, ge=0, le=1, description="Chance that ice blobs or a hard edge are painted in, unlabelled."
    )
    # Ours, not in the paper.
    noise_only_chance: float = Field(
        default=0.15, ge=0, le=1, description="Chance that the crop is replaced by noise without a particle."
    )


class TrainSettings(Settings):
    """How to train; `default_settings` gives each architecture the defaults of its own recipe."""

    architecture: str = Field(default=DEFAULT_ARCHITECTURE, description=_NAMES)
    options: dict[str, Any] = Field(default_factory=dict, description="The architecture's own options, by name.")
    working_diameter_px: float | None = Field(
        default=None, gt=4, description=f"{_BY_PARTICLE}: particle diameter in the pixels the network sees."
    )
    input_size_px: int | None = Field(
        default=None,
        gt=0,
        description=f"{_BY_LONG_SIDE}: long side of the micrograph in the pixels the network sees.",
    )
    patches: Patches | None = Field(
        default=None,
        description=f"{_BY_LONG_SIDE}: train and pick in rows x columns of patches, such as 2x2; by default the whole.",
    )
    seed: int = Field(default=1, description="Of initialisation, split, crops and augmentation.")
    steps: int = Field(default=600, gt=0, description="Optimiser steps at most.")
    batch_size: int = Field(default=16, gt=0, description="Crops a step.")
    crop_px: int = Field(default=192, gt=0, description="Side of a crop, in working pixels.")
    steps_per_epoch: int = Field(default=100, gt=0, description="Steps between two validations (and checkpoints).")
    patience_epochs: int = Field(
        default=8, gt=0, description="Stop early after this many validations without a better score."
    )
    optimiser: str = Field(default="adamw", pattern="^(adam|adamw)$", description="adam or adamw.")
    learning_rate: float = Field(
        default=2e-3, gt=0, description="Largest learning rate: after the warm-up, a cosine down to a hundredth of it."
    )
    weight_decay: float = Field(default=1e-3, ge=0, description="Of the optimiser.")
    warmup_share: float = Field(
        default=0.05, ge=0, le=1, description="Share of the steps in which the learning rate rises, linearly."
    )
    # Loshchilov & Hutter 2017.
    warm_restarts: int = Field(
        default=0,
        ge=0,
        description="How often the learning rate starts again from its full height, in equal stretches.",
    )
    precision: str = Field(
        default="auto",
        pattern="^(auto|fp32|bf16)$",
        description="fp32, bf16, or auto: bf16 on GPUs and on CPUs that have it in hardware (AMX).",
    )
    ema_decay: float = Field(
        default=0.995, ge=0, lt=1, description="Of the averaged weights, which are what is validated and kept."
    )
    validation_share: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description="Share of each set's micrographs that validate, at least one; a set of one micrograph gives a "
        "strip of it.",
    )
    label_centred_share: float = Field(
        default=0.7, ge=0, le=1, description="Share of crops that are placed on a label; the rest lie anywhere."
    )
    # `unlabelled.py` says what each one does.
    unlabelled: str = Field(
        default="background",
        pattern="^(background|lighter|ignore|teach)$",
        description="What a place without a label is taken for: background; lighter (background that counts less); "
        "ignore (as lighter, and places as sure as labelled ones do not count) or teach (as lighter, and such places "
        "are taught as particles).",
    )
    # A fifth: a missed particle costs five times what a false one does, as in the paper.
    unlabelled_weight: float = Field(
        default=0.2, gt=0, le=1, description="How much an unlabelled place counts, unless it is background."
    )
    # People skip particles that are cut. Crops are taught nothing in the band; whole micrographs and patches are taught
    # what is labelled there, and background by `unlabelled_weight`.
    border_diameters: float = Field(
        default=0.5,
        ge=0,
        description="Width of the band along the micrograph's border in which labels say nothing, unless a set's "
        "labels are as dense there as elsewhere.",
    )
    augmentation: Augmentation = Field(default=Augmentation(), description="Random changes of each crop.")


class About(Settings):
    """What a new model says of itself to people."""

    name: str | None = Field(default=None, description="The model's name; the run folder's by default.")
    licence: str = Field(default="not stated", description="For those who get the model.")
    description: str = Field(default="", description="For those who get the model.")


def default_settings(
    architecture: str = DEFAULT_ARCHITECTURE, *, fine_tune: bool = False, **changes: Any
) -> TrainSettings:
    """Return the training plan of an architecture, made from the recipe it was registered with, with `changes`.

    Parameters
    ----------
    architecture
        Its name in the registry.
    fine_tune
        For going on from a trained model: half the steps at a quarter of the learning rate, so that what it knows
        is not shaken out of it, and validations twice as often.
    changes
        Any of `TrainSettings`.

    Raises
    ------
    UsageError
        If there is no such architecture, a key is unknown, or a value is out of range.
    """
    from vitripick.models.architectures import find_architecture  # takes torch along

    base = TrainSettings.model_validate({"architecture": architecture, **find_architecture(architecture).recipe})
    if fine_tune:
        base = base.model_copy(
            update={
                "steps": base.steps // 2,
                "steps_per_epoch": base.steps_per_epoch // 2,
                "learning_rate": base.learning_rate / 4,
                "warmup_share": 0.1,
            }
        )
    own = base.model_dump()
    if isinstance(changes.get("augmentation"), dict):  # what is not named stays the architecture's own
        changes["augmentation"] = {**own["augmentation"], **changes["augmentation"]}
    try:
        return TrainSettings.model_validate({**own, **changes})
    except ValidationError as error:
        raise UsageError(f"these training settings cannot be used: {_problems(error)}") from error


def read_training_plan(
    path: str | Path, *, data_root: str | Path | None = None, start_architecture: str | None = None
) -> tuple[list[TrainingSet | SimulatedSet], TrainSettings]:
    """Read a training plan from TOML: `[[sets]]` (`TrainingSet`), `[[simulated]]` (`SimulatedSet`) and `[training]`.

    `[training]` holds fields of `TrainSettings`. What all simulated sets share may stand once, in `[all_simulated]`.

    Parameters
    ----------
    path
        The TOML file.
    data_root
        Folder that relative paths of sets start from; that of the TOML file by default.
    start_architecture
        For fine-tuning a model of this architecture: its fine-tuning defaults stand for what the plan leaves open.

    Raises
    ------
    InputError
        If the file is missing, no TOML, or holds unknown keys.
    """
    path = Path(path)
    root = path.parent if data_root is None else Path(data_root)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot read this training plan: {error.strerror}.") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not a TOML file: {error}.") from error
    unknown = sorted(set(table) - {"sets", "simulated", "all_simulated", "training"})
    if unknown:
        raise InputError(
            f"{path}: unknown table {', '.join(unknown)}; a training plan has [[sets]], [[simulated]] and [training]."
        )
    sets: list[TrainingSet | SimulatedSet] = []
    for name, kind, paths, shared in (
        ("sets", TrainingSet, ("micrographs", "labels", "areas"), {}),
        ("simulated", SimulatedSet, ("structures",), table.get("all_simulated", {})),
    ):
        for values in table.get(name, []):
            try:
                entry: TrainingSet | SimulatedSet = kind.model_validate({**shared, **values})
            except ValidationError as error:
                raise InputError(f"{path}, [[{name}]]: {_problems(error)}") from error
            update = {key: str(root / getattr(entry, key)) for key in paths if getattr(entry, key)}
            sets.append(entry.model_copy(update=update))
    training = dict(table.get("training", {}))
    architecture = training.pop("architecture", start_architecture or DEFAULT_ARCHITECTURE)
    return sets, default_settings(architecture, fine_tune=start_architecture is not None, **training)


def _problems(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(str(part) for part in item['loc'])}: {item['msg'].lower()}" for item in error.errors())
