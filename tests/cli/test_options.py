"""Options stand once, in `vitripick.settings`: help texts, RELION labels and the docs follow."""

import ast
import dataclasses
import importlib.util
import re
from pathlib import Path

import pytest
import typer
from pydantic import Field

from vitripick.cli.app import app
from vitripick.cli.options import with_settings
from vitripick.errors import UsageError
from vitripick.geometry import Boxes
from vitripick.picking import pick
from vitripick.programs.relion import known_labels, parse_relion_arguments
from vitripick.settings import (
    FILTERS,
    FINDING,
    MACHINE,
    OUTPUT,
    PARTICLE,
    Option,
    RowsColumns,
    Settings,
    option,
    option_names,
    option_of,
)
from vitripick.settings.convert import ConvertSettings
from vitripick.settings.filaments import FILAMENTS, FilamentSettings
from vitripick.settings.optics import MICROSCOPE, OpticsSettings
from vitripick.settings.pick import PickSettings
from vitripick.settings.simulate import SimulateSettings
from vitripick.settings.spelling import as_flag
from vitripick.settings.train import About, TrainingSet, TrainSettings
from vitripick.settings.watch import WatchSettings

PACKAGE = Path(__file__).parent.parent.parent / "src" / "vitripick"
COMMANDS = typer.main.get_command(app).commands
ALL_SETTINGS = (PickSettings, WatchSettings, ConvertSettings, SimulateSettings, TrainingSet, TrainSettings, About)


def named_parameters():
    """The parameters that messages of the library name, each with the module that does."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_named = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "parameter"
            if is_named and isinstance(node.args[0], ast.Constant):
                yield node.args[0].value, path


def words(text):
    return " ".join(text.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_help_at_80_columns_has_every_option_and_every_word(vitripick, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    shown = vitripick(name, "--help").out
    assert max(map(len, shown.splitlines())) <= 80
    for parameter in COMMANDS[name].params:
        for typed in getattr(parameter, "opts", ()):
            if typed.startswith("--"):
                assert re.search(rf"(^|\s){re.escape(typed)}(\s|,|/|$)", shown), f"{typed} is cut"
        # What stands in brackets is not eaten, and no word is lost.
        said = (getattr(parameter, "help", None) or "").split("{")[0]
        assert words(said) in words(shown), f"{parameter.name} loses words"


@pytest.mark.parametrize("settings", ALL_SETTINGS)
def test_every_option_says_what_it_does_in_a_sentence(settings):
    for name, field in settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_the_options_of_picking_stand_under_headings(vitripick):
    shown = vitripick("pick", "--help").out
    headings = [line[:-1] for line in shown.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Options", PARTICLE, FILTERS, OUTPUT, FINDING, FILAMENTS, MICROSCOPE, MACHINE]


@pytest.mark.parametrize("command", ["pick", "watch", "cryosparc-job"])
def test_every_option_of_picking_is_an_option_of_the_command(command):
    typed = {name for parameter in COMMANDS[command].params for name in parameter.opts}
    assert {f"--{name.replace('_', '-')}" for name in option_names(PickSettings).values()} <= typed


def test_every_option_of_picking_but_format_and_include_is_a_label_in_relion():
    assert set(known_labels()) == {
        *option_names(PickSettings).values(),
        *option_names(FilamentSettings).values(),
        "model",
        "device",
    } - {"format", "include"}
    job = parse_relion_arguments(
        ["--o", "External/job1/", "--in_mics", "a.star", "--minimum_distance", "0.7", "--patches", "2x3", "--overlays"]
    )
    assert job.settings == PickSettings(
        formats=("star",), minimum_distance_diameters=0.7, patches=(2, 3), overlays=True
    )


def test_a_new_option_is_one_field_and_reaches_the_command_line(capsys):
    class Toy(Settings):
        grid: RowsColumns | None = option(None, "Rows and columns.", about=Option("Toys", name="toy_grid"))
        names: tuple[str, ...] = option(("a",), "Some names.")
        loud: bool = option(True, "Make a noise.")
        plain: int = Field(default=3, ge=0, description="A plain field works, too.")

    got = []
    one = typer.Typer()

    @one.command()
    @with_settings
    def play(toy: Toy) -> None:
        got.append(toy)

    run = typer.main.get_command(one)
    run(["--toy-grid", "2x3", "--names", "b", "--names", "c", "--no-loud"], standalone_mode=False)
    run([], standalone_mode=False)
    assert got == [Toy(grid=(2, 3), names=("b", "c"), loud=False), Toy()]
    with pytest.raises(UsageError, match="--plain -1: give a whole number of 0 or more"):
        run(["--plain", "-1"], standalone_mode=False)
    with pytest.raises(UsageError, match="rows x columns"):
        run(["--toy-grid", "many"], standalone_mode=False)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--edge", "round"), "--edge"),
        (("--threshold", "2"), "--threshold"),
        (("--minimum-distance", "-1"), "--minimum-distance"),
        (("--diameter-px", "inf"), "--diameter-px"),
        (("--diameter-px", "nan"), "--diameter-px"),
        (("--patches", "9x99"), "--patches"),
        (("--engine", "steam"), "--engine"),
        (("--voltage", "300000"), "--voltage"),
        (("--spherical-aberration", "-1"), "--spherical-aberration"),
        (("--amplitude-contrast", "10"), "--amplitude-contrast"),
    ],
)
def test_a_value_that_cannot_be_names_its_option(vitripick, ring_micrograph, tmp_path, arguments, named):
    outcome = vitripick("pick", ring_micrograph, "--out", tmp_path / "out", *arguments)
    assert outcome.code == 2
    assert named in outcome.err
    assert not (tmp_path / "out").exists()


def test_pick_takes_the_options_that_act_on_one_micrograph_and_says_so_of_others():
    with pytest.raises(UsageError, match=r"no option 'treshold'.*threshold"):
        pick(None, None, treshold=0.3)
    with pytest.raises(UsageError, match="overlays acts only in a run"):
        pick(None, None, overlays=True)
    with pytest.raises(UsageError, match="threshold=3"):
        pick(None, None, threshold=3)


def test_what_acts_on_export_picks_nothing_again():
    acting = {name for name, field in PickSettings.model_fields.items() if not option_of(field).decides_picks}
    on_export = {"threshold", "aim", "edge", "box_size_px", "formats", "overlays", "thumbnails", "junk_masks"}
    assert acting == {*on_export, *OpticsSettings.model_fields, "include", "keep_diameter"}
    assert not acting & set(PickSettings().deciding())


def test_the_page_of_options_is_up_to_date():
    spec = importlib.util.spec_from_file_location("write_options_page", Path("tools/write_options_page.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run: python tools/write_options_page.py"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_stands_in_the_page_of_options(name):
    page = Path("docs/options.md").read_text(encoding="utf-8")
    typed = {flag for given in COMMANDS[name].params for flag in given.opts if flag.startswith("--")} - {"--help"}
    assert [flag for flag in sorted(typed) if f"| `{flag}` |" not in page] == []


def test_every_parameter_that_a_message_names_is_an_option_of_a_command():
    typed = {name for command in COMMANDS.values() for given in command.params for name in given.opts}
    named = dict(named_parameters())
    assert len(named) > 20
    assert not {name: path for name, path in named.items() if as_flag(name) not in typed}


def test_every_parameter_that_a_message_names_is_one_in_python():
    known = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            known |= {node.arg} if isinstance(node, ast.arg) else set()
            known |= (
                {node.target.id} if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) else set()
            )
    known |= {f"Boxes.{field.name}" for field in dataclasses.fields(Boxes)}
    assert not {name: path for name, path in named_parameters() if name not in known}


@pytest.mark.parametrize("settings", [PickSettings, WatchSettings, TrainSettings, SimulateSettings])
def test_a_field_of_the_settings_is_named_as_its_option(settings):
    for name, written in option_names(settings).items():
        assert as_flag(name) == "--" + written.replace("_", "-")
