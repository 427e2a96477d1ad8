"""List the options of picking, in `PickSettings`."""

from __future__ import annotations

import math
from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import AfterValidator, BeforeValidator

from vitripick.settings import FILTERS, FINDING, MACHINE, OUTPUT, PARTICLE, Option, RowsColumns, option
from vitripick.settings.optics import OpticsSettings

Edge: TypeAlias = Literal["particle", "centre", "box"]
EngineName: TypeAlias = Literal["auto", "torch", "onnxruntime", "openvino"]
PrecisionName: TypeAlias = Literal["auto", "fp32", "int8"]
ENGINES: tuple[str, ...] = get_args(EngineName)
PRECISIONS: tuple[str, ...] = get_args(PrecisionName)

# Two picks nearer than this share of the diameter are one particle seen twice. Labels of crowded micrographs come
# as near as 0.53 diameters in one pair of a hundred (EMPIAR-10017).
MINIMUM_DISTANCE_DIAMETERS = 0.5
MOST_PATCHES = 16


def _few_patches(patches: tuple[int, int] | None) -> tuple[int, int] | None:
    if patches is not None and not all(1 <= n <= MOST_PATCHES for n in patches):
        raise ValueError(f"give rows x columns, such as 2x2 or 3x3, each from 1 to {MOST_PATCHES}")
    return patches


Patches: TypeAlias = Annotated[RowsColumns | None, AfterValidator(_few_patches)]


def _aim(value: object) -> object:
    """Return the number of a text such as `0.9`; a word, or anything else, is left to the type."""
    if value in get_args(AimWord) or not isinstance(value, str | float | int):
        return value
    try:
        share = float(value)
    except ValueError:
        share = math.nan
    if not 0 < share < 1:
        raise ValueError("give recall, balanced, precision, or a number between 0 and 1 such as 0.9")
    return share


AimWord: TypeAlias = Literal["recall", "balanced", "precision"]
# What a threshold is chosen for: a word, or the share of picks that are to be particles.
Aim: TypeAlias = Annotated[AimWord | float, BeforeValidator(_aim)]


class PickSettings(OpticsSettings):
    """Say how to pick. Each field's description says what it does.

    Raises
    ------
    pydantic.ValidationError
        If a key is unknown or a value out of range.
    """

    diameter_angstrom: float | None = option(
        None,
        "The particle's diameter in Å. If a model needs it and none is given, or the given one does not "
        "fit what the network sees, it is estimated.",
        about=Option(PARTICLE),
        gt=0,
        allow_inf_nan=False,
    )
    diameter_px: float | None = option(
        None, "The particle's diameter in full-size pixels.", about=Option(PARTICLE), gt=0, allow_inf_nan=False
    )
    keep_diameter: bool = option(
        False,
        "Use the given diameter even if the network sees another size.",
        # It acts on the diameter, and the diameter decides the picks.
        about=Option(PARTICLE, decides_picks=False, in_runs_only=True),
    )
    pixel_size: float | None = option(
        None,
        "Å per pixel, if the headers do not say it or are wrong.",
        about=Option(PARTICLE, in_runs_only=True),
        gt=0,
        allow_inf_nan=False,
    )
    invert: bool | None = option(
        None,
        "Invert the contrast, for particles that are white on a darker background.",
        about=Option(PARTICLE, default_text="as the survey finds them"),
    )
    patches: Patches = option(
        None,
        "Rows and columns of patches, such as 2x2, for a network that sees whole micrographs.",
        about=Option(PARTICLE, metavar="ROWSxCOLUMNS", default_text="as the model was trained"),
    )
    threshold: float | None = option(
        None,
        "Lowest confidence to export. By default, a model of one particle brings its own; for a general model it is "
        "chosen "
        "from the confidences on up to five micrographs.",
        about=Option(FILTERS, decides_picks=False),
        ge=0,
        le=1,
        allow_inf_nan=False,
    )
    aim: Aim = option(
        "balanced",
        "What to choose the threshold for: recall (few particles missed), balanced, precision (few false picks), or "
        "the share of picks that should be particles, such as 0.9.",
        about=Option(FILTERS, decides_picks=False, metavar="AIM"),
    )
    minimum_distance_diameters: float = option(
        MINIMUM_DISTANCE_DIAMETERS,
        "Of picks closer together than this, in diameters, keep only the most confident.",
        about=Option(FILTERS, name="minimum_distance"),
        ge=0,
        allow_inf_nan=False,
    )
    minimum_size_px: float | None = option(
        None,
        "Leave out what the network saw smaller than this, in full-size pixels.",
        about=Option(FILTERS),
        gt=0,
        allow_inf_nan=False,
    )
    maximum_size_px: float | None = option(
        None,
        "Leave out what the network saw larger than this, in full-size pixels.",
        about=Option(FILTERS),
        gt=0,
        allow_inf_nan=False,
    )
    edge: Edge = option(
        "particle",
        "What must lie inside the micrograph: the whole particle (a circle of the diameter), its centre alone, or the "
        "whole box.",
        about=Option(FILTERS, decides_picks=False),
    )
    formats: tuple[str, ...] = option(
        ("star", "cbox"),
        "Format of the picks; repeat the option for several. There are {formats}.",
        about=Option(OUTPUT, name="format", decides_picks=False, in_runs_only=True),
    )
    box_size_px: float | None = option(
        None,
        "Size of the boxes to export.",
        about=Option(OUTPUT, decides_picks=False, default_text="the diameter"),
        gt=0,
        allow_inf_nan=False,
    )
    include: tuple[str, ...] = option(
        (),
        "Pick these images, too, where a folder or pattern holds them beside the micrographs: an ending such as _EVN, "
        "or a pattern; '*' takes all. By default one image of each exposure is picked; repeat the option for several.",
        about=Option(FINDING, metavar="ENDING", decides_picks=False, in_runs_only=True),
    )
    overlays: bool = option(
        False,
        "Draw a PNG of every micrograph with its picks.",
        about=Option(OUTPUT, decides_picks=False, in_runs_only=True),
    )
    thumbnails: bool = option(
        False,
        "Draw a small JPEG of every micrograph with its picks.",
        about=Option(OUTPUT, decides_picks=False, in_runs_only=True),
    )
    junk_masks: bool = option(
        False,
        "Write a PNG of every micrograph's size that says where it is junk, 0-255.",
        about=Option(OUTPUT, decides_picks=False, in_runs_only=True),
    )
    engine: EngineName = option(
        "auto",
        "What runs the network on a CPU; auto takes the fastest. Naming another engine picks micrographs again that "
        "are "
        "done; auto never does.",
        about=Option(MACHINE, in_runs_only=True),
    )
    precision: PrecisionName = option(
        "auto",
        "Number format in which the network is computed: fp32, int8 or auto.",
        about=Option(MACHINE, in_runs_only=True),
    )

    def deciding(self, *, leave_out: frozenset[str] = frozenset()) -> dict[str, object]:
        """Return, JSON-ready, the settings that decide which picks are stored.

        Picks nearer than `MINIMUM_DISTANCE_DIAMETERS` are stored only where a smaller minimum distance asks for them. A
        larger one acts on export.
        """
        decide = self.model_dump(exclude=set(ACT_ON_EXPORT | leave_out))
        if "minimum_distance_diameters" in decide:
            decide["minimum_distance_diameters"] = self.stored_distance_diameters
        return decide

    @property
    def stored_distance_diameters(self) -> float:
        """Return the distance, in diameters, below which only the most confident of two picks is stored."""
        return min(self.minimum_distance_diameters, MINIMUM_DISTANCE_DIAMETERS)


# These options act when files are written, or they act on another option.
ACT_ON_EXPORT = frozenset(
    name
    for name, field in PickSettings.model_fields.items()
    if not field.json_schema_extra["option"].decides_picks  # type: ignore[index, union-attr]
)
