"""Turn settings classes into options of a command, and give the options that several commands share.

A command says `settings: PickSettings`, and `with_settings` puts one option for each field in its place: name, help,
heading and limits come from `vitripick.settings`. The command receives one object.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import typer
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from vitripick.errors import UsageError
from vitripick.settings import MACHINE, Settings, is_option, option_names, option_of, plain_type
from vitripick.settings.spelling import flag
from vitripick.settings.wording import first_problem, limits_of

F = TypeVar("F", bound=Callable[..., Any])

ModelName = Annotated[
    str | None, typer.Option("--model", help="A released model's name or a bundle; `vitripick models` lists them.")
]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1 … or auto.", rich_help_panel=MACHINE)]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
PixelSize = Annotated[float | None, typer.Option(help="Å per pixel, if the headers do not say it or are wrong.")]
Include = Annotated[
    list[str] | None,
    typer.Option(
        help="Take these images, too, where a folder holds them beside the micrographs: an ending such as _EVN, or a "
        "pattern; '*' takes all.",
        metavar="ENDING",
    ),
]
JsonLines = Annotated[bool, typer.Option("--json-lines", help="Print one line of JSON per micrograph as it is done.")]


class Given:
    """Marks a parameter that takes only those fields of a settings class that the user typed.

    A command with `Annotated[dict[str, Any], Given(TrainSettings)]` gets a dictionary. The other fields may come from a
    file or from elsewhere. Only fields made with `option` are on the command line.
    """

    def __init__(self, settings: type[Settings]) -> None:
        self.fields = {name: field for name, field in settings.model_fields.items() if is_option(field)}


def with_settings(command: F) -> F:
    """Replace each parameter of `command` that is a settings class by one option for each of its fields.

    The settings class checks the values; if it refuses one, a usage error names the option.
    """
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    classes: dict[str, type[Settings]] = {}
    partial: dict[str, dict[str, FieldInfo]] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        hint = hints[name]
        given_of = next((one for one in get_args(hint)[1:] if isinstance(one, Given)), None)
        if given_of is not None:
            partial[name] = given_of.fields
            parameters += [_parameter(field, info, optional=True) for field, info in given_of.fields.items()]
        elif isinstance(hint, type) and issubclass(hint, Settings):
            classes[name] = hint
            parameters += [_parameter(field, info) for field, info in hint.model_fields.items()]
        else:
            parameters.append(parameter.replace(annotation=hint, kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def call(**given: Any) -> Any:
        for name, settings in classes.items():
            values = {field: given.pop(field) for field in settings.model_fields}
            given[name] = settings_from(settings, values)
        for name, fields in partial.items():
            given[name] = {field: value for field in fields if (value := given.pop(field)) not in (None, [])}
        return command(**given)

    signature = inspect.Signature(parameters)
    call.__signature__ = signature  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call  # type: ignore[return-value]


def settings_from(settings: type[Settings], values: dict[str, Any]) -> Any:
    """Return the settings of these values, with the default where a value is None or empty.

    Raises
    ------
    UsageError
        If the settings class refuses a value; it names the option.
    """
    given = {name: value for name, value in values.items() if value is not None and value != []}
    try:
        return settings(**given)
    except ValidationError as error:
        name, value, reason = first_problem(error, settings)
        shown = f"{flag(option_names(settings).get(name, name))} {value}: " if name else ""
        raise UsageError(f"{shown}{reason if reason.endswith('?') else reason + '.'}") from None


def _parameter(name: str, field: FieldInfo, *, optional: bool = False) -> inspect.Parameter:
    """Return one field as a parameter that Typer understands; an optional one has no default."""
    about, (type_, is_optional) = option_of(field), plain_type(field)
    own_type, metavar = _typer_type(type_, about.metavar)
    declared = flag(about.name or name)
    if type_ is bool:
        declared += f"/--no-{declared[2:]}" if field.default or is_optional else ""
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    if optional:
        default, is_optional = None, True
    if about.default_text is not None and default is None:
        shown: bool | str = about.default_text
    else:
        shown = default not in (None, False)
    info = typer.Option(
        declared, help=field.description, rich_help_panel=about.heading or None, metavar=metavar, show_default=shown
    )
    # Typer ignores the limits; they are for `check_typed`.
    annotation = Annotated[own_type | None if is_optional else own_type, info, limits_of(field)]  # type: ignore[valid-type]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _typer_type(type_: Any, metavar: str | None) -> tuple[Any, str | None]:
    """Return the type that Typer parses, and what stands for the value in the help."""
    if get_origin(type_) is Literal:
        return str, metavar or "|".join(get_args(type_))
    if get_origin(type_) is tuple and get_args(type_)[1:] == (...,):
        return list[str], metavar or "NAME"
    if type_ in (bool, int, float, str):
        return type_, metavar
    return str, metavar
