"""Say that a live test lacks its program: it is skipped, or it fails where VITRIPICK_LIVE names its part.

`VITRIPICK_LIVE=relion,slurm` names parts, as the folders below `tests/live/` are called; `make live-PART` sets it.
"""

import os
import shutil

import pytest


def need_program(part, program, *, how):
    """Return the path of a program; without it, the test is skipped, or fails if its part was asked for.

    `how` says how one gets the program, as the end of a sentence.
    """
    path = shutil.which(program)
    if path is None:
        lack(part, f"the program {program} is missing; {how}")
    return path


def lack(part, reason):
    """Skip the test with a reason, or let it fail if VITRIPICK_LIVE names its part."""
    asked = [name.strip() for name in os.environ.get("VITRIPICK_LIVE", "").split(",")]
    if part in asked:
        pytest.fail(f"VITRIPICK_LIVE names {part}, but {reason}", pytrace=False)
    pytest.skip(reason)
