"""Run the command line in this process; the real one, with its exit codes."""

from dataclasses import dataclass

import pytest

from made import rings
from vitripick.cli.app import run
from vitripick.formats import write_mrc


@dataclass
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def vitripick(capsys):
    def call(*arguments):
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def ring_micrograph(tmp_path):
    """Return an MRC file of nine dark rings of 60 px in noise."""
    path = tmp_path / "mics" / "rings.mrc"
    write_mrc(path, rings(), pixel_size=2.0)
    return path
