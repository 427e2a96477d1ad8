"""Pick one micrograph; every run repeats this short path."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vitripick.errors import UsageError, parameter
from vitripick.geometry import Boxes, Image, Micrograph, keep_sizes, remove_overlaps, why_unseen
from vitripick.images import prepare
from vitripick.images.border import NO_BORDER, Border
from vitripick.models.run import FLOOR_CONFIDENCE, detect
from vitripick.picking.junk import over_micrograph
from vitripick.picking.narrow import Narrowing, inside_border
from vitripick.settings import keyword_parameters, option_of, with_options
from vitripick.settings.pick import PickSettings
from vitripick.timing import stage

if TYPE_CHECKING:
    from vitripick.models import LoadedModel, ModelCard


@dataclass(frozen=True, eq=False)
class Look:
    """Holds what `look` found on one micrograph.

    Attributes
    ----------
    picks
        The picks, as `pick` returns them.
    junk : (rows, columns), float32, or None
        Probability that each place is junk (carbon, ice, gold, aggregates), 0-1, over the micrograph from edge to edge,
        at the network's scale. None if the network has no junk map.
    diameter_px
        Diameter of the particle, in full-size pixels: as given, else what the network saw (0 if it saw nothing).
    warnings
        Faults of the file and its pixels that were tolerated when the micrograph was read.
    border
        Full-size pixels along the sides that hold no image.
    """

    picks: Boxes
    junk: Image | None = None
    diameter_px: float | None = None
    warnings: tuple[str, ...] = ()
    border: Border = NO_BORDER


def pick(micrograph: Micrograph, model: LoadedModel, settings: PickSettings | None = None, **options: Any) -> Boxes:
    """Find the particles of one micrograph.

    Parameters
    ----------
    micrograph
        From `read_micrograph`, or from `open_micrograph`, which never needs the whole image in memory.
    model
        From `load_model`, or from `vitripick.train`.
    settings
        How to pick; defaults if None.
    **options
        The same by name, as in `pick(micrograph, model, diameter_px=80, threshold=0.3)`: each field of `PickSettings`
        that acts on a single micrograph. `threshold` is the model's own by default; 0 returns all picks that are
        stored, down to confidence 0.05. Without a diameter, the model uses that of the particle it was trained on.

    Returns
    -------
    Boxes
        In falling confidence, in full-size pixels.

    Raises
    ------
    UsageError
        If an option is unknown, out of range, or acts in a run only. If the diameter is needed and unknown, given in Å
        without a pixel size, or so small or large that no particle could be seen.
    """
    return look(micrograph, model, settings, **options).picks


def look(micrograph: Micrograph, model: LoadedModel, settings: PickSettings | None = None, **options: Any) -> Look:
    """Return the picks of `pick`, and the other results of the network; parameters and errors are the same."""
    seen, settings, threshold = _look_with(micrograph, model, settings, options)
    picks = Narrowing.of(settings).applied(seen.picks, seen.diameter_px, seen.border)
    return replace(seen, picks=picks.above(threshold))


def look_at_all(micrograph: Micrograph, model: LoadedModel, settings: PickSettings | None = None) -> Look:
    """Return everything that is stored for a micrograph: picks of any confidence, also those that the border cuts.

    Errors are those of `pick`. `Narrowing` then chooses what is exported.
    """
    return _look_with(micrograph, model, settings, {})[0]


def _look_with(
    micrograph: Micrograph, model: LoadedModel, settings: PickSettings | None, options: dict[str, Any]
) -> tuple[Look, PickSettings, float]:
    for name in options:
        if name in PickSettings.model_fields and name not in _OPTIONS:
            raise UsageError(f"{name} acts only in a run, where files are written; see vitripick.runs.pick_many.")
    settings = with_options(settings or PickSettings(), options)
    if not hasattr(model, "network"):
        raise UsageError(f"{model.card.name}: this model is not loaded; use vitripick.load_model.")
    check_settings(model.card, settings)
    threshold = model.card.threshold if settings.threshold is None else settings.threshold
    return _see(micrograph, model, settings), settings, threshold


def _see(micrograph: Micrograph, model: LoadedModel, settings: PickSettings) -> Look:
    patches = settings.patches
    diameter = resolve_diameter_px(micrograph, model, settings)
    if diameter is not None and model.card.preparation.scale_by == "particle":
        _check_visible(diameter, micrograph)
    known = {"micrograph": micrograph.name, "shape": micrograph.shape, "pixel_size": micrograph.pixel_size}
    preparation = model.card.preparation if patches is None else model.card.preparation.with_patches(patches)
    with stage("prepare"):
        prepared = prepare(micrograph, preparation, diameter_px=diameter, invert=bool(settings.invert))
    if not prepared.image.any():  # a constant micrograph
        nothing = np.zeros((1, 1), np.float32) if model.network.decoding.junk else None
        return Look(Boxes.empty(**known), nothing, diameter, prepared.warnings)  # type: ignore[arg-type]
    floor = model.card.uncalibrated(FLOOR_CONFIDENCE)
    found = detect(model.network, prepared.image, floor=floor, patches=preparation.patches)
    x, y = prepared.to_full(found.x, found.y)
    scale_y, scale_x = prepared.scale
    estimated_width, estimated_height = found.width / scale_x, found.height / scale_y
    if diameter is None:
        # A model that needs no diameter measures it.
        diameter = float(np.median(np.sqrt(estimated_width * estimated_height))) if len(found) else 0.0
    picks = Boxes.at(
        x,
        y,
        size_px=diameter,
        confidence=model.card.calibrated(found.confidence),
        estimated_width=estimated_width,
        estimated_height=estimated_height,
        micrograph=micrograph.name,
        shape=micrograph.shape,
        pixel_size=micrograph.pixel_size,
    )
    picks = keep_sizes(picks, minimum_px=settings.minimum_size_px, maximum_px=settings.maximum_size_px)
    picks = remove_overlaps(picks, minimum_distance_px=settings.stored_distance_diameters * diameter)
    border = Border(
        top=round(prepared.border.top / scale_y),
        bottom=round(prepared.border.bottom / scale_y),
        left=round(prepared.border.left / scale_x),
        right=round(prepared.border.right / scale_x),
    )
    picks = inside_border(picks, border, margin_px=0.5)
    junk = None
    if found.junk is not None:
        shape = prepared.image.shape[0], prepared.image.shape[1]
        junk = over_micrograph(found.junk, stride=model.network.decoding.stride, working_shape=shape)
        junk = prepared.border.extended(junk, of=shape)
    return Look(picks, junk, diameter, prepared.warnings, border)


def check_settings(card: ModelCard, settings: PickSettings) -> None:
    """Raise `UsageError` if settings contradict one another or the model."""
    if settings.diameter_px is not None and settings.diameter_angstrom is not None:
        raise UsageError("give the diameter in Å or in pixels, not both.")
    if settings.threshold is not None and settings.aim != "balanced":
        raise UsageError(
            f"{parameter('aim')} chooses the threshold, and {parameter('threshold')} gives it: give one of them."
        )
    card.preparation.with_patches(settings.patches or card.preparation.patches)


def resolve_diameter_px(micrograph: Micrograph, model: LoadedModel, settings: PickSettings) -> float | None:
    """Return the particle's diameter in pixels of this micrograph: as given, else what the model was trained on.

    Returns
    -------
    float or None
        None only for a model that needs no diameter.

    Raises
    ------
    UsageError
        As in `pick`.
    """
    diameter_px, diameter_angstrom = settings.diameter_px, settings.diameter_angstrom
    if diameter_px is not None:
        return diameter_px
    if diameter_angstrom is not None:
        if micrograph.pixel_size is None:
            raise UsageError(
                f"{micrograph.name}: a diameter in Å needs the pixel size, which this file does not state; "
                f"give {parameter('pixel_size')}, or {parameter('diameter_px')} instead."
            )
        return diameter_angstrom / micrograph.pixel_size
    card = model.card
    if card.diameter_angstrom is not None and micrograph.pixel_size is not None:
        return card.diameter_angstrom / micrograph.pixel_size
    if card.diameter_px is not None:
        return card.diameter_px
    if card.preparation.scale_by == "particle":
        raise UsageError(
            f"model {card.name!r} sees every particle at one size and was trained on several particles: "
            f"give {parameter('diameter_angstrom')} or {parameter('diameter_px')}."
        )
    return None


def _check_visible(diameter_px: float, micrograph: Micrograph) -> None:
    """Raise `UsageError` if the network would see almost no pixels of a particle, or never a whole particle."""
    if why := why_unseen(diameter_px, micrograph.shape):
        raise UsageError(
            f"{micrograph.name}: a particle of {diameter_px:.4g} px {why}. Is the diameter in Å (not nm), or in pixels "
            "of these very micrographs? Is their pixel size right?"
        )


_OPTIONS = [name for name, field in PickSettings.model_fields.items() if not option_of(field).in_runs_only]
# help(pick) and completion in a notebook read the signature, so it lists the options.
pick.__signature__ = look.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [
        *(inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("micrograph", "model")),
        inspect.Parameter("settings", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None),
        *keyword_parameters(PickSettings, _OPTIONS),
    ]
)
