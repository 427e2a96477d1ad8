"""Scipion's folders and variables, made once; the tests are skipped where Scipion is not installed."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from live.programs import lack

ROOT = Path(__file__).parents[3]
VENV = ROOT / ".live" / "scipion" / "venv"


@pytest.fixture(scope="session")
def scipion(tmp_path_factory):
    """Return the environment in which Scipion's Python runs; vitripick is the one of this Python."""
    if not (VENV / ".installed").exists():
        lack("scipion", "Scipion is not installed in .live/scipion; make live-scipion does that")
    program = Path(sys.executable).with_name("vitripick")
    if not program.exists():
        lack("scipion", f"there is no {program}")
    home = tmp_path_factory.mktemp("scipion")
    for folder in ("config", "data", "software/em"):
        (home / folder).mkdir(parents=True)
    (template,) = VENV.glob("lib/python3*/site-packages/scipion/templates/hosts.template")
    shutil.copy(template, home / "config" / "hosts.conf")
    return {
        **os.environ,
        "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "SCIPION_HOME": str(home),
        "SCIPION_USER_DATA": str(home / "data"),
        "EM_ROOT": str(home / "software" / "em"),
        "SCIPION_DOMAIN": "pwem",
        "SCIPION_TEST_NOSYNC": "True",
        "MPLBACKEND": "Agg",
        "VITRIPICK_PROGRAM": str(program),
    }
