"""Define the bodies that the page may send, each with its limits; the server refuses anything else."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from vitripick.settings import Settings

MAX_LABELS = 100_000
MAX_POLYGON_POINTS = 2_000
MAX_AREA_POINTS = 20_000  # of all areas of a micrograph
MAX_LINES = 20_000
MAX_LINE_POINTS = 200_000  # of all filaments of a micrograph
MAX_VIEW = 50
_LARGEST = 1e6

Coordinate = Annotated[float, Field(ge=-_LARGEST, le=_LARGEST, allow_inf_nan=False)]
Number = Annotated[int, Field(ge=0, le=2**31)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, le=_LARGEST, allow_inf_nan=False)]
Size = Annotated[float, Field(ge=0, le=_LARGEST, allow_inf_nan=False)]
Point = tuple[Coordinate, Coordinate]
Polygon = Annotated[tuple[Point, ...], Field(min_length=3, max_length=MAX_POLYGON_POINTS)]
Line = Annotated[tuple[Point, ...], Field(min_length=2, max_length=MAX_POLYGON_POINTS)]
Flag = Literal["complete", "empty", "excluded"]
# Picks that were given on the command line, or the number of a run.
PickSetId = Annotated[str, Field(pattern=r"^(given|\d{3,6}|\d{8}-\d{6})$")]
MicrographId = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]


class Request(Settings):
    """Refuses unknown keys, NaN and infinity, for all bodies that derive from it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class EditRequest(Request):
    """Change the labels; `revision` is the revision of the labels that the user saw."""

    revision: Number
    # Random, from the page: an edit whose answer was lost is sent again, and must not act twice.
    id: Annotated[str, Field(pattern=r"^[\w-]{8,40}$")] | None = None
    add: tuple[tuple[Number, Coordinate, Coordinate], ...] = Field((), max_length=MAX_LABELS)
    remove: tuple[Number, ...] = Field((), max_length=MAX_LABELS)
    move: tuple[tuple[Number, Coordinate, Coordinate], ...] = Field((), max_length=MAX_LABELS)
    add_areas: tuple[tuple[Number, Polygon], ...] = Field((), max_length=1000)
    remove_areas: tuple[Number, ...] = Field((), max_length=1000)
    reject: tuple[tuple[Number, Coordinate, Coordinate], ...] = Field((), max_length=MAX_LABELS)
    unreject: tuple[Number, ...] = Field((), max_length=MAX_LABELS)
    add_lines: tuple[tuple[Number, Line], ...] = Field((), max_length=MAX_LINES)
    remove_lines: tuple[Number, ...] = Field((), max_length=MAX_LINES)
    bend: tuple[tuple[Number, Line], ...] = Field((), max_length=MAX_LINES)


class StepRequest(Request):
    """Asks to undo or redo one edit; `revision` as in `EditRequest`."""

    revision: Number


class FlagRequest(Request):
    """Asks to set or remove the flag of a micrograph."""

    flag: Flag | None


def _short(values: dict[str, Any]) -> dict[str, Any]:
    if len(values) > MAX_VIEW or any(len(key) > 50 for key in values):
        raise ValueError("too many settings of the view, or too long a name")
    return values


ViewValue = bool | Annotated[float, Field(allow_inf_nan=False)] | Annotated[str, Field(max_length=50)] | None


class ClassChoice(Request):
    """Says which classes of a set of picks the user finds good.

    Attributes
    ----------
    key
        Key of the classes. For other classes of the same set, the choice does not count.
    good
        Numbers of the good classes.
    cull
        Whether only picks of good classes are shown, counted and exported.
    """

    key: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    good: Annotated[tuple[Annotated[int, Field(ge=1, le=1000)], ...], Field(max_length=1000)] = ()
    cull: bool = False


class SettingsRequest(Request):
    """Change settings of the project; those that are left out stay as they are."""

    box_size_px: Positive | None = None
    pixel_size: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] | None = None
    threshold: Share | None = None
    minimum_distance_px: Size | None = None
    smallest_px: Size | None = None
    largest_px: Size | None = None
    pick_set: PickSetId | None = None
    class_choices: Annotated[dict[PickSetId, ClassChoice], Field(max_length=MAX_VIEW)] | None = None
    view: Annotated[dict[str, ViewValue], AfterValidator(_short)] | None = None


class TrainRequest(Request):
    """Train a model on the present labels, and then pick with it."""

    start: Annotated[str, Field(pattern=r"^(scratch|released:[\w.-]{1,60}|run:\d{3,6})$")] = "scratch"
    effort: Literal["quick", "standard", "thorough"] = "quick"
    then_pick: Literal["none", "this", "labelled", "all"] = "this"
    micrograph: MicrographId | None = None
    # Replaces the steps of the effort, for tests and for a quick try.
    steps: Annotated[int, Field(ge=1, le=100_000)] | None = None


class PickRequest(Request):
    """Pick with a released model or with the model of a run."""

    model: Annotated[str, Field(pattern=r"^(released:[\w.-]{1,60}|run:\d{3,6})$")]
    which: Literal["this", "these", "labelled", "all"] = "all"
    micrograph: MicrographId | None = None
    micrographs: Annotated[tuple[MicrographId, ...], Field(max_length=100_000)] = ()


class ClassesRequest(Request):
    """Sort the picks of a set into classes; `n` of them at most."""

    n: Annotated[int, Field(ge=1, le=200)] = 30


class ExportRequest(Request):
    """Write labels or picks into files for the next program."""

    what: Literal["labels", "picks", "both"] = "labels"
    formats: Annotated[tuple[Annotated[str, Field(max_length=30)], ...], Field(min_length=1, max_length=20)]
    # Of the segments of filaments; None: half the width.
    spacing_angstrom: Positive | None = None
