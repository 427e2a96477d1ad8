# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold what both protocols share: the choice of a model, the device, and how vitripick is run."""

import os
import shlex
import subprocess

import pyworkflow.protocol.params as params
from pwem.protocols import EMProtocol
from pyworkflow.protocol.constants import LEVEL_ADVANCED

from scipion_vitripick import Plugin

# What `vitripick` means by its exit codes (docs/command_line.md).
_EXIT_CODES = {
    1: "an error that it did not expect",
    2: "it cannot work with these options",
    3: "its input is missing or wrong",
    4: "some micrographs failed",
    5: "memory, GPU memory or disk has run out",
    130: "it was interrupted",
}
SOME_FAILED = 4

GENERAL, TRAINED, FILE = range(3)


class VitripickFailed(Exception):
    """Says why vitripick ended without doing its work."""


class VitripickProtocol(EMProtocol):
    """Runs vitripick as a program."""

    _label = None
    _cannot_be_given = ()

    @classmethod
    def getClassLabel(cls, prependPackageName=True):
        """Return the name in the menu; Scipion would put the name of the module in front."""
        label = super().getClassLabel(prependPackageName=False)
        return f"vitripick - {label}" if prependPackageName else label

    # ------------------------- parameters ------------------------------------

    def _define_gpu(self, form):
        form.addHidden(
            params.USE_GPU,
            params.BooleanParam,
            default=False,
            label="Use GPU?",
            help="vitripick also works without a GPU, and picks some micrographs a second then. With *Yes*, the "
            "vitripick that you installed must have torch for CUDA; `vitripick doctor` says so.",
        )
        form.addHidden(
            params.GPU_LIST,
            params.StringParam,
            default="0",
            expertLevel=LEVEL_ADVANCED,
            label="GPU IDs",
            help="Numbers of the GPUs, from 0. Several share the micrographs.",
        )

    def _define_extra(self, form, command, page):
        form.addParam(
            "extraOptions",
            params.StringParam,
            default="",
            expertLevel=LEVEL_ADVANCED,
            label="Additional options",
            help=f"Options of `vitripick {command}` that have no field here, as on its command line; "
            f"`vitripick {command} --help` and {page} list them.",
        )

    # ------------------------- checks ----------------------------------------

    def _extra_problems(self):
        try:
            words = shlex.split(self.extraOptions.get("") or "")
        except ValueError as error:
            return [f"*Additional options* cannot be read: {error}."]
        return [
            f"*Additional options*: the protocol itself gives {word.split('=')[0]}."
            for word in words
            if word.split("=")[0] in self._cannot_be_given
        ]

    def _extra_words(self):
        return shlex.split(self.extraOptions.get("") or "")

    # ------------------------- running ---------------------------------------

    def _device(self):
        """Return the device for vitripick: the GPUs of this step, or the CPU."""
        if not self.usesGpu():
            return "cpu"
        gpus = self._stepsExecutor.getGpuList() or []
        return ",".join(f"cuda:{gpu}" for gpu in gpus) or "cuda"

    def _call_vitripick(self, words, log_name, accepted=(0,)):
        """Run vitripick, here or as a job of a queue.

        What it writes to stderr goes into a file of this name, and from there into the protocol's log. The message
        of a failure is its end. Of a job of a queue no exit code is known, so callers look for the files they need.

        Raises
        ------
        VitripickFailed
            If the exit code is not in `accepted`.
        """
        os.makedirs(self._getExtraPath("logs"), exist_ok=True)
        said = self._said(log_name)
        command = " ".join(shlex.quote(str(word)) for word in words)
        code = 0
        try:
            self.runJob(shlex.quote(Plugin.getProgram()), f"{command} 2> {shlex.quote(said)}", env=Plugin.getEnviron())
        except subprocess.CalledProcessError as error:
            code = error.returncode
        lines = _lines_of(said)
        for line in lines:
            self.info(f"vitripick: {line}")
        if code not in accepted:
            reason = _EXIT_CODES.get(code, f"exit code {code}")
            raise VitripickFailed(f"vitripick stopped: {reason}. {self._last_words(log_name)}")

    def _said(self, log_name):
        """Return the file with what vitripick wrote to stderr."""
        return self._getExtraPath("logs", f"{log_name}.txt")

    def _last_words(self, log_name):
        """Return the end of what vitripick wrote to stderr, and where the whole is."""
        return f"{' '.join(_lines_of(self._said(log_name))[-3:])} (All it said: {self._said(log_name)})"


def _lines_of(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8", errors="replace") as file:
        return [line.rstrip() for line in file if line.strip()]
