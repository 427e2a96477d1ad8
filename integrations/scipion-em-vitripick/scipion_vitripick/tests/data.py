# SPDX-License-Identifier: GPL-3.0-or-later
"""Make micrographs whose particles are known, and run protocols on them.

The micrographs come from vitripick's own simulator, so these tests need no data. The particles lie at random places,
so a mirrored frame matches next to none of them.
"""

import atexit
import csv
import os
import shutil
import subprocess
import tempfile

import mrcfile
import numpy as np
import pyworkflow as pw
from pwem.protocols import ProtImportMicrographs
from pyworkflow.tests import BaseTest, setupTestProject
from scipy.spatial import cKDTree

from scipion_vitripick import Plugin

# Scipion reads the variables of a plugin, and knows the package of a protocol, once it has listed them.
pw.Config.getDomain().getPlugins()
pw.Config.getDomain().getProtocols()

PIXEL_SIZE = 1.7
DIAMETER = 127.0  # Å, of the simulated particles
BOX = 76  # 127 / 1.7 = 74.7
ROWS, COLUMNS = 700, 900  # not square, so swapped axes are noticed
N_MICROGRAPHS = 3
_made = {}


def run_vitripick(*words, code=0):
    """Run vitripick as the protocols do, and return what it printed."""
    done = subprocess.run(
        [Plugin.getProgram(), *map(str, words)], capture_output=True, text=True, env=Plugin.getEnviron(), check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def simulated():
    """Return a folder with `micrographs/NAME.mrc` and `csv/NAME.csv`, made once."""
    if "folder" not in _made:
        folder = tempfile.mkdtemp(prefix="scipion-vitripick-")
        atexit.register(shutil.rmtree, folder)
        size = ["--shape", f"{ROWS}x{COLUMNS}", "--pixel-size", PIXEL_SIZE, "--micrographs", N_MICROGRAPHS]
        run_vitripick("simulate", "--out", folder, "--seed", 3, *size)
        _made["folder"] = folder
    return _made["folder"]


def image(number):
    """Return a simulated micrograph as an array, counted from 1."""
    with mrcfile.open(os.path.join(simulated(), "micrographs", f"simulated_{number:04d}.mrc")) as file:
        return np.array(file.data)


def true_places(number):
    """Return x and y of the whole particles of a simulated micrograph, (n, 2), in pixels from its first pixel.

    Particles that the border cuts are left out, because whether these are picked is a matter of options.
    """
    with open(os.path.join(simulated(), "csv", f"simulated_{number:04d}.csv"), encoding="utf-8") as file:
        places = np.array([(float(row["x"]), float(row["y"])) for row in csv.DictReader(file)])
    room = BOX / 2
    return places[np.all((places >= room) & (places <= np.array([COLUMNS, ROWS]) - room), axis=1)]


def write_mrc(path, pixels):
    """Write an array as a micrograph."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(pixels.astype(np.float32))
        file.voxel_size = PIXEL_SIZE
    return path


def noise(seed=7):
    """Return an image without particles."""
    return np.random.default_rng(seed).normal(size=(ROWS, COLUMNS)).astype(np.float32)


def share_found(places, truth, within_px=12):
    """Return the share of the true places that have a pick near them."""
    if not len(places):
        return 0.0
    return float(np.mean(cKDTree(np.asarray(places, float)).query(truth)[0] <= within_px))


def places_by_name(coords):
    """Return the places, [(x, y), …], of a set of coordinates by the name of the micrograph."""
    found = {}
    for coord in coords.iterItems():
        found.setdefault(coord.getMicName(), []).append((coord.getX(), coord.getY()))
    return found


class ProtocolTest(BaseTest):
    """Has a project of its own, and a folder for micrographs."""

    @classmethod
    def setUpClass(cls):
        setupTestProject(cls)

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="scipion-vitripick-")
        self.addCleanup(shutil.rmtree, self.folder)

    def import_micrographs(self, folder, pattern="*.mrc", **parameters):
        """Import micrographs, and return the protocol."""
        parameters = {"samplingRate": PIXEL_SIZE, "voltage": 300, **parameters}
        protocol = self.newProtocol(ProtImportMicrographs, filesPath=folder, filesPattern=pattern, **parameters)
        self.launchProtocol(protocol)
        return protocol

    def new(self, protocol_class, protocol, output, into, **parameters):
        """Return a protocol whose input `into` points to an output of another protocol, as the form sets it."""
        made = self.newProtocol(protocol_class, **parameters)
        getattr(made, into).set(protocol)
        getattr(made, into).setExtended(output)
        return made

    def run_on(self, protocol_class, protocol, output, into, **parameters):
        """Run a protocol on an output of another, and return it."""
        made = self.new(protocol_class, protocol, output, into, **parameters)
        self.assertEqual(made.validate(), [])
        self.launchProtocol(made)
        return made
