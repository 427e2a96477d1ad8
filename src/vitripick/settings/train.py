"""List the options of training: the sets, the plan, and what the new model says about itself."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field

from vitripick.settings import MACHINE, Option, Settings, option
from vitripick.settings.pick import Patches

DEFAULT_ARCHITECTURE = "heatmap"
LABELS, NETWORK, SCHEDULE, MODEL = "Labels", "Network", "Schedule", "The new model"


def _whole_numbers(value: Any) -> Any:
    """Return the whole numbers of a text such as `1,3,5`, or of several; anything else is left to the type."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        return value
    try:
        return tuple(int(number) for text in texts for number in text.split(","))
    except ValueError:
        raise ValueError("give numbers of classes with commas between them, such as 1,3,5") from None


# A text such as "1,3,5" is understood, too.
ClassNumbers: TypeAlias = Annotated[tuple[int, ...], BeforeValidator(_whole_numbers)]


class TrainingSet(Settings):
    """Names one particle's labelled micrographs."""

    micrographs: str = Field(description="Folder, glob or RELION STAR.")
    labels: str = Field(description="Labels in any format we read: folder or file.")
    box_size_px: float | None = option(
        default=None, description="Side of the labels' boxes, if the labels have none.", about=Option(LABELS)
    )
    classes: ClassNumbers = option(
        default=(),
        description="Labels are particles of a classification in RELION or cryoSPARC: take these classes only, such "
        "as 1,3,5; by default all.",
        about=Option(LABELS, metavar="NUMBERS"),
    )
    rejected: str | None = option(
        default=None,
        description="File with all particles of the same classification or refinement. Those that are not among the "
        "labels are taught as background.",
        about=Option(LABELS, metavar="FILE"),
    )
    keep_coordinates: bool = option(
        default=False,
        description="Take the labels' coordinates as they stand, even if RELION or cryoSPARC found a shift of the "
        "particle. By default the shift is applied.",
        about=Option(LABELS),
    )
    pixel_size: float | None = option(
        default=None,
        gt=0,
        description="Å per pixel of the micrographs, if neither their headers nor a STAR say it, or if they are wrong.",
        about=Option(LABELS),
    )
    validate_on: tuple[str, ...] = option(
        default=(),
        description="Names or stems of the micrographs to validate on; by default a share drawn by the seed.",
        about=Option(LABELS),
    )
    leave_out: tuple[str, ...] = option(
        default=(),
        description="Names or stems of micrographs to keep for judging: they neither train nor validate.",
        about=Option(LABELS),
    )
    include: tuple[str, ...] = option(
        default=(),
        description="Use these images, too, where the folder holds them beside the micrographs: an ending such as "
        "_EVN, or a pattern; by default one image of each exposure is used.",
        about=Option(LABELS, metavar="ENDING"),
    )
    areas: str | None = option(
        default=None,
        description="Folder that says where labels are incomplete or areas are to be ignored, one STEM.json a "
        "micrograph (docs/label.md); by default every label file is complete.",
        about=Option(LABELS),
    )
    ignored: str | None = option(
        default=None,
        description="Boxes around what is neither particle nor background, such as broken or stacked molecules, in any "
        "format that we read: nothing there is taught or counted.",
        about=Option(LABELS, metavar="LABELS"),
    )
    keep_labels: bool = option(
        default=False,
        description="Train on these labels even if they fit the micrographs far better mirrored, moved or scaled.",
        about=Option(LABELS),
    )
    weight: float = Field(default=1.0, gt=0, description="How often this set is drawn from, relative to others.")


class SimulatedSet(Settings):
    """Describes training samples from the simulator."""

    recipe: str = Field(default="general", description="The simulator's recipe: a name or a TOML file.")
    changes: tuple[str, ...] = Field(
        default=(), description="Changes to that recipe, key=value each, as vitripick simulate --set takes them."
    )
    structures: str | None = Field(
        default=None, description="Folder or file of molecules; by default those that come with vitripick."
    )
    leave_out: tuple[str, ...] = Field(
        default=(), description="Names of structures to keep for judging: they neither train nor validate."
    )
    heaviest_kda: float | None = Field(
        default=None, gt=0, description="Only molecules up to this mass; by default of any mass."
    )
    samples: int = Field(default=4000, gt=0, description="Number of fields that train.")
    validation_samples: int = Field(default=100, ge=0, description="Number of further fields that validate.")
    field_px: int = Field(
        default=256, ge=64, description="Side of a field; larger than a crop, which is turned within it."
    )
    scale_jitter: float = Field(
        default=0.25, ge=0, description="Molecules span from 1 / (1 + jitter) to 1 + jitter of the working diameter."
    )
    seed: int = Field(default=1, description="Seed of the random draws.")
    weight: float = Field(default=1.0, gt=0, description="How often this set is drawn from, relative to others.")


class Augmentation(Settings):
    """Says how a training crop is changed at random; a `_chance` is the share of crops that get the change."""

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
    """Says how to train; `default_settings` gives each architecture the defaults of its own recipe."""

    architecture: str = option(default=DEFAULT_ARCHITECTURE, description="{architectures}.", about=Option(NETWORK))
    options: dict[str, Any] = Field(default_factory=dict, description="The architecture's own options, by name.")
    working_diameter_px: float | None = option(
        default=None,
        gt=4,
        description="{by_particle}: particle diameter in the pixels the network sees.",
        about=Option(NETWORK),
    )
    input_size_px: int | None = option(
        default=None,
        gt=0,
        description="{by_long_side}: long side of the micrograph in the pixels the network sees.",
        about=Option(NETWORK, name="input_size"),
    )
    patches: Patches = option(
        default=None,
        description="{by_long_side}: train and pick in rows x columns of patches, such as 2x2; by default the whole.",
        about=Option(NETWORK, metavar="ROWSxCOLUMNS"),
    )
    seed: int = option(
        default=1, description="Seed of initialisation, split, crops and augmentation.", about=Option(SCHEDULE)
    )
    steps: int = option(default=600, gt=0, description="Largest number of optimiser steps.", about=Option(SCHEDULE))
    batch_size: int = option(default=16, gt=0, description="Crops a step.", about=Option(SCHEDULE))
    crop_px: int = option(default=192, gt=0, description="Side of a crop, in working pixels.", about=Option(SCHEDULE))
    steps_per_epoch: int = option(
        default=100, gt=0, description="Steps between two validations, each with a checkpoint.", about=Option(SCHEDULE)
    )
    patience_epochs: int = option(
        default=8,
        gt=0,
        description="Stop early after this many validations without a better score.",
        about=Option(SCHEDULE),
    )
    optimiser: str = option(
        default="adamw", pattern="^(adam|adamw)$", description="adam or adamw.", about=Option(SCHEDULE)
    )
    learning_rate: float = option(
        default=2e-3,
        gt=0,
        description="Largest learning rate: after the warm-up, a cosine down to a hundredth of it.",
        about=Option(SCHEDULE),
    )
    weight_decay: float = option(
        default=1e-3, ge=0, description="Weight decay of the optimiser.", about=Option(SCHEDULE)
    )
    warmup_share: float = option(
        default=0.05,
        ge=0,
        le=1,
        description="Share of the steps in which the learning rate rises, linearly.",
        about=Option(SCHEDULE),
    )
    # Loshchilov & Hutter 2017.
    warm_restarts: int = option(
        default=0,
        ge=0,
        description="How often the learning rate starts again from its full height, in equal stretches.",
        about=Option(SCHEDULE),
    )
    precision: str = option(
        default="auto",
        pattern="^(auto|fp32|bf16)$",
        description="fp32, bf16, or auto: bf16 on GPUs and on CPUs that have it in hardware (AMX).",
        about=Option(MACHINE),
    )
    ema_decay: float = option(
        default=0.995,
        ge=0,
        lt=1,
        description="Decay of the averaged weights, which are those that are validated and kept.",
        about=Option(SCHEDULE),
    )
    validation_share: float = option(
        default=0.2,
        gt=0,
        lt=1,
        description="Share of each set's micrographs that validate, at least one; a set of one micrograph gives a "
        "strip of it.",
        about=Option(LABELS),
    )
    label_centred_share: float = option(
        default=0.7,
        ge=0,
        le=1,
        description="Share of crops that are placed on a label; the rest lie anywhere.",
        about=Option(LABELS),
    )
    # `unlabelled.py` says what each one does.
    unlabelled: str = option(
        default="background",
        pattern="^(background|lighter|ignore|teach)$",
        description="What a place without a label is taken for: background; lighter (background that counts less); "
        "ignore (like lighter, but places where the network is as sure as at labels do not count); or teach (like "
        "lighter, but such places are taught as particles).",
        about=Option(LABELS),
    )
    # A fifth: a missed particle costs five times what a false one does, as in the paper.
    unlabelled_weight: float = option(
        default=0.2,
        gt=0,
        le=1,
        description="How much an unlabelled place counts, unless it is background.",
        about=Option(LABELS),
    )
    rejected_weight: float = option(
        default=4.0,
        ge=1,
        description="How much a rejected place counts, where a labelled one counts 1.",
        about=Option(LABELS),
    )
    junk_weight: float = option(
        default=1.0,
        ge=1,
        description="How much a place counts that is known to be junk and holds no particle; clean background counts "
        "1. Simulated and painted samples know where junk is.",
        about=Option(LABELS),
    )
    # People skip particles that are cut. Crops are taught nothing in the band; whole micrographs and patches are taught
    # what is labelled there, and background by `unlabelled_weight`.
    border_diameters: float = option(
        default=0.5,
        ge=0,
        description="Width of the band along the micrograph's border where a missing label teaches nothing, unless a "
        "set's labels are as dense there as elsewhere.",
        about=Option(LABELS),
    )
    augmentation: Augmentation = Field(default=Augmentation(), description="Random changes of each crop.")


class About(Settings):
    """Holds what a new model says about itself to its users."""

    name: str | None = option(
        default=None, description="The model's name; the run folder's by default.", about=Option(MODEL)
    )
    licence: str = option(default="not stated", description="For those who get the model.", about=Option(MODEL))
    description: str = option(default="", description="For those who get the model.", about=Option(MODEL))
