# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the diameter of the particles before a protocol runs, on a few of its micrographs."""

import json
import os
import subprocess
import tempfile

from scipion_vitripick import Plugin
from scipion_vitripick.convert import link_micrographs, write_micrographs_star
from scipion_vitripick.program import program_problem

# As many as vitripick's own survey looks at.
_LOOKED_AT = 5


def estimate_diameter(micrographs, model=None):
    """Return the diameter in Å that vitripick finds on up to five micrographs of a set, spread over it.

    Raises
    ------
    ValueError
        If none stands out, the model brings its own, or vitripick cannot work; the message says which.
    """
    problem = program_problem(Plugin.getProgram())
    if problem is not None:
        raise ValueError(problem)
    n = micrographs.getSize()
    wanted = {round((i + 0.5) * n / min(n, _LOOKED_AT) - 0.5) for i in range(min(n, _LOOKED_AT))}
    mics = [mic.clone() for i, mic in enumerate(micrographs) if i in wanted]
    with tempfile.TemporaryDirectory() as folder:
        names = link_micrographs(mics, folder)
        star, out = os.path.join(folder, "micrographs.star"), os.path.join(folder, "picks")
        write_micrographs_star(names, star, micrographs.getSamplingRate())
        # A threshold is given, so that only the diameter is looked for.
        command = [Plugin.getProgram(), "pick", star, "--out", out, "--threshold", "0.5", "--device", "cpu"]
        command += ["--model", model] if model else []
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", env=Plugin.getEnviron(), check=False
        )
        survey = os.path.join(out, "survey.json")
        if os.path.exists(survey):
            with open(survey, encoding="utf-8") as file:
                found = json.load(file).get("diameter") or {}
            if found.get("diameter"):
                per_unit = 1.0 if found["unit"] == "angstrom" else micrographs.getSamplingRate()
                return found["diameter"] * per_unit
    if done.returncode == 0:
        raise ValueError("This model knows the diameter of its particle; leave the field empty.")
    raise ValueError(" ".join(done.stderr.split()) or f"vitripick stopped with exit code {done.returncode}.")
