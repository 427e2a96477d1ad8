# SPDX-License-Identifier: GPL-3.0-or-later
"""Fill in fields of the form of *pick*."""

from pyworkflow.wizard import Wizard

from scipion_vitripick.convert import even_box
from scipion_vitripick.protocols import ProtVitripickPick
from scipion_vitripick.survey import estimate_diameter

# Room around the particle for its CTF and for shifts in later alignments.
_BOX_DIAMETERS = 1.5


def _warn(form, message):
    # The dialogs need a display, and this module is loaded without one, too.
    from pyworkflow.gui.dialog import showWarning

    showWarning("vitripick", message, form.root)


class VitripickDiameterWizard(Wizard):
    """Finds the particle's diameter on up to five micrographs; it takes some seconds."""

    _targets = [(ProtVitripickPick, ["diameter"])]

    def show(self, form, *params):
        protocol = form.protocol
        micrographs = protocol.getInputMicrographs()
        if micrographs is None:
            _warn(form, "Choose the input micrographs first.")
            return
        try:
            form.setVar("diameter", float(f"{estimate_diameter(micrographs, protocol.getModel()):.3g}"))
        except ValueError as error:
            _warn(form, str(error))


class VitripickBoxSizeWizard(Wizard):
    """Sets the box to one and a half diameters, rounded up to an even number of pixels."""

    _targets = [(ProtVitripickPick, ["boxSize"])]

    def show(self, form, *params):
        protocol = form.protocol
        micrographs, diameter = protocol.getInputMicrographs(), protocol.diameter.get()
        if micrographs is None or not diameter:
            _warn(form, "Choose the input micrographs and the particle's diameter first.")
            return
        form.setVar("boxSize", even_box(_BOX_DIAMETERS * diameter / micrographs.getSamplingRate()))
