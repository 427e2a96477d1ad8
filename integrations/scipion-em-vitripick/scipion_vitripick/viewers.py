# SPDX-License-Identifier: GPL-3.0-or-later
"""Show a model: how its training went, and what it says about itself. Scipion's own viewer shows the coordinates."""

import os
import webbrowser

from pyworkflow.viewer import TextView, View, Viewer

from scipion_vitripick.objects import VitripickModel
from scipion_vitripick.protocols import ProtVitripickTrain


class BrowserView(View):
    """Opens a page or picture in the web browser."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def show(self):
        webbrowser.open(f"file://{os.path.abspath(self.path)}")


class VitripickModelViewer(Viewer):
    """Shows the curves of a training, and the model's description."""

    _targets = [VitripickModel, ProtVitripickTrain]

    def _visualize(self, obj, **kwargs):
        model = obj.outputModel if isinstance(obj, ProtVitripickTrain) else obj
        folder = os.path.dirname(model.getFileName())
        curves, card = os.path.join(folder, "curves.png"), os.path.join(folder, "model.json")
        views = [BrowserView(curves)] if os.path.exists(curves) else []
        return views + ([TextView([card], title="Model")] if os.path.exists(card) else [])
