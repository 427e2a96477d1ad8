# SPDX-License-Identifier: GPL-3.0-or-later
"""What Scipion has after *pick* is what vitripick found, in Scipion's frame."""

import os
import shutil
import time

import numpy as np
import tifffile
from emtable import Table
from pwem.emlib.image.image_readers import ImageReadersRegistry
from pwem.protocols import ProtImportMicrographs, ProtSetFilter
from pyworkflow.protocol import MODE_RESUME

from scipion_vitripick.protocols import ProtVitripickPick
from scipion_vitripick.tests.data import (
    BOX,
    DIAMETER,
    N_MICROGRAPHS,
    PIXEL_SIZE,
    ROWS,
    ProtocolTest,
    image,
    noise,
    places_by_name,
    run_vitripick,
    share_found,
    simulated,
    true_places,
    write_mrc,
)


class PickTest(ProtocolTest):
    """Picks micrographs that are all there."""

    def pick(self, imported, **parameters):
        """Pick the micrographs of an import."""
        parameters = {"makeReport": False, **parameters}
        return self.run_on(ProtVitripickPick, imported, "outputMicrographs", "inputMicrographs", **parameters)

    def test_the_coordinates_are_those_of_vitripick_itself(self):
        picked = self.pick(self.import_micrographs(os.path.join(simulated(), "micrographs")))
        out = os.path.join(self.folder, "picks")
        run_vitripick("pick", os.path.join(simulated(), "micrographs"), "--out", out, "--pixel-size", PIXEL_SIZE)
        found = places_by_name(picked.outputCoordinates)
        self.assertEqual(len(found), N_MICROGRAPHS)
        for name, places in found.items():
            rows = Table(fileName=os.path.join(out, "star", name.replace(".mrc", "_autopick.star")))
            own = [(float(row.rlnCoordinateX), float(row.rlnCoordinateY)) for row in rows]
            self.assertEqual(len(places), len(own))
            self.assertLessEqual(np.abs(np.array(places) - np.array(own)).max(), 0.5)
        self.assertEqual(picked.outputCoordinates.getSize(), sum(map(len, found.values())))

    def test_every_coordinate_has_a_confidence_and_the_set_an_even_box(self):
        imported = self.import_micrographs(os.path.join(simulated(), "micrographs"))
        picked = self.pick(imported, diameter=DIAMETER, keepDiameter=True, threshold=0.5)
        self.assertEqual(picked.outputCoordinates.getBoxSize(), BOX)
        confidences = [coord._vitripickConfidence.get() for coord in picked.outputCoordinates.iterItems()]
        self.assertTrue(confidences)
        self.assertTrue(all(0.5 <= confidence <= 1 for confidence in confidences))
        stricter = self.run_on(
            ProtSetFilter,
            picked,
            "outputCoordinates",
            "inputSet",
            formula="item._vitripickConfidence.get() > 0.9",
        )
        expected = sum(confidence > 0.9 for confidence in confidences)
        self.assertEqual(stricter.outputCoordinates.getSize(), expected)

    def test_coordinates_point_at_the_particles_in_images_as_scipion_reads_them(self):
        write_mrc(os.path.join(self.folder, "mrc", "one.mrc"), image(1))
        os.makedirs(os.path.join(self.folder, "tif"))
        tifffile.imwrite(os.path.join(self.folder, "tif", "one.tif"), image(1))
        for kind in ("mrc", "tif"):
            with self.subTest(kind):
                imported = self.import_micrographs(os.path.join(self.folder, kind), f"*.{kind}")
                mic = imported.outputMicrographs.getFirstItem()
                seen = ImageReadersRegistry.open(mic.getFileName()).getImage()
                self.assertTrue(np.array_equal(np.squeeze(seen), image(1)))
                picked = self.pick(imported, diameter=DIAMETER, threshold=0.4)
                places = np.array(next(iter(places_by_name(picked.outputCoordinates).values())))
                self.assertGreater(share_found(places, true_places(1)), 0.9)
                upside_down = places * (1, -1) + (0, ROWS - 1)
                self.assertLess(share_found(upside_down, true_places(1)), 0.4)

    def test_one_bad_micrograph_is_named_and_one_without_particles_is_fine(self):
        write_mrc(os.path.join(self.folder, "a_good.mrc"), image(1))
        write_mrc(os.path.join(self.folder, "b_empty.mrc"), noise())
        bad = write_mrc(os.path.join(self.folder, "c_bad.mrc"), image(2))
        os.truncate(bad, 2000)
        write_mrc(os.path.join(self.folder, "d_good.mrc"), image(3))
        picked = self.pick(self.import_micrographs(self.folder), diameter=DIAMETER, threshold=0.5)
        found = places_by_name(picked.outputCoordinates)
        self.assertEqual(set(found), {"a_good.mrc", "d_good.mrc"})
        summary = "\n".join(picked.summary())
        self.assertIn("1 micrograph cannot be picked", summary)
        self.assertIn("c_bad", summary)
        self.assertNotIn("b_empty", summary)

    def test_no_picks_at_all_is_an_empty_set(self):
        write_mrc(os.path.join(self.folder, "empty.mrc"), noise())
        picked = self.pick(self.import_micrographs(self.folder), diameter=DIAMETER, keepDiameter=True, threshold=0.9)
        self.assertEqual(picked.outputCoordinates.getSize(), 0)
        self.assertEqual(picked.outputCoordinates.getBoxSize(), BOX)

    def test_if_no_micrograph_can_be_picked_the_protocol_fails_and_says_why(self):
        bad = write_mrc(os.path.join(self.folder, "bad.mrc"), image(1))
        imported = self.import_micrographs(self.folder)
        os.truncate(bad, 2000)
        picked = self.new(
            ProtVitripickPick,
            imported,
            "outputMicrographs",
            "inputMicrographs",
            diameter=DIAMETER,
            keepDiameter=True,
            threshold=0.5,
        )
        self.proj.launchProtocol(picked, wait=True)
        self.assertTrue(picked.isFailed())
        self.assertIn("000001_bad.mrc", picked.getErrorMessage())

    def test_options_that_vitripick_refuses_fail_with_its_own_words(self):
        imported = self.import_micrographs(os.path.join(simulated(), "micrographs"))
        picked = self.new(
            ProtVitripickPick,
            imported,
            "outputMicrographs",
            "inputMicrographs",
            extraOptions="--no-such-option",
        )
        self.proj.launchProtocol(picked, wait=True)
        self.assertTrue(picked.isFailed())
        self.assertIn("--no-such-option", picked.getErrorMessage())

    def test_names_with_blanks_and_equal_names_in_two_folders_keep_their_own_picks(self):
        write_mrc(os.path.join(self.folder, "grid1", "my mic.v1.mrc"), image(1))
        write_mrc(os.path.join(self.folder, "grid2", "my mic.v1.mrc"), image(2))
        imported = self.import_micrographs(self.folder, "*/*.mrc")
        picked = self.pick(imported, diameter=DIAMETER, threshold=0.4, streamingBatchSize=1)
        for mic in imported.outputMicrographs.iterItems():
            number = 1 if "grid1" in os.path.realpath(mic.getFileName()) else 2
            places = [c.getPosition() for c in picked.outputCoordinates.iterCoordinates(mic.getObjId())]
            self.assertGreater(share_found(places, true_places(number)), 0.9)

    def test_steps_in_parallel_use_one_diameter_and_threshold(self):
        imported = self.import_micrographs(os.path.join(simulated(), "micrographs"))
        at_once = self.pick(imported, numberOfThreads=3, streamingBatchSize=1)
        self.assertEqual(len(places_by_name(at_once.outputCoordinates)), N_MICROGRAPHS)
        self.assertEqual(at_once._run_folder().surveyed(), ["000001_simulated_0001.mrc"])

    def test_a_run_that_goes_on_picks_nothing_twice(self):
        imported = self.import_micrographs(os.path.join(simulated(), "micrographs"))
        picked = self.pick(imported, diameter=DIAMETER, threshold=0.4)
        n_before = picked.outputCoordinates.getSize()
        picked.runMode.set(MODE_RESUME)
        self.launchProtocol(picked)
        self.assertEqual(picked.outputCoordinates.getSize(), n_before)


class StreamingTest(ProtocolTest):
    """Picks micrographs while they arrive."""

    def test_micrographs_are_picked_as_they_arrive(self):
        source = os.path.join(simulated(), "micrographs")
        names = sorted(os.listdir(source))
        shutil.copy(os.path.join(source, names[0]), self.folder)
        imported = self.newProtocol(
            ProtImportMicrographs,
            filesPath=self.folder,
            filesPattern="*.mrc",
            samplingRate=PIXEL_SIZE,
            dataStreaming=True,
            timeout=45,
            fileTimeout=2,
        )
        self.proj.launchProtocol(imported, wait=False)
        self._waitOutput(imported, "outputMicrographs", sleepTime=2, timeOut=60)
        picked = self.new(
            ProtVitripickPick,
            imported,
            "outputMicrographs",
            "inputMicrographs",
            diameter=DIAMETER,
            keepDiameter=True,
            threshold=0.4,
        )
        self.proj.launchProtocol(picked, wait=False)
        self._waitOutput(picked, "outputCoordinates", sleepTime=2, timeOut=120)
        first = self.updateProtocol(picked).outputCoordinates
        self.assertTrue(first.isStreamOpen())
        self.assertEqual(set(places_by_name(first)), {names[0]})
        for name in names[1:]:
            shutil.copy(os.path.join(source, name), self.folder)
        done = self.wait_for(picked)
        self.assertTrue(done.isFinished(), done.getErrorMessage())
        self.assertEqual(set(places_by_name(done.outputCoordinates)), set(names))
        self.assertFalse(done.outputCoordinates.isStreamOpen())

    def wait_for(self, protocol, seconds=240):
        """Return a protocol once it has ended."""
        until = time.time() + seconds
        while time.time() < until:
            now = self.updateProtocol(protocol)
            if not now.isActive():
                return now
            time.sleep(3)
        return now

    @classmethod
    def updateProtocol(cls, protocol):
        """Return the protocol as its own database has it."""
        from pyworkflow.protocol import getUpdatedProtocol

        return getUpdatedProtocol(protocol)
