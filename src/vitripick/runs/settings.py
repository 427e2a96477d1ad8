"""What a run of picking is told."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from vitripick.errors import UsageError
from vitripick.images import Patches
from vitripick.models import ModelCard
from vitripick.models.engines import EngineName, Precision
from vitripick.models.run import MINIMUM_DISTANCE_DIAMETERS
from vitripick.picking.one import Edge
from vitripick.settings import Settings


class PickSettings(Settings):
    """What a run of picking is told; see `pick` for what each means.

    A diameter that does not fit what the network sees is replaced (`survey.py`), unless `keep_diameter` is set;
    `threshold` acts on export only; `pixel_size` goes before what a STAR and the headers say; `formats` are names of
    `vitripick.formats.FORMATS`; with `overlays`, a PNG a micrograph is drawn, with `thumbnails` a small JPEG; with
    `junk_masks`, the junk map is written at the micrograph's full size; `engine` and `precision` say what runs the
    network, see `load_on_engine`. Micrographs that are done stay so where `auto` would choose another engine today, and
    are picked again where another one is named.
    """

    diameter_px: float | None = Field(None, gt=0)
    diameter_angstrom: float | None = Field(None, gt=0)
    keep_diameter: bool = False
    box_size_px: float | None = Field(None, gt=0)
    threshold: float | None = Field(None, ge=0, le=1)
    minimum_distance_diameters: float = Field(MINIMUM_DISTANCE_DIAMETERS, ge=0)
    edge: Edge = "centre"
    minimum_size_px: float | None = Field(None, gt=0)
    maximum_size_px: float | None = Field(None, gt=0)
    patches: Patches | None = None
    pixel_size: float | None = Field(None, gt=0)
    engine: EngineName = "auto"
    precision: Precision = "auto"
    formats: tuple[str, ...] = ("star", "cbox")
    overlays: bool = False
    thumbnails: bool = False
    junk_masks: bool = False

    def for_pick(self) -> dict[str, Any]:
        """What `pick` is told of them; all but the threshold."""
        return self.model_dump(include=set(_FOR_PICK))


def check_settings(card: ModelCard, settings: PickSettings) -> None:
    """Raise `UsageError` where settings contradict one another or the model."""
    if settings.diameter_px is not None and settings.diameter_angstrom is not None:
        raise UsageError("give the diameter in Å or in pixels, not both.")
    card.preparation.with_patches(settings.patches or card.preparation.patches)


# These need the micrograph's image.
PICTURES = {"overlay", "thumbnail"}
_FOR_PICK = (
    "diameter_px",
    "diameter_angstrom",
    "box_size_px",
    "minimum_distance_diameters",
    "edge",
    "minimum_size_px",
    "maximum_size_px",
    "patches",
)
# These act when files are written (or, as `keep_diameter`, on another one); all others decide which picks there are.
ACT_ON_EXPORT = {"threshold", "formats", "overlays", "thumbnails", "junk_masks", "keep_diameter"}
