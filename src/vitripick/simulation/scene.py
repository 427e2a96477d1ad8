"""Describe the sample in a micrograph: particles, debris, thick contaminants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from vitripick.geometry import Image
from vitripick.simulation.bodies import Bodies, Contaminant
from vitripick.simulation.projection import Particles

# Scene recipes count contaminants in a field of 200 nm by 200 nm: about a micrograph of 1024 pixels of 2 Å.
REFERENCE_AREA = 2000.0**2
_Pixels = TypeVar("_Pixels", Image, npt.NDArray[np.bool_])


@dataclass(frozen=True, eq=False)
class Field:
    """Holds the area that is simulated: the micrograph and a rim that is cut off at the end.

    Attributes
    ----------
    shape
        (rows, columns) of the micrograph.
    rim_px
        Pixels added on the top and left; at least as many on the bottom and right.
    padded
        (rows, columns) with the rim.
    pixel_size
        Å per pixel.
    """

    shape: tuple[int, int]
    rim_px: int
    padded: tuple[int, int]
    pixel_size: float

    @property
    def area_share(self) -> float:
        """Return the area of the micrograph, relative to the one in which scene recipes count contaminants."""
        return self.shape[0] * self.shape[1] * self.pixel_size**2 / REFERENCE_AREA

    def cut(self, padded: _Pixels) -> _Pixels:
        """Return the micrograph's part of an image of the padded field, as a view."""
        rows, columns = self.shape
        return padded[self.rim_px : self.rim_px + rows, self.rim_px : self.rim_px + columns]


@dataclass(frozen=True, eq=False)
class Scene:
    """Holds everything in the sample, in pixels of the padded field.

    Attributes
    ----------
    field
        The area that it lies in.
    particles
        The particles: the molecule, and its belt or genome as further groups of the same poses.
    z_angstrom : (n,)
        Height of each particle above the middle of the ice, towards the electron source.
    labelled : (n,), bool
        Whether the centre lies inside the micrograph.
    extents_px : (n, 2)
        Width and height of each particle's projection.
    debris
        Weak contaminants.
    bodies
        Thick contaminants.
    contaminants
        All contaminants for the record, in pixels of the micrograph.
    junk : (rows, columns), bool
        Where thick contaminants, clumps and filaments are.
    drawn
        Values that were drawn from the recipe, ready for JSON.
    """

    field: Field
    particles: list[Particles]
    z_angstrom: npt.NDArray[np.float64]
    labelled: npt.NDArray[np.bool_]
    extents_px: npt.NDArray[np.float64]
    debris: list[Particles]
    bodies: Bodies | None
    contaminants: list[Contaminant]
    junk: npt.NDArray[np.bool_]
    drawn: dict[str, Any]
