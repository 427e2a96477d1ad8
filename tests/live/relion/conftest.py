"""A RELION project with picks, made once; the tests are skipped where RELION's programs are not on the path."""

import pytest

from live.programs import need_program
from live.relion.project import DIAMETER_PX, STAR, call, make_project


@pytest.fixture(scope="session", autouse=True)
def _relion():
    need_program(
        "relion", "relion_preprocess", how="on Debian and Ubuntu: apt-get install --no-install-recommends relion"
    )


@pytest.fixture(scope="session")
def project(_relion, tmp_path_factory):
    """Return the project's folder; `pick` wrote `picks/` into it."""
    folder = make_project(tmp_path_factory.mktemp("project"))
    call(folder, "vitripick", "pick", STAR, "--diameter-px", DIAMETER_PX, "--out", "picks", "--device", "cpu")
    return folder
