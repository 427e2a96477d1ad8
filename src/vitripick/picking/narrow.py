"""Choose which stored picks are exported, and with which boxes; nothing is picked again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

import numpy as np

from vitripick.geometry import Boxes, remove_overlaps
from vitripick.images.border import NO_BORDER, Border
from vitripick.json_toml import is_number
from vitripick.settings.pick import Edge, PickSettings

# Positions and sizes in the store have this many decimals of a pixel.
_DECIMALS = 4


@dataclass(frozen=True)
class Narrowing:
    """Says which stored picks are exported; the threshold comes on top.

    Attributes
    ----------
    edge
        What must lie inside the micrograph.
    minimum_distance_diameters
        Of picks closer than this, in diameters, the most confident stays.
    box_size_px
        Size of the boxes; the diameter if None.
    """

    edge: Edge
    minimum_distance_diameters: float
    box_size_px: float | None

    @classmethod
    def of(cls, settings: PickSettings) -> Narrowing:
        """Return the filters that these settings ask for."""
        return cls(settings.edge, settings.minimum_distance_diameters, settings.box_size_px)

    @classmethod
    def from_dict(cls, fields: Any) -> Narrowing | None:
        """Return the filters in a record; None if this version did not write them."""
        if not isinstance(fields, dict) or set(fields) != set(cls.__dataclass_fields__):
            return None
        distance, size = fields["minimum_distance_diameters"], fields["box_size_px"]
        fits = fields["edge"] in get_args(Edge) and is_number(distance) and distance >= 0
        return cls(**fields) if fits and (size is None or (is_number(size) and size > 0)) else None

    def to_dict(self) -> dict[str, Any]:
        """Return this ready for JSON."""
        return asdict(self)

    def boxed(self, picks: Boxes, diameter_px: float | None) -> Boxes:
        """Return the picks with boxes of the size that is asked for."""
        size = self.box_size_px or diameter_px
        return picks.with_size(round(size, _DECIMALS)) if size else picks

    def stored(self, picks: Boxes, diameter_px: float | None) -> Boxes:
        """Return all picks as the store holds them: boxes of this size, positions rounded.

        So boxes of another size leave every digit of the positions as it was.
        """
        rounded = replace(picks, x=np.round(picks.x, _DECIMALS), y=np.round(picks.y, _DECIMALS))
        return self.boxed(rounded, diameter_px)

    def applied(self, picks: Boxes, diameter_px: float | None, border: Border = NO_BORDER) -> Boxes:
        """Return the picks to export, at any confidence.

        Parameters
        ----------
        picks
            All stored picks of one micrograph, with its shape.
        diameter_px
            The particle's diameter in full-size pixels; None if it is unknown, as without picks.
        border
            Full-size pixels along the sides that hold no image.
        """
        diameter = diameter_px or 0.0
        picks = remove_overlaps(picks, minimum_distance_px=self.minimum_distance_diameters * diameter)
        picks = self.boxed(picks, diameter_px)
        margin_px = {"centre": 0.5, "particle": diameter / 2, "box": _half(picks.box_size_px)}[self.edge]
        return inside_border(picks, border, margin_px=margin_px)


def inside_border(picks: Boxes, border: Border, *, margin_px: float) -> Boxes:
    """Return the picks whose centre is at least `margin_px` away from the border, and from each side, of the image.

    The sides are the outer sides of the outermost pixels, half a pixel beyond their middles. `picks` must come with the
    micrograph's shape, and `border` is in full-size pixels.
    """
    if picks.shape is None:
        raise ValueError("picks must come with their micrograph's shape: picks.of(shape=...)")
    height, width = picks.shape
    margin = max(margin_px, 0.5) - 0.5
    return picks.select(
        (picks.x >= border.left + margin)
        & (picks.x <= width - 1 - border.right - margin)
        & (picks.y >= border.top + margin)
        & (picks.y <= height - 1 - border.bottom - margin)
    )


def _half(size_px: float) -> float:
    return size_px / 2 if np.isfinite(size_px) else 0.0
