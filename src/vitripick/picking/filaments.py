"""Trace the filaments of one micrograph: prepare, network, trace."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitripick.errors import UsageError, parameter
from vitripick.geometry import Filament, Filaments, Micrograph, why_unseen
from vitripick.images import prepare
from vitripick.models.detections import Batch, Decoding, sigmoid
from vitripick.models.run import raw_maps
from vitripick.timing import stage
from vitripick.tracing import LineMaps, Tracing, is_edge, trace

if TYPE_CHECKING:
    from vitripick.images.border import Border
    from vitripick.models.model import LoadedModel


@dataclass(frozen=True, eq=False)
class Traced:
    """Holds what was found on one micrograph.

    Attributes
    ----------
    filaments
        In full-size pixels, the longest first; each has the width that the network sees.
    warnings
        Faults of the file that were tolerated.
    edge_length
        Length of the lines that were left out as edges of something dark, in full-size pixels.
    """

    filaments: Filaments
    warnings: tuple[str, ...] = ()
    edge_length: float = 0.0


def trace_filaments(
    micrograph: Micrograph,
    model: LoadedModel,
    *,
    width_px: float | None = None,
    width_angstrom: float | None = None,
    tracing: Tracing | None = None,
    invert: bool = False,
) -> Traced:
    """Trace the filaments of one micrograph.

    Parameters
    ----------
    micrograph
        From `read_micrograph`.
    model
        From `load_filament_model`, or of `open_filament_model` on an engine.
    width_px, width_angstrom
        Width of the filament, one of the two; by default that of the model's own filament.
    tracing
        How maps become paths; defaults, at the model's threshold, if None.
    invert
        Invert the contrast, because the network knows dark filaments only.

    Raises
    ------
    UsageError
        If the width is not known, or no filament of that width could be seen.
    """
    width = resolve_width_px(micrograph, model, width_px, width_angstrom)
    if why := why_unseen(width, micrograph.shape):
        raise UsageError(
            f"{micrograph.name}: a filament of {width:.4g} px {why}. Is the width in Å (not nm), or in pixels of these "
            "very micrographs? Is their pixel size right?"
        )
    tracing = tracing or Tracing(threshold=model.card.threshold)
    with stage("prepare"):
        prepared = prepare(micrograph, model.card.preparation, diameter_px=width, invert=invert)
    known = {"micrograph": micrograph.name, "shape": micrograph.shape, "pixel_size": micrograph.pixel_size}
    if not prepared.image.any():
        return Traced(Filaments([], **known), prepared.warnings)  # type: ignore[arg-type]
    with stage("network"):
        raw = raw_maps(model.network, prepared.image)
    how = model.network.decoding
    stride, typical = how.stride, how.numbers["working_width_px"]
    maps = _without_border(_maps(raw, how), prepared.border, stride)
    with stage("decode"):
        found = trace(maps, tracing, typical_width=typical / stride)
    scale_y, scale_x = prepared.scale
    filaments, edge_length = [], 0.0
    for one in found:
        working = one.scaled(stride)
        if is_edge(prepared.image, working, typical):
            edge_length += working.length / float(np.sqrt(scale_x * scale_y))
            continue
        x, y = prepared.to_full(working.points[:, 0], working.points[:, 1])
        x, y = np.clip(x, 0, micrograph.shape[1] - 1), np.clip(y, 0, micrograph.shape[0] - 1)
        wide = one.width * stride / float(np.sqrt(scale_x * scale_y))
        filaments.append(Filament.through(np.column_stack([x, y]), width=wide, confidence=one.confidence))
    return Traced(Filaments(filaments, **known), prepared.warnings, edge_length)  # type: ignore[arg-type]


def resolve_width_px(
    micrograph: Micrograph, model: LoadedModel, width_px: float | None, width_angstrom: float | None
) -> float:
    """Return the filament's width in pixels of this micrograph: as given, else that of the model's own filament.

    Raises
    ------
    UsageError
        If both are given, neither is known, or the pixel size is missing.
    """
    if width_px is not None and width_angstrom is not None:
        raise UsageError("give the width in Å or in pixels, not both.")
    if width_px is None and width_angstrom is None:
        width_px, width_angstrom = model.card.diameter_px, model.card.diameter_angstrom
        if width_angstrom is not None and micrograph.pixel_size is not None:
            return width_angstrom / micrograph.pixel_size
        if width_px is None:
            raise UsageError(
                f"model {model.card.name!r} sees every filament at one width: give {parameter('width_angstrom')} or "
                f"{parameter('width_px')}."
            )
    if width_px is not None:
        return width_px
    if micrograph.pixel_size is None:
        raise UsageError(
            f"{micrograph.name}: a width in Å needs the pixel size, which this file does not state; give "
            f"{parameter('pixel_size')}, or {parameter('width_px')} instead."
        )
    assert width_angstrom is not None
    return width_angstrom / micrograph.pixel_size


def _maps(raw: Batch, how: Decoding) -> LineMaps:
    """Return the decoded maps, in cells of the network's stride."""
    width = how.numbers["working_width_px"] / how.stride * np.exp(np.clip(raw[5], -1.5, 1.5))
    return LineMaps(sigmoid(raw[0]), raw[1], raw[2], raw[3], raw[4], width)


def _without_border(maps: LineMaps, border: Border, stride: int) -> LineMaps:
    """Return the maps with no heat where the micrograph holds no image."""
    if not any((border.top, border.bottom, border.left, border.right)):
        return maps
    heat = maps.heat.copy()
    rows, columns = heat.shape
    top, bottom, left, right = (-(-n // stride) for n in (border.top, border.bottom, border.left, border.right))
    heat[:top] = heat[rows - bottom :] = 0
    heat[:, :left] = heat[:, columns - right :] = 0
    return dataclasses.replace(maps, heat=heat)
