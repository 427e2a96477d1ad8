# SPDX-License-Identifier: GPL-3.0-or-later
"""The protocol that traces filaments and cuts them into segments, also while micrographs arrive."""

import os
import time

import pyworkflow.protocol.params as params
from pwem.objects import Coordinate
from pwem.protocols import ProtParticlePickingAuto
from pyworkflow.object import Float, Integer
from pyworkflow.protocol.constants import LEVEL_ADVANCED

from scipion_vitripick.convert import FilamentFolder, even_box, input_stem
from scipion_vitripick.protocols.protocol_pick import ProtVitripickPick

BUNDLED, FROM_FILE = range(2)
PASS, CUT = range(2)
# The width is estimated on up to three micrographs.
_SURVEYED = 3
# Of the box that is taken where none is given, in widths.
_BOX_WIDTHS = 2


class ProtVitripickFilaments(ProtVitripickPick):
    """Traces filaments in micrographs with vitripick, and cuts them into segments.

    Each segment is a coordinate. It keeps the number of its filament, its direction, and its place along the filament
    under the names that RELION's helical processing uses. Micrographs that arrive while it runs are traced as they
    come. One that cannot be traced is named in the summary, and the others go on.
    """

    _label = "trace filaments"
    _done_word = "traced"
    _cannot_be_given = (*ProtVitripickPick._cannot_be_given, "--filaments")

    # ------------------------- parameters ------------------------------------

    def _defineParams(self, form):
        self._define_gpu(form)
        ProtParticlePickingAuto._defineParams(self, form)
        form.addParam(
            "width",
            params.FloatParam,
            allowsNull=True,
            default=None,
            label="Filament width (Å)",
            help="The filament's diameter, such as 180 for tobacco mosaic virus or 250 for microtubules. Where you "
            "know it, give it. Leave it empty to have it estimated on up to three micrographs.",
        )
        form.addParam(
            "spacing",
            params.FloatParam,
            allowsNull=True,
            default=None,
            label="Distance of segments (Å)",
            help="From one segment to the next along a filament, often a multiple of the helical rise; half the width "
            "if empty.",
        )
        form.addParam(
            "minimumLength",
            params.FloatParam,
            allowsNull=True,
            default=None,
            label="Minimum length (Å)",
            help="Shorter filaments are left out; 5 widths if empty.",
        )
        form.addParam(
            "boxSize",
            params.IntParam,
            allowsNull=True,
            default=None,
            label="Box size (px)",
            help="Size of the boxes of the coordinates, for the next protocols. Leave it empty for twice the width, "
            "rounded up to an even number. It changes no segment.",
        )
        form.addParam(
            "threshold",
            params.FloatParam,
            allowsNull=True,
            default=None,
            label="Threshold",
            help="Lowest mean confidence along a filament, between 0 and 1. Leave it empty for that of the model.",
        )
        form.addParam(
            "modelFrom",
            params.EnumParam,
            choices=["bundled", "a file"],
            default=BUNDLED,
            display=params.EnumParam.DISPLAY_HLIST,
            label="Model",
            help="The bundled model comes with vitripick. `vitripick train --filaments` makes one of your own.",
        )
        form.addParam(
            "modelFile",
            params.FileParam,
            allowsNull=True,
            condition=f"modelFrom=={FROM_FILE}",
            label="Model file",
            help="A file model.safetensors of `vitripick train --filaments`.",
        )
        form.addParam(
            "crossings",
            params.EnumParam,
            choices=["pass through", "cut out"],
            default=PASS,
            expertLevel=LEVEL_ADVANCED,
            label="Crossings",
            help="Let filaments pass through crossings, or cut them out, one width to each side.",
        )
        form.addParam(
            "largestBend",
            params.FloatParam,
            allowsNull=True,
            default=None,
            expertLevel=LEVEL_ADVANCED,
            label="Largest bend (degrees)",
            help="A filament is cut where it bends more than this in one width of its length; 25 if empty.",
        )
        form.addParam(
            "whiteFilaments",
            params.BooleanParam,
            default=False,
            expertLevel=LEVEL_ADVANCED,
            label="White filaments?",
            help="Micrographs usually show filaments dark. With *Yes* they are inverted for the network; the files "
            "stay as they are.",
        )
        form.addParam(
            "makeReport",
            params.BooleanParam,
            default=True,
            expertLevel=LEVEL_ADVANCED,
            label="Write a report?",
            help="A page with pictures and figures of the run, for a browser; the summary says where it is.",
        )
        self._define_extra(form, "pick --filaments", "docs/filaments.md of vitripick")
        self._define_streaming(form)

    # ------------------------- checks ----------------------------------------

    def _validate(self):
        errors = self._extra_problems()
        if self.modelFrom.get() == FROM_FILE and not os.path.exists(self.modelFile.get() or ""):
            errors.append(f"There is no model {self.modelFile.get() or 'file'}.")
        for name, label in (
            ("width", "Filament width"),
            ("spacing", "Distance of segments"),
            ("boxSize", "Box size"),
            ("largestBend", "Largest bend"),
        ):
            value = getattr(self, name).get()
            if value is not None and value <= 0:
                errors.append(f"*{label}* must be above 0, or empty.")
        threshold = self.threshold.get()
        if threshold is not None and not 0 < threshold < 1:
            errors.append("*Threshold* is a confidence between 0 and 1; leave it empty for that of the model.")
        mics = self.getInputMicrographs()
        if mics is not None and not mics.getSamplingRate():
            errors.append("The micrographs have no sampling rate.")
        return errors

    # ------------------------- steps -----------------------------------------

    def _waits_for_more(self, n_new):
        """Return whether the first micrographs of a stream wait for others, because the width is to be estimated."""
        if self.micDict or n_new >= _SURVEYED or self.width.get() is not None or self._run_folder().width():
            return False
        now = time.time()
        self._first_seen = getattr(self, "_first_seen", now)
        return now - self._first_seen < self.surveyWait.get()

    def readCoordsFromMics(self, outputDir, micDoneList, outputCoords):
        run = FilamentFolder(outputDir)
        coord = Coordinate()
        coord._vitripickConfidence = Float()
        # RELION's plugin keeps what it does not know under such names.
        coord._rlnHelicalTubeID = Integer()
        coord._rlnHelicalTrackLengthAngst = Float()
        coord._rlnAnglePsi = Float()
        coord._rlnAnglePsiPrior = Float()
        coord._rlnAngleTiltPrior = Float()
        coord._rlnAnglePsiFlipRatio = Float()
        for mic in micDoneList:
            stem = input_stem(mic)
            if run.record(stem) is None:
                continue
            width = run.diameter_px(stem)
            if outputCoords.getBoxSize() is None and (self.boxSize.get() or width):
                outputCoords.setBoxSize(self.boxSize.get() or even_box(_BOX_WIDTHS * width))
            for segment in run.segments(stem, mic.getFileName()):
                coord.setObjId(None)
                coord.setMicrograph(mic)
                coord.setPosition(segment.x, segment.y)
                coord._vitripickConfidence.set(segment.confidence)
                coord._rlnHelicalTubeID.set(segment.tube)
                coord._rlnHelicalTrackLengthAngst.set(segment.track)
                coord._rlnAnglePsi.set(segment.psi)
                coord._rlnAnglePsiPrior.set(segment.psi)
                coord._rlnAngleTiltPrior.set(90.0)
                coord._rlnAnglePsiFlipRatio.set(0.5)
                outputCoords.append(coord)

    # ------------------------- small things ----------------------------------

    def _run_folder(self):
        return FilamentFolder(self.getCoordsDir())

    def getCoordsDir(self):
        return self._getExtraPath("filaments")

    def getModel(self):
        """Return the path of the model; None for the one that comes with vitripick."""
        return self.modelFile.get() if self.modelFrom.get() == FROM_FILE else None

    def _pick_words(self):
        """Return the options of `vitripick pick --filaments` that decide the segments."""
        words = ["--filaments"]
        for option, value in (
            ("--model", self.getModel()),
            ("--width-angstrom", self.width.get()),
            ("--spacing-angstrom", self.spacing.get()),
            ("--minimum-length-angstrom", self.minimumLength.get()),
            ("--largest-bend-degrees", self.largestBend.get()),
            ("--threshold", self.threshold.get()),
        ):
            if value is not None:
                words += [option, str(value)]
        if self.crossings.get() == CUT:
            words += ["--crossings", "cut"]
        if self.whiteFilaments.get():
            words.append("--invert")
        return words + self._extra_words()
