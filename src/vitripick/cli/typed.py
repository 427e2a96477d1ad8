"""Check a command line before its values are converted, and say in plain words what is wrong with it."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from vitripick.errors import UsageError
from vitripick.settings.wording import Limits


def check_typed(given: Mapping[str, Any], command: Any) -> None:
    """Refuse a text instead of a number, a number out of range, and an empty value.

    Parameters
    ----------
    given
        What the user typed, by the parameter's name: a text, several texts, or a switch.
    command
        The command, as typer built it.

    Raises
    ------
    UsageError
        For the first impossible value; it names the option, the value, and what to give.
    """
    kinds = _kinds(command.callback)
    for parameter in command.params:
        values = given.get(parameter.name)
        for value in values if isinstance(values, list | tuple) else [values]:
            if isinstance(value, str):
                _check(value, shown_name(parameter), kinds.get(parameter.name), parameter)


def shown_name(parameter: Any) -> str:
    """Return how people write a parameter: `--out`, or `MICROGRAPHS` for an argument."""
    if getattr(parameter, "param_type_name", "") == "argument":
        return str(parameter.metavar or parameter.name).removesuffix("...").upper()
    return next((name for name in parameter.opts if name.startswith("--")), str(parameter.opts[0]))


def complaint(error: Any) -> str:
    """Return what is wrong with a command line, in one sentence, from an error of typer or click."""
    context, kind, message = getattr(error, "ctx", None), type(error).__name__, str(error.message or "")
    # Typer exports only some of its classes of errors. Click and typer give them the same names, so names decide here.
    parameter = getattr(error, "param", None)
    command = "vitripick" if context is None else context.command_path
    quoted = re.search(r"'([^']*)'|\(([^()]*)\)$", message)
    name = "" if quoted is None else quoted[1] or quoted[2]
    if kind == "NoSuchOption":
        return f"{error.option_name}: {command} has no such option{_near_options(error.option_name, context)}"
    if kind == "NoSuchCommand" or message.startswith("No such command"):
        near = difflib.get_close_matches(name, context.command.commands if context is not None else (), 1)
        return f"{name}: there is no such command" + (
            f"; did you mean {command} {near[0]}?" if near else _more(command)
        )
    if kind == "MissingParameter" and parameter is not None:
        what = re.split(r"[.;]\s|\.$", getattr(parameter, "help", "") or "")[0]
        return f"{shown_name(parameter)} is missing{f' ({what[:1].lower()}{what[1:]})' if what else ''}{_more(command)}"
    if message.startswith("Missing command"):
        return f"give a command{_more(command)}"
    if kind == "BadOptionUsage" and "does not take" in message:
        return f"{error.option_name} takes no value; write {error.option_name} alone."
    if kind == "BadOptionUsage":
        return f"{error.option_name}: its value is missing; write {error.option_name} VALUE."
    if "unexpected extra argument" in message:
        return f"{name}: {command} takes no further argument; put a name that has blanks in it in quotes."
    named = getattr(error, "param_hint", None) or (None if parameter is None else shown_name(parameter))
    return f"{named}: {message}" if named else message


def _check(value: str, name: str, kind: Limits | type | None, parameter: Any) -> None:
    if not value.strip() and value != parameter.default:
        instead = "" if parameter.required else f", or leave {name} out"
        raise UsageError(
            f"{name} '{value}': this is empty (was a variable of a script not set?); give a value{instead}."
        )
    refusal = kind.refusal(value) if isinstance(kind, Limits) else None
    if refusal is not None:
        raise UsageError(f"{name} {value}: {refusal if refusal.endswith('?') else refusal + '.'}")


def _kinds(command: Callable[..., Any]) -> dict[str, Limits | type | None]:
    """Return, for each parameter of a command, the numbers that it takes, or another type."""
    command = inspect.unwrap(command, stop=lambda function: "__signature__" in vars(function))
    if "__signature__" in vars(command):
        hints = {name: parameter.annotation for name, parameter in inspect.signature(command).parameters.items()}
    else:
        hints = get_type_hints(command, include_extras=True)
    return {name: _kind(hint) for name, hint in hints.items()}


def _kind(hint: Any) -> Limits | type | None:
    about: tuple[Any, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *rest = get_args(hint)
        about = tuple(rest)
    members = [member for member in get_args(hint) if member is not type(None)]
    type_ = members[0] if len(members) == 1 and type(None) in get_args(hint) else hint
    if type_ not in (int, float):
        return type_ if type_ in (str, bool, Path) else None
    limits = [one for one in about if isinstance(one, Limits)]
    return limits[0] if limits else Limits(whole=type_ is int, ge=_end(about, "min"), le=_end(about, "max"))


def _end(about: tuple[Any, ...], name: str) -> float | None:
    """Return the `min` or `max` that an option was declared with."""
    return next((value for one in about if (value := getattr(one, name, None)) is not None), None)


def _near_options(typed: str, context: Any) -> str:
    known = [name for parameter in context.command.params for name in (*parameter.opts, *parameter.secondary_opts)]
    known = [name for name in known if name.startswith("--")]
    near = ["--help"] if typed == "-h" else difflib.get_close_matches(typed, known, 2)
    if not near and typed.startswith("-") and not typed.startswith("--"):
        near = [name for name in known if name.startswith(f"-{typed}")][:2]
    return f"; did you mean {' or '.join(near)}?" if near else _more(context.command_path)


def _more(command: str) -> str:
    return f"; `{command} --help` shows what there is."
