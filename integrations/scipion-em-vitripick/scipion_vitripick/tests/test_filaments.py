# SPDX-License-Identifier: GPL-3.0-or-later
"""What Scipion has after *trace filaments* is what vitripick traced, in Scipion's frame."""

import atexit
import os
import shutil
import tempfile

import mrcfile
import numpy as np
import tifffile
from emtable import Table

from scipion_vitripick.protocols import ProtVitripickFilaments
from scipion_vitripick.tests.data import ProtocolTest, noise, run_vitripick, write_mrc

PIXEL_SIZE = 5.0
ROWS, COLUMNS = 480, 640  # not square, so swapped axes are noticed
_made = {}


def simulated():
    """Return a folder with two micrographs of filaments in `micrographs`, made once."""
    if "folder" not in _made:
        folder = tempfile.mkdtemp(prefix="scipion-vitripick-")
        atexit.register(shutil.rmtree, folder)
        size = ["--shape", f"{ROWS}x{COLUMNS}", "--pixel-size", PIXEL_SIZE, "--micrographs", 2]
        run_vitripick("simulate", "--filaments", "--no-crossings", "--out", folder, "--seed", 3, *size)
        _made["folder"] = folder
    return _made["folder"]


def width_angstrom():
    """Return the width of the simulated filament."""
    with open(os.path.join(simulated(), "labels", "simulated_0001.csv"), encoding="utf-8") as file:
        header, first = (line.split(",") for line in file.read().splitlines()[:2])
    return float(first[header.index("width")]) * PIXEL_SIZE


def image():
    """Return the first simulated micrograph as an array."""
    with mrcfile.open(os.path.join(simulated(), "micrographs", "simulated_0001.mrc")) as file:
        return np.array(file.data)


def segments_by_name(coords):
    """Return an array, a row (x, y, tube, psi, track) for each segment, by the name of the micrograph."""
    found = {}
    for coord in coords.iterItems():
        row = (
            coord.getX(),
            coord.getY(),
            coord._rlnHelicalTubeID.get(),
            coord._rlnAnglePsiPrior.get(),
            coord._rlnHelicalTrackLengthAngst.get(),
        )
        found.setdefault(coord.getMicName(), []).append(row)
    return {name: np.array(rows) for name, rows in found.items()}


def misfit_degrees(rows):
    """Return the median angle between psi and the way from each segment to the next one of its filament."""
    steps = np.diff(rows, axis=0)
    same = steps[:, 2] == 0
    heading = np.arctan2(steps[same, 1], steps[same, 0])
    off = heading - np.deg2rad(-rows[:-1][same, 3])
    return float(np.rad2deg(np.median(np.abs(np.mod(off + np.pi / 2, np.pi) - np.pi / 2))))


class FilamentTest(ProtocolTest):
    """Traces micrographs that are all there."""

    def trace(self, folder, pattern="*.mrc", **parameters):
        """Import micrographs, trace them, and return the protocol."""
        imported = self.import_micrographs(folder, pattern, samplingRate=PIXEL_SIZE)
        parameters = {"makeReport": False, "width": width_angstrom(), "spacing": 60.0, **parameters}
        return self.run_on(ProtVitripickFilaments, imported, "outputMicrographs", "inputMicrographs", **parameters)

    def test_the_segments_are_those_of_vitripick_itself(self):
        micrographs = os.path.join(simulated(), "micrographs")
        traced = self.trace(micrographs)
        out = os.path.join(self.folder, "filaments")
        options = ["--width-angstrom", width_angstrom(), "--spacing-angstrom", 60, "--pixel-size", PIXEL_SIZE]
        run_vitripick("pick", micrographs, "--filaments", "--format", "star", "--out", out, *options)
        found = segments_by_name(traced.outputCoordinates)
        self.assertEqual(len(found), 2)
        for name, rows in found.items():
            own = [
                [
                    float(row.rlnCoordinateX),
                    float(row.rlnCoordinateY),
                    int(row.rlnHelicalTubeID),
                    float(row.rlnAnglePsiPrior),
                    float(row.rlnHelicalTrackLengthAngst),
                ]
                for row in Table(fileName=os.path.join(out, "star", name.replace(".mrc", "_autopick.star")))
            ]
            self.assertEqual(len(rows), len(own))
            self.assertLessEqual(np.abs(rows[:, :2] - np.array(own)[:, :2]).max(), 0.5)
            self.assertLess(np.abs(rows[:, 2:] - np.array(own)[:, 2:]).max(), 0.01)

    def test_each_segment_has_what_helical_processing_needs(self):
        traced = self.trace(os.path.join(simulated(), "micrographs"))
        coord = traced.outputCoordinates.getFirstItem()
        self.assertEqual(coord._rlnAngleTiltPrior.get(), 90)
        self.assertEqual(coord._rlnAnglePsiFlipRatio.get(), 0.5)
        self.assertEqual(coord._rlnAnglePsi.get(), coord._rlnAnglePsiPrior.get())
        self.assertTrue(0.6 <= coord._vitripickConfidence.get() <= 1)
        box = traced.outputCoordinates.getBoxSize()
        self.assertEqual(box % 2, 0)
        self.assertTrue(0 <= box - 2 * width_angstrom() / PIXEL_SIZE <= 2.5)

    def test_psi_follows_the_filament_in_images_as_scipion_reads_them(self):
        write_mrc(os.path.join(self.folder, "mrc", "one.mrc"), image())
        os.makedirs(os.path.join(self.folder, "tif"))
        tifffile.imwrite(os.path.join(self.folder, "tif", "one.tif"), image())
        found = {}
        for kind in ("mrc", "tif"):
            with self.subTest(kind):
                traced = self.trace(os.path.join(self.folder, kind), f"*.{kind}")
                (found[kind],) = segments_by_name(traced.outputCoordinates).values()
                self.assertLess(misfit_degrees(found[kind]), 3)
                mirrored = found[kind] * (1, 1, 1, -1, 1)
                self.assertGreater(misfit_degrees(mirrored), 10)
        # The same places, because Scipion reads both files alike.
        distance = np.hypot(*(found["mrc"][:, None, :2] - found["tif"][None, :, :2]).transpose(2, 0, 1)).min(axis=1)
        self.assertLess(np.median(distance), 8)

    def test_a_width_that_is_left_open_is_found_and_the_summary_says_it(self):
        traced = self.trace(os.path.join(simulated(), "micrographs"), width=None)
        self.assertIn("Width found on the micrographs", "\n".join(traced.summary()))
        self.assertGreater(traced.outputCoordinates.getSize(), 0)

    def test_one_bad_micrograph_is_named_and_one_without_filaments_is_fine(self):
        write_mrc(os.path.join(self.folder, "a_good.mrc"), image())
        write_mrc(os.path.join(self.folder, "b_empty.mrc"), noise())
        bad = write_mrc(os.path.join(self.folder, "c_bad.mrc"), image())
        os.truncate(bad, 2000)
        traced = self.trace(self.folder, makeReport=True)
        self.assertEqual(set(segments_by_name(traced.outputCoordinates)), {"a_good.mrc"})
        summary = "\n".join(traced.summary())
        self.assertIn("1 micrograph cannot be traced", summary)
        self.assertIn("c_bad", summary)
        self.assertNotIn("b_empty", summary)
        self.assertIn("Report", summary)

    def test_no_filaments_at_all_is_an_empty_set(self):
        write_mrc(os.path.join(self.folder, "empty.mrc"), noise())
        traced = self.trace(self.folder, threshold=0.9)
        self.assertEqual(traced.outputCoordinates.getSize(), 0)

    def test_options_of_particles_fail_with_the_words_of_vitripick(self):
        imported = self.import_micrographs(os.path.join(simulated(), "micrographs"), samplingRate=PIXEL_SIZE)
        traced = self.new(
            ProtVitripickFilaments,
            imported,
            "outputMicrographs",
            "inputMicrographs",
            extraOptions="--edge box",
        )
        self.proj.launchProtocol(traced, wait=True)
        self.assertTrue(traced.isFailed())
        self.assertIn("--edge", traced.getErrorMessage())
