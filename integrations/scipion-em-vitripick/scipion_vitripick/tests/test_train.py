# SPDX-License-Identifier: GPL-3.0-or-later
"""A model of *train* is what *pick* takes, and it learned in the right frame."""

import os

import numpy as np
import tifffile
from pwem.protocols import ProtSetFilter

from scipion_vitripick.convert import RunFolder
from scipion_vitripick.protocols import ProtVitripickPick, ProtVitripickTrain
from scipion_vitripick.protocols.protocol_pick import TRAINED
from scipion_vitripick.protocols.protocol_train import GENERAL_MODEL, OTHER_MODEL
from scipion_vitripick.tests.data import (
    BOX,
    DIAMETER,
    PIXEL_SIZE,
    ProtocolTest,
    image,
    places_by_name,
    run_vitripick,
    share_found,
    simulated,
    true_places,
    write_mrc,
)
from scipion_vitripick.viewers import BrowserView, VitripickModelViewer


class TrainTest(ProtocolTest):
    """Trains for a few steps from *general*, which takes seconds."""

    def picked_by_model(self, imported, **parameters):
        """Return a protocol that picked an import with the bundled model."""
        parameters = {"diameter": DIAMETER, "threshold": 0.4, "makeReport": False, **parameters}
        return self.run_on(ProtVitripickPick, imported, "outputMicrographs", "inputMicrographs", **parameters)

    def train(self, picked, **parameters):
        """Train on the coordinates of a protocol."""
        parameters = {"startFrom": GENERAL_MODEL, "steps": 20, "diameter": DIAMETER, **parameters}
        return self.run_on(ProtVitripickTrain, picked, "outputCoordinates", "inputCoordinates", **parameters)

    def test_a_trained_model_picks_without_a_diameter(self):
        imported = self.import_micrographs(os.path.join(simulated(), "micrographs"))
        trained = self.train(self.picked_by_model(imported))
        self.assertTrue(os.path.exists(trained.outputModel.getFileName()))
        self.assertAlmostEqual(trained.outputModel.getDiameter(), DIAMETER, delta=2)
        picked = self.new(
            ProtVitripickPick, imported, "outputMicrographs", "inputMicrographs", modelFrom=TRAINED, makeReport=False
        )
        picked.inputModel.set(trained)
        picked.inputModel.setExtended("outputModel")
        self.assertEqual(picked.validate(), [])
        self.launchProtocol(picked)
        found = places_by_name(picked.outputCoordinates)
        for number in (1, 2, 3):
            self.assertGreater(share_found(found[f"simulated_{number:04d}.mrc"], true_places(number)), 0.8)
        self.assertEqual(picked.outputCoordinates.getBoxSize(), BOX)
        views = VitripickModelViewer(project=self.proj)._visualize(trained)
        self.assertIsInstance(views[0], BrowserView)
        self.assertIn("curves.png", "\n".join(trained.summary()))

    def test_labels_lie_on_the_particles_as_vitripick_sees_them(self):
        # TIFF files are turned upside down on the way; the simulated particles say where they really are.
        os.makedirs(os.path.join(self.folder, "tif"))
        for number in (1, 2):
            tifffile.imwrite(os.path.join(self.folder, "tif", f"m{number}.tif"), image(number))
        imported = self.import_micrographs(os.path.join(self.folder, "tif"), "*.tif")
        trained = self.train(self.picked_by_model(imported))
        extra = trained._getExtraPath()
        out = os.path.join(self.folder, "picks")
        star = os.path.join(extra, "input", "micrographs.star")
        run_vitripick("pick", star, "--out", out, "--diameter-angstrom", DIAMETER, "--threshold", 0.4)
        for number in (1, 2):
            stem = f"{number:06d}_m{number}"
            own = RunFolder(out).picks(stem, "as-it-is.mrc")
            placed = self.read_labels(os.path.join(extra, "labels", f"{stem}.star"))
            self.assertGreater(share_found(placed, np.array([(pick.x, pick.y) for pick in own])), 0.95)

    def read_labels(self, path):
        """Return (x, y) of a file of labels."""
        with open(path, encoding="utf-8") as file:
            rows = [line.split() for line in file]
        return [tuple(map(float, row)) for row in rows if len(row) == 2 and not row[0].startswith("_")]

    def test_micrographs_without_coordinates_are_left_out_unless_asked_for(self):
        for number in (1, 2, 3):
            write_mrc(os.path.join(self.folder, f"m{number}.mrc"), image(number))
        imported = self.import_micrographs(self.folder)
        some = self.run_on(
            ProtSetFilter,
            self.picked_by_model(imported),
            "outputCoordinates",
            "inputSet",
            formula="item.getMicId() != 2",
        )
        without = self.train(some)
        self.assertEqual(self.labelled(without), ["000001_m1.star", "000003_m3.star"])
        with_empty = self.train(some, emptyOnes=True)
        self.assertEqual(self.labelled(with_empty), ["000001_m1.star", "000002_m2.star", "000003_m3.star"])

    def labelled(self, trained):
        """Return the names of the files of labels."""
        return sorted(os.listdir(trained._getExtraPath("labels")))

    def test_coordinates_are_scaled_to_other_micrographs_of_the_same_exposures(self):
        for number in (1, 2):
            write_mrc(os.path.join(self.folder, "full", f"m{number}.mrc"), image(number))
            binned = image(number).reshape(350, 2, 450, 2).mean(axis=(1, 3))
            write_mrc(os.path.join(self.folder, "binned", f"m{number}.mrc"), binned)
        full = self.import_micrographs(os.path.join(self.folder, "full"))
        small = self.import_micrographs(os.path.join(self.folder, "binned"), samplingRate=3.4)
        made = self.new(
            ProtVitripickTrain,
            self.picked_by_model(full),
            "outputCoordinates",
            "inputCoordinates",
            startFrom=GENERAL_MODEL,
            steps=20,
        )
        made.inputMicrographs.set(small)
        made.inputMicrographs.setExtended("outputMicrographs")
        self.assertEqual(made.validate(), [])
        self.launchProtocol(made)
        placed = self.read_labels(made._getExtraPath("labels", "000001_m1.star"))
        self.assertGreater(share_found(placed, true_places(1) / 2, within_px=6), 0.9)
        self.assertAlmostEqual(made.outputModel.getDiameter(), BOX * PIXEL_SIZE, delta=2)  # the box of the coordinates

    def test_what_is_missing_is_said_before_it_runs(self):
        picked = self.picked_by_model(self.import_micrographs(os.path.join(simulated(), "micrographs")))
        made = self.new(
            ProtVitripickTrain, picked, "outputCoordinates", "inputCoordinates", startFrom=OTHER_MODEL, diameter=-1.0
        )
        problems = " ".join(made.validate())
        self.assertIn("Trained model", problems)
        self.assertIn("Particle diameter", problems)
