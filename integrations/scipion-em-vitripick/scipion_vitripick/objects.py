# SPDX-License-Identifier: GPL-3.0-or-later
"""Describe what the protocols hand on to one another."""

import os

from pwem.objects import EMFile
from pyworkflow.object import Float, String


class VitripickModel(EMFile):
    """A model that vitripick picks with: one file, and what is known about it."""

    def __init__(self, filename=None, **kwargs):
        super().__init__(filename, **kwargs)
        self._name = String()
        self._diameter = Float()  # Å

    def getDiameter(self):
        """Return the diameter in Å of the particles that it was trained on."""
        return self._diameter.get()

    def describe(self, name, diameter_angstrom):
        """Keep the model's name, and the diameter of its particles."""
        self._name.set(name)
        self._diameter.set(diameter_angstrom)

    def __str__(self):
        name = self._name.get() or os.path.basename(self.getFileName() or "")
        diameter = self._diameter.get()
        return f"vitripick model {name}" + (f", particles of {diameter:.0f} Å" if diameter else "")
