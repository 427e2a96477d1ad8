"""Write docs/options.md from the settings classes: python tools/write_options_page.py"""

from __future__ import annotations

import textwrap
from pathlib import Path

import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from vitripick.cli.app import app
from vitripick.cli.command import filled
from vitripick.programs.relion import known_labels
from vitripick.settings import Settings, is_option, option_of
from vitripick.settings.classes import ClassesSettings
from vitripick.settings.convert import ConvertSettings
from vitripick.settings.filaments import FilamentSettings
from vitripick.settings.optics import MICROSCOPE, OpticsSettings
from vitripick.settings.pick import PickSettings
from vitripick.settings.simulate import SimulateSettings
from vitripick.settings.train import TrainingSet, TrainSettings
from vitripick.settings.watch import WatchSettings

PAGE = Path(__file__).parent.parent / "docs" / "options.md"
INTRODUCTION = """# Options

This page is written by `python tools/write_options_page.py` from the classes in
`vitripick.settings`, where each option is defined once. The same list gives the options of the
commands, the labels of RELION jobs, and the fields in Python.
"""
SECTIONS: tuple[tuple[type[Settings], str], ...] = (
    (
        PickSettings,
        "## Picking\n\nFor `vitripick pick`, `watch` and `cryosparc-job`, as labels of a job of `vitripick relion`, "
        "and in Python as `vitripick.runs.PickSettings`. `vitripick.pick` takes those that act on one micrograph.",
    ),
    (
        FilamentSettings,
        "## Filaments\n\nFor `vitripick pick` and `watch`, in Python `vitripick.settings.filaments.FilamentSettings`; "
        "[filaments.md](filaments.md) explains them.",
    ),
    (WatchSettings, "## Watching\n\nFor `vitripick watch`, in Python `vitripick.settings.watch.WatchSettings`."),
    (
        ConvertSettings,
        "## Converting\n\nFor `vitripick convert`, in Python by name in `vitripick.runs.convert_picks`.",
    ),
    (
        ClassesSettings,
        "## Two-dimensional classes\n\nFor `vitripick classes`, in Python "
        "`vitripick.settings.classes.ClassesSettings`;\n[classes.md](classes.md) explains them.",
    ),
    (
        OpticsSettings,
        "## Cutting out particles\n\nFor `vitripick extract`; its other options are "
        "[below](#what-else-each-command-takes).",
    ),
    (TrainingSet, "## Training: the labels\n\nFor `vitripick train`, in Python `vitripick.training.TrainingSet`."),
    (
        TrainSettings,
        "## Training: the plan\n\nFor `vitripick train` and `[training]` of a plan; in Python by name in "
        "`vitripick.training.default_settings`. These are the general defaults; each architecture has its own recipe.",
    ),
    (SimulateSettings, "## Simulating\n\nFor `vitripick simulate`, in Python `vitripick.simulation.SimulateSettings`."),
)


def page() -> str:
    """Return the text of docs/options.md."""
    sections = "\n".join([INTRODUCTION, *(section(settings, title) for settings, title in SECTIONS)])
    return f"{sections}\n{own_options(sections)}"


def own_options(above: str) -> str:
    """Return a table of what each command takes beside the options that stand `above` in the same words."""
    heading = "## What else each command takes\n\nArguments in capitals; `--help` of each command shows the same.\n"
    rows = [heading, _row(["command", "option", "default", "what it does"]), "|---|---|---|---|"]
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        for given in command.params:
            said = getattr(given, "help", None) or ""
            what = " ".join((said if "{port}" in said else filled(said)).split()).replace("\u2011", "-")
            typed = next((flag for flag in given.opts if flag.startswith("--")), given.name.upper())
            default = ", ".join(given.default) if isinstance(given.default, list | tuple) else given.default
            if typed != "--help" and f"| `{typed}` |" not in _rows_with(above, what):
                shown = "" if default in (None, False) or callable(default) else str(default)
                rows.append(_row([f"`{name}`", f"`{typed}`", shown, what]))
    return "\n".join(rows) + "\n"


def _rows_with(text: str, what: str) -> str:
    """Return the rows of a page that explain an option in these words."""
    return "\n".join(line for line in text.splitlines() if line.endswith(f"| {what} |"))


def section(settings: type[Settings], title: str) -> str:
    """Return the table of one settings class."""
    labels = known_labels() if settings in (PickSettings, FilamentSettings) else []
    columns = ["command line", "Python", *(["RELION label"] if labels else []), "default", "what it does"]
    heading, text = title.split("\n\n")
    rows = [heading, "", "\n".join(textwrap.wrap(text, 100)) + "\n", _row(columns), "|---" * len(columns) + "|"]
    # What few people need comes last, as in the help.
    fields = sorted(settings.model_fields.items(), key=lambda item: option_of(item[1]).heading == MICROSCOPE)
    for name, field in fields:
        about = option_of(field)
        typed = about.name or name
        label = [f"`{typed}`" if typed in labels else ""] if labels else []
        what = filled(field.description or "").replace("\u2011", "-")
        flag = f"`--{typed.replace('_', '-')}`" if is_option(field) else ""
        rows.append(_row([flag, f"`{name}`", *label, default_of(field), what]))
    return "\n".join(rows) + "\n"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def default_of(field: FieldInfo) -> str:
    """Return the default of a field as a reader sees it."""
    default, text = field.default, option_of(field).default_text
    if default is None or default is PydanticUndefined or isinstance(default, Settings):
        return text or ""
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, tuple):
        return ", ".join(default)
    return f"{default:g}" if isinstance(default, float) else str(default)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
