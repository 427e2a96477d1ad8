"""Run the command line in this process; the real one, with its exit codes."""

from dataclasses import dataclass

import numpy as np
import pytest

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
    """Nine dark rings of 60 px in noise, as an MRC file."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:400, :400]
    image = rng.standard_normal((400, 400)) * 1.5
    for y in (80, 200, 320):
        for x in (80, 200, 320):
            image -= np.exp(-0.5 * ((np.hypot(columns - x, rows - y) - 23) / 4.5) ** 2) * 1.2
    path = tmp_path / "mics" / "rings.mrc"
    write_mrc(path, image.astype(np.float32), pixel_size=2.0)
    return path
