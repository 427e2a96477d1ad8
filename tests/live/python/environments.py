"""Find the Pythons of this machine, and make clean environments with the wheel in them."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]
LIVE = ROOT / ".live" / "python"
OLDEST, NEWEST = 10, 19


def pythons():
    """Return an interpreter of each version from 3.10 on, by version: from the path, and those that pyenv keeps."""
    found = {}
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in range(OLDEST, NEWEST + 1):
        on_path = shutil.which(f"python3.{minor}")
        for candidate in (on_path, *sorted(kept.glob(f"3.{minor}.*/bin/python"), reverse=True)):
            # A shim of pyenv lies on the path for versions that are not switched on, too.
            if candidate and runs(candidate, "-c", "import ensurepip, venv"):
                found[f"3.{minor}"] = str(candidate)
                break
    return found


def runs(*command):
    return subprocess.run(command, capture_output=True).returncode == 0


def wheel():
    """Return the wheel that `install.sh` built; None without one."""
    return next((LIVE / "dist").glob("*.whl"), None)


class Environment:
    """A new virtual environment; commands run in a folder of their own, without the repository's code."""

    def __init__(self, python, folder):
        self.folder, self.work = folder, folder / "work"
        subprocess.run([python, "-m", "venv", folder / "env"], check=True)
        self.work.mkdir()

    def call(self, program, *arguments):
        """Run a program of the environment and return what it printed; it must end with 0."""
        env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
        env |= {"VITRIPICK_CACHE": str(self.folder / "cache")}
        command = [self.folder / "env" / "bin" / program, *map(str, arguments)]
        ran = subprocess.run(command, env=env, cwd=self.work, capture_output=True, text=True)
        assert ran.returncode == 0, f"{program} {' '.join(map(str, arguments))}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def install(self, *what):
        self.call("pip", "install", "--quiet", "--disable-pip-version-check", "-c", ROOT / "constraints.txt", *what)

    def has(self, module):
        return runs(self.folder / "env" / "bin" / "python", "-c", f"import {module}")

    def remove(self):
        """Delete it: torch with CUDA takes gigabytes."""
        shutil.rmtree(self.folder)
