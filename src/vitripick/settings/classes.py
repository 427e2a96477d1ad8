"""The options of two-dimensional classes."""

from __future__ import annotations

import re
from typing import Annotated, TypeAlias

from pydantic import AfterValidator

from vitripick.settings import FILTERS, OUTPUT, PARTICLE, Option, Settings, option

CLASSES = "Classes"
GOOD = "good"


def _class_list(value: str | None) -> str | None:
    """Return a list of classes as it was given, without blanks and a comma at its end."""
    if value is None:
        return None
    plain = value.replace(" ", "").removesuffix(",")
    if plain != GOOD and not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", plain):
        raise ValueError(f"give numbers of classes with commas between them, such as 1,3,5, or {GOOD}")
    return plain


ClassList: TypeAlias = Annotated[str | None, AfterValidator(_class_list)]


class ClassesSettings(Settings):
    """Says how to sort the picks of a run into classes, and which of them to keep."""

    n: int = option(
        30,
        "Classes at most; there are fewer for less than 14 particles per class.",
        about=Option(CLASSES),
        ge=1,
        le=200,
    )
    max_particles: int = option(
        5000,
        "Particles that the classes are made from, drawn from all micrographs; other picks are assigned afterwards.",
        about=Option(CLASSES),
        ge=1,
    )
    seed: int = option(
        0, "Decides which particles are drawn, and where the search begins.", about=Option(CLASSES), ge=0
    )
    diameter_px: float | None = option(
        None,
        "The particle's diameter in full-size pixels.",
        about=Option(PARTICLE, default_text="the run's"),
        gt=0,
    )
    threshold: float | None = option(
        None,
        "Lowest confidence to take.",
        about=Option(FILTERS, default_text="the run's"),
        ge=0,
        le=1,
    )
    keep_classes: ClassList = option(
        None,
        "Keep the picks of these classes, such as 1,3,5, or good: what seems to show particles. They go to OUT/kept, "
        "and all others to OUT/rejected.star.",
        about=Option(FILTERS, metavar="CLASSES"),
    )
    recentre: bool = option(
        False,
        "Move the picks that are kept to where their particle lies in its class.",
        about=Option(OUTPUT),
    )
    formats: tuple[str, ...] = option(
        (),
        "Format of the picks that are kept; repeat the option for several. There are {formats}.",
        about=Option(OUTPUT, name="format", default_text="the run's"),
    )
