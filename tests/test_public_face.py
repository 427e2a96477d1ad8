"""What `import vitripick` shows."""

import subprocess
import sys
from pathlib import Path

import vitripick
from vitripick.version import VERSION

ROOT = Path(__file__).parent.parent


def test_completion_shows_every_public_name_and_each_is_there():
    code = "import vitripick; print(*dir(vitripick))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"Boxes", "evaluate", "load_model", "pick", "read_micrograph", "sample", "train", "__version__"} <= set(
        shown
    )
    assert sorted(vitripick.__all__) == sorted(shown)
    assert all(getattr(vitripick, name) is not None for name in shown)


def test_the_version_is_the_same_wherever_it_is_read():
    assert vitripick.__version__ == VERSION
    assert f"\nversion: {VERSION}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    # pyproject.toml has no copy; the test of the wheel sees that it reads this one.
    assert 'dynamic = ["version", "readme"]' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
