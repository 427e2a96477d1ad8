"""Our plugin's own tests pass in Scipion: its protocols run vitripick as a program, in projects that Scipion makes."""

import re
import subprocess

import pytest

from live.scipion.conftest import ROOT, VENV

TESTS = ROOT / "integrations" / "scipion-em-vitripick" / "scipion_vitripick" / "tests"


@pytest.mark.parametrize("module", sorted(path.stem for path in TESTS.glob("test_*.py")))
def test_the_plugin_in_scipion(scipion, module, tmp_path):
    command = [VENV / "bin" / "python", "-m", "unittest", "-v", f"scipion_vitripick.tests.{module}"]
    done = subprocess.run(command, cwd=tmp_path, env=scipion, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-6000:]
    # A module without tests would pass as well.
    assert int(re.search(r"^Ran (\d+) tests?", said, re.MULTILINE)[1]) >= 5
