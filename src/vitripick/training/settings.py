"""What a training run is told: data, recipe, seed. Written into the run folder as it was used."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from vitripick.errors import InputError, UsageError
from vitripick.images import Patches
from vitripick.models.architecture_names import DEFAULT_ARCHITECTURE
from vitripick.models.architectures import find_architecture
from vitripick.settings import Settings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class TrainingSet(Settings):
    """One particle's labelled micrographs.

    Attributes
    ----------
    micrographs
        Folder, glob or RELION star.
    labels
        Folder or file in any format that `read_all_picks` reads.
    box_size_px
        Label box size, for label formats that have none.
    validate_on
        Names (or stems) of the micrographs to validate on; empty: a share drawn by the seed.
    leave_out
        Names (or stems) of micrographs neither trained nor validated on: kept for judging.
    areas
        Folder with what is known of the ground between the labels, one `STEM.json` a micrograph (`ground.py`);
        None: every label file is complete.
    weight
        How often this set is drawn from, relative to others.
    """

    micrographs: str
    labels: str
    box_size_px: float | None = None
    validate_on: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    areas: str | None = None
    weight: float = Field(1.0, gt=0)


class SimulatedSet(Settings):
    """Training samples from the simulator.

    Attributes
    ----------
    recipe
        Of the simulator: a name or a TOML file.
    changes
        To the recipe, `"key=value"` each, as `vitripick simulate --set` takes them.
    structures
        Folder or file of molecules; None: those that come with vitripick.
    leave_out
        Names of structures kept for judging: neither trained nor validated on.
    samples, validation_samples
        How many fields train, and how many more validate.
    field_px
        Side of a field; larger than a crop, which is turned within it.
    scale_jitter
        Molecules span from 1 / (1 + jitter) to 1 + jitter of the working diameter.
    seed
        Of the draws.
    weight
        How often this set is drawn from, relative to others.
    """

    recipe: str = "general"
    changes: tuple[str, ...] = ()
    structures: str | None = None
    leave_out: tuple[str, ...] = ()
    samples: int = Field(4000, gt=0)
    validation_samples: int = Field(100, ge=0)
    field_px: int = Field(256, ge=64)
    scale_jitter: float = Field(0.25, ge=0)
    seed: int = 1
    weight: float = Field(1.0, gt=0)


class Augmentation(Settings):
    """Random changes of a training crop; a `_chance` is how often one is drawn at all.

    Attributes
    ----------
    rotate
        Any angle, for crops; whole micrographs are only flipped.
    scale_jitter
        Scale factors are drawn log-uniformly from 1 / (1 + jitter) to 1 + jitter.
    shift_px
        Whole micrographs and patches are moved by up to this many working pixels, so that a grid network sees a
        particle at every place of its cell, not always at the same; ours, not in the paper.
    blur_chance, blur_sigma_px
        Gaussian blur, sigma uniform from 0, in working pixels.
    box_blur_chance, box_blur_px
        Average blur over 2 to this many pixels.
    noise_chance, noise_sd
        Gaussian noise, its sd uniform from 0 in units of the image's own.
    dropout_chance, dropout_share
        1 % to this share of the pixels are set to the mean.
    spectrum_chance, spectrum_range
        The power spectrum is bent: a smooth curve over spatial frequency whose gains are drawn log-uniformly from
        1 / (1 + r) to 1 + r, as another defocus, detector or filter would; ours, not in the paper.
    contrast_chance, contrast_range
        Subtract the median, multiply by a factor drawn log-uniformly from 1 / (1 + r) to 1 + r, add the median back.
    contaminant_chance
        Ice blobs or a hard edge are painted in, unlabelled (`contaminants.py`); ours, not in the paper.
    noise_only_chance
        The crop is replaced by noise without a particle; ours, not in the paper.
    """

    rotate: bool = True
    scale_jitter: float = Field(0.15, ge=0)
    shift_px: int = Field(0, ge=0)
    blur_chance: float = Field(0.3, ge=0, le=1)
    blur_sigma_px: float = Field(1.2, ge=0)
    box_blur_chance: float = Field(0.0, ge=0, le=1)
    box_blur_px: int = Field(7, ge=2)
    noise_chance: float = Field(0.5, ge=0, le=1)
    noise_sd: float = Field(0.6, ge=0)
    dropout_chance: float = Field(0.1, ge=0, le=1)
    dropout_share: float = Field(0.1, ge=0.01, le=1)
    spectrum_chance: float = Field(0.0, ge=0, le=1)
    spectrum_range: float = Field(1.0, ge=0)
    contrast_chance: float = Field(0.7, ge=0, le=1)
    contrast_range: float = Field(0.4, ge=0)
    contaminant_chance: float = Field(0.6, ge=0, le=1)
    noise_only_chance: float = Field(0.15, ge=0, le=1)


class TrainSettings(Settings):
    """How to train. `default_settings` gives each architecture the defaults of its own recipe.

    Attributes
    ----------
    architecture, options
        For `build_detector`.
    working_diameter_px, input_size_px
        The scale the network works at, where its architecture leaves a choice; None: its default.
    patches
        Rows and columns of patches for a network that sees whole micrographs; None: the whole.
    seed
        Of initialisation, split, crops and augmentation.
    steps, batch_size, crop_px
        Optimiser steps, crops in each, and their side in working pixels.
    steps_per_epoch
        Between two validations (and checkpoints).
    patience_epochs
        Stop early after this many validations without a better score.
    optimiser, learning_rate, weight_decay, warmup_share
        Linear warm-up, then a cosine down to a hundredth.
    warm_restarts
        How often the cosine starts again from the full learning rate (Loshchilov & Hutter 2017), in equal stretches.
    precision
        `"fp32"`, `"bf16"`, or `"auto"`: bfloat16 where the hardware has it (`precision.py`).
    ema_decay
        Of the averaged weights, which are what is validated and kept.
    validation_share
        Share of each set's micrographs that validate, at least one; a set of one micrograph gives a strip of it.
    label_centred_share
        Share of crops that are placed on a label; the rest lie anywhere.
    unlabelled
        What a place without a label is taken for (`unlabelled.py`): `"background"`; `"lighter"`: background that counts
        `unlabelled_weight`; `"ignore"`: lighter, and places as sure as labelled ones do not count; `"teach"`: lighter,
        and places as sure as labelled ones are taught as particles.
    unlabelled_weight
        A fifth: a missed particle costs five times what a false one does, as in the paper.
    border_diameters
        Band along the micrograph's border in which labels say nothing (people skip particles that are cut), unless a
        set's labels are as dense there as elsewhere. Crops are taught nothing there, whole micrographs and patches what
        is labelled, and background by `unlabelled_weight`.
    """

    architecture: str = DEFAULT_ARCHITECTURE
    options: dict[str, Any] = Field(default_factory=dict)
    working_diameter_px: float | None = Field(None, gt=4)
    input_size_px: int | None = Field(None, gt=0)
    patches: Patches | None = None
    seed: int = 1
    steps: int = Field(600, gt=0)
    batch_size: int = Field(16, gt=0)
    crop_px: int = Field(192, gt=0)
    steps_per_epoch: int = Field(100, gt=0)
    patience_epochs: int = Field(8, gt=0)
    optimiser: str = Field("adamw", pattern="^(adam|adamw)$")
    learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(1e-3, ge=0)
    warmup_share: float = Field(0.05, ge=0, le=1)
    warm_restarts: int = Field(0, ge=0)
    precision: str = Field("auto", pattern="^(auto|fp32|bf16)$")
    ema_decay: float = Field(0.995, ge=0, lt=1)
    validation_share: float = Field(0.2, gt=0, lt=1)
    label_centred_share: float = Field(0.7, ge=0, le=1)
    unlabelled: str = Field("background", pattern="^(background|lighter|ignore|teach)$")
    unlabelled_weight: float = Field(0.2, gt=0, le=1)
    border_diameters: float = Field(0.5, ge=0)
    augmentation: Augmentation = Augmentation()


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
        raise UsageError(f"these training settings cannot be used: {_in_words(error)}") from error


def read_recipe(
    path: str | Path, *, data_root: str | Path | None = None, start_architecture: str | None = None
) -> tuple[list[TrainingSet | SimulatedSet], TrainSettings]:
    """A recipe TOML: `[[sets]]` (`TrainingSet`), `[[simulated]]` (`SimulatedSet`) and `[training]` (`TrainSettings`).

    What all simulated sets share may stand once, in `[all_simulated]`.

    Parameters
    ----------
    path
        The TOML file.
    data_root
        Folder that relative paths of sets start from; the recipe's own by default.
    start_architecture
        For fine-tuning a model of this architecture: its fine-tuning defaults stand for what the recipe leaves open.

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
        raise InputError(f"{path}: cannot read this recipe: {error.strerror}.") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not a TOML file: {error}.") from error
    unknown = sorted(set(table) - {"sets", "simulated", "all_simulated", "training"})
    if unknown:
        raise InputError(
            f"{path}: unknown table {', '.join(unknown)}; a recipe has [[sets]], [[simulated]] and [training]."
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
                raise InputError(f"{path}, [[{name}]]: {_in_words(error)}") from error
            update = {key: str(root / getattr(entry, key)) for key in paths if getattr(entry, key)}
            sets.append(entry.model_copy(update=update))
    training = dict(table.get("training", {}))
    architecture = training.pop("architecture", start_architecture or DEFAULT_ARCHITECTURE)
    return sets, default_settings(architecture, fine_tune=start_architecture is not None, **training)


def _in_words(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(str(part) for part in item['loc'])}: {item['msg'].lower()}" for item in error.errors())
