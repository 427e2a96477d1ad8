"""One small Slurm for all tests here; they are skipped where its programs are not on the path."""

import os
import time

import numpy as np
import pytest

from live.programs import need_program
from live.slurm.daemons import PROGRAMS, Slurm
from live.slurm.runs import pick
from made import rings, snapshot
from vitripick.formats import write_mrc


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """Return a Slurm of one node, which runs until the last test is over."""
    for program in PROGRAMS:
        need_program(
            "slurm", program, how="on Debian and Ubuntu: apt-get install --no-install-recommends slurm-wlm munge"
        )
    running = Slurm(tmp_path_factory.mktemp("slurm"))
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(autouse=True)
def _nothing_is_left(slurm):
    """Look after each test whether a job is left in the queue, and end it, so that the next test has the node."""
    yield
    # A job that was cancelled takes a moment to end.
    deadline = time.monotonic() + 5
    while (left := slurm.jobs()) and time.monotonic() < deadline:
        time.sleep(0.1)
    slurm.clear()
    assert not left


@pytest.fixture(scope="session")
def micrographs(tmp_path_factory):
    """Return a folder of 24 micrographs with 36 particles of 60 px each, which take some tenths of a second each."""
    folder = tmp_path_factory.mktemp("micrographs")
    for i in range(24):
        write_mrc(
            folder / f"{i:02}.mrc", np.block([[rings(4 * i), rings(4 * i + 1)], [rings(4 * i + 2), rings(4 * i + 3)]])
        )
    return folder


@pytest.fixture(scope="session")
def one_machine(micrographs, tmp_path_factory):
    """Return the files of a run without Slurm, as `snapshot` gives them."""
    out = tmp_path_factory.mktemp("one") / "picks"
    done = pick(dict(os.environ), micrographs, out, cwd=out.parent)
    assert done.returncode == 0, done.stderr
    return snapshot(out, wherever=True)
