# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the vitripick program, and say what is wrong with it; nothing here needs Scipion."""

import os
import re
import shutil
import subprocess
from functools import lru_cache

from scipion_vitripick.constants import OLDEST_VITRIPICK, VITRIPICK_PROGRAM

# A cold start from a network disk takes some seconds.
_SECONDS = 120


def clean_environment(environment=None):
    """Return the environment without what points Python to Scipion's packages.

    vitripick has a Python of its own, and would import Scipion's NumPy instead of its own.
    """
    kept = dict(os.environ if environment is None else environment)
    for name in ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP"):
        kept.pop(name, None)
    return kept


def program_problem(program):
    """Return a sentence that says why `program` cannot be used; None if it can."""
    found = shutil.which(os.path.expanduser(program or ""))
    if not found:
        return (
            f"The program vitripick is not at {program!r}. Install vitripick in an environment of its own, and set "
            f"{VITRIPICK_PROGRAM} in scipion.conf to the program's path, such as /opt/vitripick/bin/vitripick."
        )
    return _version_problem(found, os.stat(found).st_mtime_ns)


def program_version(program):
    """Return the version that `program --version` prints, such as `0.1.0`; None if it prints none."""
    return _version_and_output(program)[0]


@lru_cache(maxsize=8)
def _version_problem(program, mtime_ns):
    """As `program_problem`; the time of the file is there so that an update is looked at again."""
    version, output = _version_and_output(program)
    if version is None:
        return (
            f"{program} does not say its version, so it may not be vitripick, or it does not start. "
            f"`{program} --version` prints: {output.strip()[-500:] or 'nothing'}"
        )
    if _numbers(version) < _numbers(OLDEST_VITRIPICK):
        return f"{program} is vitripick {version}, and this plugin needs {OLDEST_VITRIPICK} or newer. Update it."
    return None


def _version_and_output(program):
    try:
        done = subprocess.run(
            [os.path.expanduser(program), "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            env=clean_environment(),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    match = re.match(r"vitripick (\d+(?:\.\d+)*)", done.stdout)
    return (match[1] if match and done.returncode == 0 else None), done.stdout + done.stderr


def _numbers(version):
    return tuple(int(part) for part in version.split("."))
