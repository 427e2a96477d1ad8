"""The settings of a whole project, which the page changes."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from vitripick.settings import Settings
from vitripick.web.requests import ClassChoice, ViewValue


class ProjectSettings(Settings):
    """Holds settings of the whole project, which the page changes.

    Attributes
    ----------
    filaments
        Whether the labels are filaments, as at the first start of the project; else they are particles.
    box_size_px
        Size of every label's box, or width of every filament, in full-size pixels.
    pixel_size
        Å per pixel, where the headers have none or a wrong one.
    threshold, minimum_distance_px, smallest_px, largest_px
        The limits on the picks that are shown, counted and exported; 0 means no limit.
    pick_set
        The set of picks that is shown: `given` on the command line, or the number of a run.
    class_choices
        Which classes the user finds good, by set of picks.
    view
        How the page shows micrographs: contrast, filters and the like.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    filaments: bool = False
    box_size_px: float | None = Field(None, gt=0)
    pixel_size: float | None = Field(None, gt=0)
    threshold: float = Field(0.3, ge=0, le=1)
    minimum_distance_px: float = Field(0.0, ge=0)
    smallest_px: float = Field(0.0, ge=0)
    largest_px: float = Field(0.0, ge=0)
    pick_set: str | None = None
    class_choices: dict[str, ClassChoice] = Field(default_factory=dict)
    view: dict[str, ViewValue] = Field(default_factory=dict)
