"""The options of converting picks and labels."""

from __future__ import annotations

from vitripick.settings import FILTERS, Option, option
from vitripick.settings.optics import OpticsSettings

READING, WRITING = "How to read", "How to write"


class ConvertSettings(OpticsSettings):
    """Says how to read picks, which of them to keep, and how to write them."""

    source_format: str | None = option(
        None,
        "Format of the source, if neither its suffix nor its content shows it.",
        about=Option(READING, name="from"),
    )
    flip_y: bool = option(False, "Flip y, because the source counts rows from the other end.", about=Option(READING))
    scale: float = option(
        1.0,
        "Full-size pixels per pixel of the source: 4 after binning by 4.",
        about=Option(READING),
        gt=0,
        allow_inf_nan=False,
    )
    swap_xy: bool = option(False, "Swap x and y, because the source names rows first.", about=Option(READING))
    move_px: float = option(
        0.0,
        "Add this to x and y, in full-size pixels: half a box where corners were written for centres.",
        about=Option(READING),
        allow_inf_nan=False,
    )
    keep_coordinates: bool = option(
        False,
        "Take the coordinates as they stand, even if RELION or cryoSPARC found a shift of the particle. By default the "
        "shift is applied.",
        about=Option(READING),
    )
    pixel_size: float | None = option(
        None,
        "Å per pixel of the micrographs, if neither the source nor the micrographs say it, or if they are wrong.",
        about=Option(READING),
        gt=0,
        allow_inf_nan=False,
    )
    # Other programs' scores, such as Topaz's, lie outside 0 to 1.
    threshold: float | None = option(
        None,
        "Leave out picks of a lower confidence; labels stay. For a run folder, the default is the run's threshold; 0 "
        "takes "
        "all its stored picks.",
        about=Option(FILTERS),
        allow_inf_nan=False,
    )
    minimum_size_px: float | None = option(
        None,
        "Leave out picks that the network saw smaller than this, in full-size pixels.",
        about=Option(FILTERS),
        gt=0,
        allow_inf_nan=False,
    )
    maximum_size_px: float | None = option(
        None,
        "Leave out picks that the network saw larger than this, in full-size pixels.",
        about=Option(FILTERS),
        gt=0,
        allow_inf_nan=False,
    )
    minimum_distance_px: float = option(
        0.0,
        "Of picks closer together than this, in full-size pixels, keep only the most confident.",
        about=Option(FILTERS),
        ge=0,
        allow_inf_nan=False,
    )
    box_size_px: float | None = option(
        None, "Give all boxes this size, in full-size pixels.", about=Option(WRITING), gt=0, allow_inf_nan=False
    )
    float_coordinates: bool = option(
        False, "Write fractions of pixels in .box files, instead of whole pixels.", about=Option(WRITING)
    )
