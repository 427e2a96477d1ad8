"""Every option of a command stands here once: its name, type, limits, default, and what it does.

The library, the command line, the labels of RELION jobs, the help texts and docs/options.md all read the settings
classes beside this file. To add an option: write one field here, and use it where it acts.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from vitripick.errors import UsageError
from vitripick.settings.wording import first_problem

PARTICLE, FILTERS, FINDING, OUTPUT, MACHINE = (
    "Particle",
    "Threshold and filters",
    "Which micrographs",
    "Output",
    "Machine",
)


class Settings(BaseModel):
    """Holds settings that are frozen and refuse unknown keys: a misspelt one is an error, not a silent default.

    NaN and infinities are refused, too: no setting means anything with them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


T = TypeVar("T", bound=Settings)


@dataclass(frozen=True)
class Option:
    """Holds what a person who types an option reads about it, besides its type, limits, default and description.

    Attributes
    ----------
    heading
        The heading under which help texts list it.
    name
        How the user writes it, if that is shorter than the field's name: `minimum_distance` is `--minimum-distance`.
    metavar
        What stands for its value in help texts.
    default_text
        The default in words, if the field itself has none.
    decides_picks
        Whether the stored picks change with it. An option that acts only when files are written leaves them as they
        are.
    in_runs_only
        Whether it acts only in a run, and not when `pick` gets a single micrograph.
    """

    heading: str = ""
    name: str | None = None
    metavar: str | None = None
    default_text: str | None = None
    decides_picks: bool = True
    in_runs_only: bool = False


def option(default: Any, description: str, *, about: Option | None = None, **limits: Any) -> Any:
    """Return a field with its description, its limits (`gt`, `ge`, `lt`, `le`) and what people read about it."""
    return Field(default=default, description=description, json_schema_extra={"option": about or Option()}, **limits)  # type: ignore[dict-item]


def option_of(field: FieldInfo) -> Option:
    """Return what people read about a field; a plain `Field` has nothing but its description."""
    extra = field.json_schema_extra
    found = extra.get("option") if isinstance(extra, dict) else None
    return found if isinstance(found, Option) else Option()


def is_option(field: FieldInfo) -> bool:
    """Return whether a field was made with `option`."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and isinstance(extra.get("option"), Option)


def option_names(settings: type[Settings]) -> dict[str, str]:
    """Return how people write each field of a settings class, by the field's name: underscores, no dashes."""
    return {name: option_of(field).name or name for name, field in settings.model_fields.items()}


def plain_type(field: FieldInfo) -> tuple[Any, bool]:
    """Return a field's type without `Annotated` and `None`, and whether it may be None."""
    return _plain(field.annotation)


def keyword_parameters(settings: type[Settings], names: Sequence[str]) -> list[inspect.Parameter]:
    """Return fields as keyword-only parameters, for the signature of a function that takes them by name."""
    parameters = []
    for name in names:
        field = settings.model_fields[name]
        type_, is_optional = plain_type(field)
        annotation = type_ | None if is_optional else type_
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter(name, kind, default=field.default, annotation=annotation))
    return parameters


def _plain(annotation: Any) -> tuple[Any, bool]:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        return _plain(members[0])[0], True
    return annotation, False


def with_options(settings: T, options: dict[str, Any]) -> T:
    """Return settings with the options that a caller gave by name.

    Raises
    ------
    UsageError
        If an option is unknown or out of range.
    """
    known = type(settings).model_fields
    unknown = next((name for name in options if name not in known), None)
    if unknown is not None:
        raise UsageError(f"there is no option {unknown!r}; the options are {', '.join(known)}.")
    try:
        return type(settings)(**{**dict(settings), **options})
    except ValidationError as error:
        name, value, reason = first_problem(error, type(settings))
        raise UsageError(f"{name}={value!r}: {reason if reason.endswith('?') else reason + '.'}") from None


def _rows_and_columns(value: Any) -> Any:
    """Return (rows, columns) of a text such as `2x3`; anything else is left to the type."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"(\d+)[xX×](\d+)", value.strip())
    if not found:
        raise ValueError("give rows x columns, such as 2x2 or 3x3")
    return int(found[1]), int(found[2])


# Rows and columns; a text such as "2x3" is understood, too.
RowsColumns: TypeAlias = Annotated[tuple[int, int], BeforeValidator(_rows_and_columns)]
