# SPDX-License-Identifier: GPL-3.0-or-later
"""Pick particles and train models with vitripick in Scipion; vitripick runs as a program of its own."""

import os
import shutil

import pwem
from pyworkflow import VarTypes
from pyworkflow.utils import Environ

from scipion_vitripick.constants import VITRIPICK_PROGRAM
from scipion_vitripick.program import clean_environment, program_problem, program_version

__version__ = "0.1.0"
_references = ["Wagner2019"]


class Plugin(pwem.Plugin):
    """Tells Scipion where vitripick is."""

    # pwem's own page would be named otherwise.
    _url = ""
    _processingField = ["SPA"]

    @classmethod
    def _defineVariables(cls):
        cls._defineVar(
            VITRIPICK_PROGRAM,
            shutil.which("vitripick") or "vitripick",
            description="Path of the program vitripick, in an environment of its own.",
            var_type=VarTypes.PATH,
        )

    @classmethod
    def getProgram(cls):
        """Return the path of vitripick, as the configuration says it."""
        return os.path.expanduser(cls.getVar(VITRIPICK_PROGRAM))

    @classmethod
    def getActiveVersion(cls, *args, **kwargs):
        """Return the version of vitripick, for the log of a protocol; an empty text if there is none."""
        return program_version(cls.getProgram()) or ""

    @classmethod
    def getEnviron(cls):
        """Return the environment in which vitripick runs."""
        return Environ(clean_environment())

    @classmethod
    def validateInstallation(cls):
        """Return a list with what is wrong with vitripick; an empty list if nothing is."""
        problem = program_problem(cls.getProgram())
        return [] if problem is None else [problem]

    @classmethod
    def defineBinaries(cls, env):
        """Install nothing: vitripick lies in an environment of its own."""
