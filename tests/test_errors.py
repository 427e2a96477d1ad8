"""Messages name a parameter as the person who reads them writes it."""

import pytest

from vitripick.cli.app import run
from vitripick.errors import UsageError, parameter, parameters_spelled
from vitripick.evaluation import evaluate
from vitripick.formats import read_picks, write_picks
from vitripick.geometry import Boxes


@pytest.fixture
def centres(tmp_path):
    """Picks that have no size, as a file."""
    path = tmp_path / "a.star"
    write_picks(Boxes.at([10, 20], [30, 40]), path)
    return path


def test_a_python_caller_reads_the_parameter(centres):
    picks = read_picks(centres)
    with pytest.raises(UsageError) as error:
        evaluate(picks, picks)
    assert str(error.value).endswith("give the diameter in pixels (diameter_px=).")


def test_who_types_a_command_reads_the_option(centres, capsys):
    assert run(["evaluate", str(centres), str(centres)]) == 2
    assert capsys.readouterr().err.endswith("give the diameter in pixels (--diameter-px).\n")
    assert parameter("diameter_px") == "diameter_px=", "the command's spelling ends with the command"


def test_python_writes_values_as_code_and_the_command_line_as_they_are_typed():
    cases = [
        ("jobs", 1, False),
        ("device", "a b", True),
        ("formats", ("star", "csv"), False),
        ("overlays", True, False),
    ]
    assert [parameter(name, value, quoted=quoted) for name, value, quoted in cases] == [
        "jobs=1",
        "device='a b'",
        "formats=('star', 'csv')",
        "overlays=True",
    ]
    with parameters_spelled(lambda name: f"--{name}"):
        assert [parameter(name, value, quoted=quoted) for name, value, quoted in cases] == [
            "--jobs 1",
            "--device 'a b'",
            "--formats star, csv",
            "--overlays",
        ]


def test_the_former_spelling_comes_back_after_an_error():
    with pytest.raises(UsageError), parameters_spelled(lambda name: f"--{name}"):
        raise UsageError(parameter("out"))
    assert parameter("out") == "out="
