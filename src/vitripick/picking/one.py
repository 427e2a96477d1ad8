"""Pick one micrograph: the short path that everything else loops around."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from vitripick.errors import UsageError
from vitripick.geometry import Boxes, Image, Micrograph, keep_sizes, remove_overlaps, why_unseen
from vitripick.images import Patches, Prepared, prepare
from vitripick.models.run import FLOOR_CONFIDENCE, MINIMUM_DISTANCE_DIAMETERS, detect
from vitripick.picking.junk import over_micrograph
from vitripick.timing import stage

if TYPE_CHECKING:
    from vitripick.models import LoadedModel

Edge: TypeAlias = Literal["centre", "box"]


@dataclass(frozen=True, eq=False)
class Look:
    """What one look at a micrograph gave.

    Attributes
    ----------
    picks
        As of `pick`.
    junk : (rows, columns), float32, or None
        How probably each place is junk (carbon, ice, gold, aggregates), 0-1, over the micrograph from edge to edge, at
        the network's scale. None where the network does not say.
    diameter_px
        Of the particle, in full-size pixels: what was asked for, else what the network saw (0 where it saw nothing).
    warnings
        What was tolerated when the micrograph was read, its pixels included.
    """

    picks: Boxes
    junk: Image | None = None
    diameter_px: float | None = None
    warnings: tuple[str, ...] = ()


def pick(
    micrograph: Micrograph,
    model: LoadedModel,
    *,
    threshold: float | None = None,
    diameter_px: float | None = None,
    diameter_angstrom: float | None = None,
    box_size_px: float | None = None,
    minimum_distance_diameters: float = MINIMUM_DISTANCE_DIAMETERS,
    edge: Edge = "centre",
    minimum_size_px: float | None = None,
    maximum_size_px: float | None = None,
    patches: Patches | None = None,
) -> Boxes:
    """Find the particles of one micrograph.

    Parameters
    ----------
    micrograph
        From `read_micrograph`, or from `open_micrograph`, which need never be in memory whole.
    model
        From `load_model`, or from `load_on_engine` on a faster engine.
    threshold
        Lowest confidence to return; the model's own by default. 0 returns all that is stored, down to 0.05.
    diameter_px, diameter_angstrom
        The particle's diameter; Å need the micrograph's pixel size. By default that of the particle the model was
        trained on, where it was trained on one.
    box_size_px
        Size of the boxes returned; the diameter by default.
    minimum_distance_diameters
        Of picks closer than this, in diameters, the most confident stays.
    edge
        `"centre"`: a box may stick out of the micrograph as long as its centre is inside. `"box"`: it may not.
    minimum_size_px, maximum_size_px
        Leave out picks that the network saw smaller or larger than this, in full-size pixels.
    patches
        Rows and columns of patches, for a network that sees whole micrographs; by default as the model was trained.

    Returns
    -------
    Boxes
        In falling confidence, in full-size pixels.

    Raises
    ------
    UsageError
        If the diameter is needed and unknown, given in Å without a pixel size, or such that no particle could be seen.
    """
    return look(
        micrograph,
        model,
        threshold=threshold,
        diameter_px=diameter_px,
        diameter_angstrom=diameter_angstrom,
        box_size_px=box_size_px,
        minimum_distance_diameters=minimum_distance_diameters,
        edge=edge,
        minimum_size_px=minimum_size_px,
        maximum_size_px=maximum_size_px,
        patches=patches,
    ).picks


def look(
    micrograph: Micrograph,
    model: LoadedModel,
    *,
    threshold: float | None = None,
    diameter_px: float | None = None,
    diameter_angstrom: float | None = None,
    box_size_px: float | None = None,
    minimum_distance_diameters: float = MINIMUM_DISTANCE_DIAMETERS,
    edge: Edge = "centre",
    minimum_size_px: float | None = None,
    maximum_size_px: float | None = None,
    patches: Patches | None = None,
) -> Look:
    """`pick`, with what else the network says: parameters and errors are the same."""
    diameter = resolve_diameter_px(micrograph, model, diameter_px=diameter_px, diameter_angstrom=diameter_angstrom)
    if diameter is not None and model.card.preparation.scale_by == "particle":
        _check_visible(diameter, micrograph)
    known = {"micrograph": micrograph.name, "shape": micrograph.shape, "pixel_size": micrograph.pixel_size}
    preparation = model.card.preparation if patches is None else model.card.preparation.with_patches(patches)
    with stage("prepare"):
        prepared = prepare(micrograph, preparation, diameter_px=diameter)
    if not prepared.image.any():  # a constant micrograph
        nothing = np.zeros((1, 1), np.float32) if model.network.decoding.junk else None
        return Look(Boxes.empty(**known), nothing, diameter, prepared.warnings)  # type: ignore[arg-type]
    floor = model.card.uncalibrated(FLOOR_CONFIDENCE)
    found = detect(model.network, prepared.image, floor=floor, patches=preparation.patches)
    x, y = prepared.to_full(found.x, found.y)
    scale_y, scale_x = prepared.scale
    estimated_width, estimated_height = found.width / scale_x, found.height / scale_y
    if diameter is None:
        # A model that is told no diameter says what it saw.
        diameter = float(np.median(np.sqrt(estimated_width * estimated_height))) if len(found) else 0.0
    picks = Boxes.at(
        x,
        y,
        size_px=diameter if box_size_px is None else box_size_px,
        confidence=model.card.calibrated(found.confidence),
        estimated_width=estimated_width,
        estimated_height=estimated_height,
        micrograph=micrograph.name,
        shape=micrograph.shape,
        pixel_size=micrograph.pixel_size,
    )
    picks = keep_sizes(picks, minimum_px=minimum_size_px, maximum_px=maximum_size_px)
    picks = remove_overlaps(picks, minimum_distance_px=minimum_distance_diameters * diameter)
    picks = _inside(picks, prepared, edge)
    junk = None
    if found.junk is not None:
        shape = prepared.image.shape[0], prepared.image.shape[1]
        junk = over_micrograph(found.junk, stride=model.network.decoding.stride, working_shape=shape)
        junk = prepared.border.extended(junk, of=shape)
    picks = picks.above(model.card.threshold if threshold is None else threshold)
    return Look(picks, junk, diameter, prepared.warnings)


def resolve_diameter_px(
    micrograph: Micrograph,
    model: LoadedModel,
    *,
    diameter_px: float | None = None,
    diameter_angstrom: float | None = None,
) -> float | None:
    """The particle's diameter in pixels of this micrograph: what the user said, else what the model was trained on.

    Returns
    -------
    float or None
        None only for a model that needs no diameter.

    Raises
    ------
    UsageError
        As in `pick`.
    """
    if diameter_px is not None and diameter_angstrom is not None:
        raise UsageError("give the diameter in Å or in pixels, not both.")
    for option, value in (("--diameter-px", diameter_px), ("--diameter-angstrom", diameter_angstrom)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise UsageError(f"{option} must be a positive number, not {value}.")
    if diameter_px is not None:
        return diameter_px
    if diameter_angstrom is not None:
        if micrograph.pixel_size is None:
            raise UsageError(
                f"{micrograph.name}: a diameter in Å needs the pixel size, which this file does not state; "
                "give --pixel-size, or --diameter-px instead."
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
            "give --diameter-angstrom or --diameter-px."
        )
    return None


def _check_visible(diameter_px: float, micrograph: Micrograph) -> None:
    """Raise `UsageError` where the network would be shown next to no pixels of a particle, or not a whole one."""
    if why := why_unseen(diameter_px, micrograph.shape):
        raise UsageError(
            f"{micrograph.name}: a particle of {diameter_px:.4g} px {why}. Is the diameter in Å (not nm), or in pixels "
            "of these very micrographs? Is their pixel size right?"
        )


def _inside(picks: Boxes, prepared: Prepared, edge: Edge) -> Boxes:
    half_w, half_h = (picks.width / 2, picks.height / 2) if edge == "box" else (0.5, 0.5)
    height, width = prepared.full_shape
    (scale_y, scale_x), border = prepared.scale, prepared.border
    inside = (
        (picks.x >= border.left / scale_x + half_w - 0.5)
        & (picks.x <= width - border.right / scale_x - 0.5 - half_w)
        & (picks.y >= border.top / scale_y + half_h - 0.5)
        & (picks.y <= height - border.bottom / scale_y - 0.5 - half_h)
    )
    return picks.select(inside)
