"""Values of a wrong kind, for every option of every command: our sentence, the option, the value, exit code 2."""

import re

import pytest
import typer

from vitripick.cli.app import app
from vitripick.cli.typed import _kinds, shown_name
from vitripick.settings.wording import Limits

COMMANDS = typer.main.get_command(app).commands
# Words of typer, click and pydantic.
FOREIGN = re.compile(r"Input should|[Ii]nvalid value|valid (integer|number)|Usage:|Error:|Traceback|pydantic|Missing ")


def every_parameter():
    for command, built in COMMANDS.items():
        kinds = _kinds(built.callback)
        for parameter in built.params:
            if parameter.name != "help" and command != "relion":
                yield command, parameter, kinds.get(parameter.name)


NUMBERS = [(command, parameter, kind) for command, parameter, kind in every_parameter() if isinstance(kind, Limits)]
TEXTS = [
    (c, p) for c, p, kind in every_parameter() if not isinstance(kind, Limits) and not getattr(p, "is_flag", False)
]
SWITCHES = [(command, parameter) for command, parameter, _ in every_parameter() if getattr(parameter, "is_flag", False)]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Leave nothing in the working folder, if a command should go too far."""
    monkeypatch.chdir(tmp_path)


def named(case):
    return f"{case[0]} {shown_name(case[1])}"


def typed(command, parameter, value):
    """Return what a person types to give this value."""
    if parameter.param_type_name != "argument":
        return [shown_name(parameter), value]
    arguments = [other for other in COMMANDS[command].params if other.param_type_name == "argument"]
    return ["x"] * arguments.index(parameter) + [value]


def is_told(outcome, parameter, value):
    assert outcome.code == 2, outcome.err
    assert outcome.err.startswith("vitripick: ")
    assert outcome.err.count("\n") == 1, outcome.err
    assert shown_name(parameter) in outcome.err
    assert value in outcome.err
    assert not FOREIGN.search(outcome.err), outcome.err
    assert outcome.out == ""


def wrong_numbers(kind):
    """Return texts that are not a number, or not one within the limits."""
    yield from ("many", "nan", "inf", "-inf", "1_0", "1,5x", "٣", "9" * 400)
    if kind.whole:
        yield from ("2.5", "1e3", "0x10", "9" * 30)
    if kind.ge is not None or kind.gt is not None:
        yield f"{(kind.ge or kind.gt or 0) - 1:g}"
    if kind.gt is not None:
        yield f"{kind.gt:g}"
    if kind.le is not None:
        yield f"{kind.le + 1:g}"


def test_all_commands_have_options_to_walk():
    assert len(NUMBERS) > 60
    assert len(TEXTS) > 60
    assert len({command for command, _ in TEXTS}) >= len(COMMANDS) - 2


@pytest.mark.parametrize("case", NUMBERS, ids=named)
def test_no_number_passes_that_cannot_be(vitripick, case):
    command, parameter, kind = case
    for value in wrong_numbers(kind):
        is_told(vitripick(command, *typed(command, parameter, value)), parameter, value)


@pytest.mark.parametrize("case", TEXTS, ids=named)
def test_no_value_may_be_empty(vitripick, case):
    command, parameter = case
    if parameter.default == "":
        return
    for value in ("", "  "):
        outcome = vitripick(command, *typed(command, parameter, value))
        is_told(outcome, parameter, f"'{value}'")


@pytest.mark.parametrize("case", SWITCHES, ids=named)
def test_a_switch_takes_no_value(vitripick, case):
    command, parameter = case
    name = shown_name(parameter)
    assert vitripick(command, f"{name}=yes").err == f"vitripick: {name} takes no value; write {name} alone.\n"


@pytest.mark.parametrize("case", TEXTS + [case[:2] for case in NUMBERS], ids=named)
def test_an_option_at_the_end_has_lost_its_value(vitripick, case):
    command, parameter = case
    if parameter.param_type_name == "argument":
        return
    name = shown_name(parameter)
    outcome = vitripick(command, name)
    assert (outcome.code, outcome.err) == (2, f"vitripick: {name}: its value is missing; write {name} VALUE.\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_missing_unknown_or_too_much_is_told_in_our_words(vitripick, command):
    required = [parameter for parameter in COMMANDS[command].params if parameter.required]
    for arguments in ([], ["--no-such-option", "3"], ["x"] * 7):
        takes_all = any(parameter.nargs == -1 for parameter in COMMANDS[command].params)
        if (
            (not arguments and not required)
            or (command == "relion" and arguments)
            or (takes_all and len(arguments) > 2)
        ):
            continue
        outcome = vitripick(command, *arguments)
        assert outcome.code == 2, outcome.err
        assert outcome.err.startswith("vitripick: ")
        assert outcome.err.count("\n") == 1
        assert not FOREIGN.search(outcome.err), outcome.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["pick", "x", "--out", "y", "--threshold", "40"],
            "--threshold 40: give a number from 0 to 1; did you mean 0.40?",
        ),
        (
            ["pick", "x", "--out", "y", "--threshold", "0,4"],
            "--threshold 0,4: give a number from 0 to 1; did you mean 0.4?",
        ),
        (
            ["pick", "x", "--out", "y", "--threshold", "40%"],
            "--threshold 40%: give a number from 0 to 1; did you mean 0.40?",
        ),
        (["pick", "x", "--out", "y", "--threshold", "1.2"], "--threshold 1.2: give a number from 0 to 1."),
        (["extract", "x", "--out", "y", "--box-size-px", "6", "--threshold", "40"], "did you mean 0.40?"),
        (["cryosparc", "x", "--out", "y", "--threshold", "40"], "did you mean 0.40?"),
        (["pick", "x", "--out", "y", "--diameter-angstrom", "130A"], "give a number above 0; did you mean 130?"),
        (["pick", "x", "--out", "y", "--edge", "center"], "did you mean centre?"),
        (["pick", "x", "--out", "y", "--treshold", "0.4"], "did you mean --threshold"),
        (["pick", "x"], "--out is missing (folder for the picks); `vitripick pick --help` shows what there is."),
        (["pikc"], "pikc: there is no such command; did you mean vitripick pick?"),
        (["doctor", "x"], "x: vitripick doctor takes no further argument"),
        (["pick", "-h"], "did you mean --help?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_slip_gets_the_right_value_suggested(vitripick, arguments, sentence):
    outcome = vitripick(*arguments)
    assert outcome.code == 2
    assert sentence in outcome.err
    assert not FOREIGN.search(outcome.err)


def test_help_is_given_beside_a_wrong_value(vitripick):
    outcome = vitripick("pick", "--threshold", "x", "--help")
    assert outcome.code == 0
    assert "Find the particles" in outcome.out
