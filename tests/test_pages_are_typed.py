"""Every Python line of the pages passes `mypy --strict` in a user's project, where the package is only installed."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
# A block of Python, or an example of a doctest anywhere else.
BLOCK = re.compile(r"^```python\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
MORE = """
from vitripick.images import Preparation
from vitripick.runs import PickSettings

PickSettings(diameter_angstrom=130)
Preparation(scale_by="particle", working_diameter_px=24)
"""


def python_of(page):
    """The program that a page's examples make together."""
    text = page.read_text(encoding="utf-8")
    parts = []
    for block in BLOCK.findall(text):
        examples = doctest.DocTestParser().get_examples(block)
        parts.append("".join(example.source for example in examples) if examples else block)
    for example in doctest.DocTestParser().get_examples(BLOCK.sub("", text)):
        parts.append(example.source)
    return "\n".join(parts)


def test_the_examples_of_all_pages_pass_mypy_strict(tmp_path):
    (tmp_path / "more.py").write_text(MORE)
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        code = python_of(page)
        if code:
            (tmp_path / f"{page.stem}.py").write_text(code, encoding="utf-8")
    assert (tmp_path / "python.py").exists()
    # Errors in an installed package are not the user's: only the pages are reported.
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--config-file=", "."]
    command += ["--cache-dir", str(ROOT / ".mypy_cache" / "pages")]
    env = os.environ | {"MYPYPATH": str(ROOT / "src")}
    ran = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
