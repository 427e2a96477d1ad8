# SPDX-License-Identifier: GPL-3.0-or-later
"""The protocol that picks particles, also while micrographs arrive."""

import os
import time

import pyworkflow.protocol.params as params
from pwem.objects import Coordinate
from pwem.protocols import ProtParticlePickingAuto
from pyworkflow.object import Float
from pyworkflow.protocol.constants import LEVEL_ADVANCED, STEPS_PARALLEL

from scipion_vitripick.convert import (
    RunFolder,
    even_box,
    input_stem,
    link_micrographs,
    write_micrographs_star,
)
from scipion_vitripick.protocols.protocol_base import (
    FILE,
    GENERAL,
    SOME_FAILED,
    TRAINED,
    VitripickFailed,
    VitripickProtocol,
)

AS_FOUND, DARK, WHITE = range(3)
# The survey looks at up to this many micrographs; one alone may be an odd one.
_SURVEYED = 5


class ProtVitripickPick(VitripickProtocol, ProtParticlePickingAuto):
    """Finds the particles in micrographs with vitripick.

    The model that comes with vitripick knows particles of many kinds. It needs their diameter, or finds it on the first
    micrographs. A model of *vitripick train* brings its own. Micrographs that arrive while it runs are picked as they
    come. One that cannot be picked is named in the summary, and the others go on.
    """

    _label = "pick"
    stepsExecutionMode = STEPS_PARALLEL
    # What is done to a micrograph, in messages.
    _done_word = "picked"
    _cannot_be_given = ("--out", "--shard", "--format", "--json", "--json-lines", "--cluster", "--device", "--jobs")

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.stepsExecutionMode = STEPS_PARALLEL

    # ------------------------- parameters ------------------------------------

    def _defineParams(self, form):
        self._define_gpu(form)
        ProtParticlePickingAuto._defineParams(self, form)
        form.addParam(
            "diameter",
            params.FloatParam,
            allowsNull=True,
            default=None,
            label="Particle diameter (Å)",
            help="The diameter of a circle drawn snugly around the particle. 20 % off does no harm.\n"
            "Leave it empty to have it found on up to five micrographs, or for a model that you trained: it knows its "
            "particle. The wizard finds it before the protocol runs.\n"
            "A diameter that clearly does not fit what the network sees is replaced; the summary says so.",
        )
        form.addParam(
            "modelFrom",
            params.EnumParam,
            choices=["general", "trained in this project", "a file"],
            default=GENERAL,
            display=params.EnumParam.DISPLAY_HLIST,
            label="Model",
            help="*general* comes with vitripick, and knows particles of many kinds. For a particle that it does not "
            "find well, train a model on some micrographs that you picked by hand (*vitripick train*).",
        )
        form.addParam(
            "inputModel",
            params.PointerParam,
            pointerClass="VitripickModel",
            allowsNull=True,
            condition=f"modelFrom=={TRAINED}",
            label="Trained model",
            help="The output of *vitripick train*.",
        )
        form.addParam(
            "modelFile",
            params.FileParam,
            allowsNull=True,
            condition=f"modelFrom=={FILE}",
            label="Model file",
            help="A file model.safetensors of `vitripick train`.",
        )
        form.addParam(
            "threshold",
            params.FloatParam,
            allowsNull=True,
            default=None,
            label="Threshold",
            help="Lowest confidence of a pick, between 0 and 1. Leave it empty: a trained model brings its own, and "
            "for *general* it is chosen from the scores on up to five micrographs.\n"
            "Each coordinate keeps its confidence, so *filter set* can be stricter later.",
        )
        form.addParam(
            "boxSize",
            params.IntParam,
            allowsNull=True,
            default=None,
            label="Box size (px)",
            help="Size of the boxes of the coordinates, for the next protocols. Leave it empty for the particle's "
            "diameter, rounded up to an even number. It changes no pick. To extract particles take half as much again "
            "or more; the wizard does.",
        )
        form.addParam(
            "contrast",
            params.EnumParam,
            choices=["as found", "dark particles", "white particles"],
            default=AS_FOUND,
            expertLevel=LEVEL_ADVANCED,
            label="Contrast",
            help="Micrographs usually show particles dark. By default white ones are noticed, and the micrographs "
            "inverted for the network; the files stay as they are.",
        )
        form.addParam(
            "keepDiameter",
            params.BooleanParam,
            default=False,
            expertLevel=LEVEL_ADVANCED,
            label="Keep the diameter",
            help="Use the diameter above even where the network sees another size, as for the less common of two "
            "particles.",
        )
        form.addParam(
            "minimumDistance",
            params.FloatParam,
            allowsNull=True,
            default=None,
            expertLevel=LEVEL_ADVANCED,
            label="Minimum distance (diameters)",
            help="Of picks closer than this, in diameters, the most confident stays; 0.5 if empty.",
        )
        form.addParam(
            "makeReport",
            params.BooleanParam,
            default=True,
            expertLevel=LEVEL_ADVANCED,
            label="Write a report?",
            help="A page with pictures and figures of the run, for a browser; the summary says where it is.",
        )
        self._define_extra(form, "pick", "docs/options.md of vitripick")
        self._define_streaming(form)

    def _define_streaming(self, form):
        self._defineStreamingParams(form)
        # vitripick takes long lists well, and output comes micrograph by micrograph in any case.
        form.getParam("streamingBatchSize").setDefault(0)
        form.getParam("streamingSleepOnWait").setDefault(5)
        form.addParam(
            "surveyWait",
            params.IntParam,
            default=40,
            expertLevel=LEVEL_ADVANCED,
            label="Wait for the first five (secs)",
            help="While micrographs still arrive, and diameter or threshold are to be found, the first ones wait until "
            "there are five, or this many seconds have passed.",
        )
        form.addParallelSection(
            threads=2,
            mpi=0,
            binThreads=2,
            binThreadsHelp="Micrographs that one vitripick works on at once, on a CPU. Picks do not depend on it.",
        )

    # ------------------------- checks ----------------------------------------

    def _validate(self):
        errors = self._extra_problems()
        if self.modelFrom.get() == TRAINED and self.inputModel.get() is None:
            errors.append("*Trained model* is empty: choose one, or take the model *general*.")
        model = self.getModel()
        if model is not None and not os.path.exists(model):
            errors.append(f"There is no model {model or 'file'}.")
        for name, label in (("diameter", "Particle diameter"), ("boxSize", "Box size")):
            value = getattr(self, name).get()
            if value is not None and value <= 0:
                errors.append(f"*{label}* must be above 0, or empty.")
        threshold = self.threshold.get()
        if threshold is not None and not 0 < threshold < 1:
            errors.append("*Threshold* is a confidence between 0 and 1; leave it empty to have it chosen.")
        if self.keepDiameter.get() and self.diameter.get() is None:
            errors.append("*Keep the diameter* needs a particle diameter.")
        mics = self.getInputMicrographs()
        if mics is not None and not mics.getSamplingRate():
            errors.append("The micrographs have no sampling rate.")
        return errors

    # ------------------------- steps -----------------------------------------

    def _getPickArgs(self):
        # Steps that are stored with other options are made again.
        return [self._pick_words()]

    def _insertPickMicrographStep(self, mic, prerequisites, *args):
        return self._insertPickMicrographListStep([mic], prerequisites, *args)

    def _insertPickMicrographListStep(self, micList, prerequisites, *args):
        # The first step finds what is left open. Other steps at the same time would find it again on their own
        # micrographs.
        first = getattr(self, "_first_step", None)
        step = self._insertFunctionStep(
            self.pickMicrographListStep,
            [mic.getMicName() for mic in micList],
            *args,
            prerequisites=prerequisites if first is None else [first],
            needsGPU=self.usesGpu(),
        )
        if first is None and micList:
            self._first_step = step
        return step

    def _loadInputList(self):
        new, closed = super()._loadInputList()
        if new and not closed and self._waits_for_more(len(new)):
            return {}, closed
        return new, closed

    def _waits_for_more(self, n_new):
        """Return whether the first micrographs of a stream wait for others, because a survey is to come."""
        if self.micDict or n_new >= _SURVEYED or self._run_folder().surveyed():
            return False
        if self.threshold.get() is not None and self.keepDiameter.get():
            return False
        now = time.time()
        self._first_seen = getattr(self, "_first_seen", now)
        return now - self._first_seen < self.surveyWait.get()

    def _pickMicrographList(self, micList, *args):
        if not micList:
            return
        run = self._run_folder()
        for mic in micList:
            run.forget_failure(input_stem(mic))
        star = self._write_star(micList, f"step_{micList[0].getObjId():06d}_{len(micList)}")
        words = ["pick", star, "--out", run.folder, *self._formats(), *args[0]]
        # As one share of one: what describes the whole run is written at the end, once.
        words += ["--shard", "1/1", "--device", self._device(), "--jobs", self.binThreads.get()]
        name = os.path.basename(star)[: -len(".star")]
        self._call_vitripick(words, name, accepted=(0, SOME_FAILED))
        for mic in micList:
            stem = input_stem(mic)
            reason = run.failure(stem)
            if reason is not None:
                self.warning(f"{mic.getMicName()} cannot be {self._done_word}: {reason}")
            elif run.record(stem) is None:
                raise VitripickFailed(f"vitripick ended without {mic.getMicName()}. {self._last_words(name)}")

    def _isMicDone(self, mic):
        # The record is the last file of a micrograph, so coordinates come while the step still works on others.
        return super()._isMicDone(mic) or self._run_folder().record(input_stem(mic)) is not None

    def readCoordsFromMics(self, outputDir, micDoneList, outputCoords):
        run = RunFolder(outputDir)
        coord = Coordinate()
        coord._vitripickConfidence = Float()
        for mic in micDoneList:
            stem = input_stem(mic)
            if run.record(stem) is None:
                continue
            box = self.boxSize.get() or run.diameter_px(stem)
            if box and outputCoords.getBoxSize() is None:
                outputCoords.setBoxSize(self.boxSize.get() or even_box(box))
            for pick in run.picks(stem, mic.getFileName()):
                coord.setObjId(None)
                coord.setMicrograph(mic)
                coord.setPosition(pick.x, pick.y)
                coord._vitripickConfidence.set(pick.confidence)
                outputCoords.append(coord)

    def getCoordsDir(self):
        return self._getExtraPath("picks")

    def createOutputStep(self):
        run = self._run_folder()
        picked = [mic for mic in self.micDict.values() if run.record(input_stem(mic)) is not None]
        failures = run.failures()
        if not picked:
            reason = next(iter(failures.values()), "there were none")
            raise VitripickFailed(
                f"None of the {len(self.micDict)} micrographs was {self._done_word}. The first: {reason}"
            )
        star = self._write_star(picked, "micrographs")
        words = ["pick", star, "--out", run.folder, *self._formats(), *self._pick_words(), "--device", "cpu"]
        self._call_vitripick(words, "whole_run", accepted=(0, SOME_FAILED))
        if self.makeReport.get():
            self._call_vitripick(["report", run.folder, "--out", self._report()], "report")

    # ------------------------- what the user reads ---------------------------

    def _summary(self):
        lines = super()._summary()
        run = self._run_folder()
        lines += run.survey_lines()
        failures = run.failures()
        if failures:
            counted = f"{len(failures)} micrograph{'s' if len(failures) > 1 else ''}"
            lines.append(f"*{counted} cannot be {self._done_word}*, without coordinates:")
            lines += [f"    {stem}: {reason}" for stem, reason in list(failures.items())[:5]]
            if len(failures) > 5:
                lines.append(f"    and {len(failures) - 5} more, in {os.path.join(run.folder, 'failed')}")
        if os.path.exists(self._report()):
            lines.append(f"Report: {self.getFileTag(self._report())}")
        return lines

    # ------------------------- small things ----------------------------------

    def _run_folder(self):
        return RunFolder(self.getCoordsDir())

    def _report(self):
        return self._getExtraPath("report.html")

    def getModel(self):
        """Return the path of the model; None for the one that comes with vitripick."""
        if self.modelFrom.get() == GENERAL:
            return None
        if self.modelFrom.get() == FILE:
            return self.modelFile.get() or ""
        chosen = self.inputModel.get()
        return None if chosen is None else chosen.getFileName()

    def _formats(self):
        """Return the formats that vitripick writes; the coordinates are read from its STAR files."""
        return ["--format", "star"]

    def _pick_words(self):
        """Return the options of `vitripick pick` that decide the picks."""
        words = []
        for option, value in (
            ("--model", self.getModel()),
            ("--diameter-angstrom", self.diameter.get()),
            ("--threshold", self.threshold.get()),
            ("--minimum-distance", self.minimumDistance.get()),
        ):
            if value is not None:
                words += [option, str(value)]
        if self.contrast.get() != AS_FOUND:
            words.append("--invert" if self.contrast.get() == WHITE else "--no-invert")
        if self.keepDiameter.get():
            words.append("--keep-diameter")
        return words + self._extra_words()

    def _write_star(self, mics, name):
        folder = self._getExtraPath("input")
        names = link_micrographs(mics, folder)
        # vitripick makes a new survey for micrographs that an earlier one has nothing to do with. One that the survey
        # looked at, and that is done, says that these belong to it.
        names += [one for one in self._run_folder().surveyed()[:1] if one not in names]
        path = os.path.join(folder, f"{name}.star")
        micSet = self.getInputMicrographs()
        write_micrographs_star(names, path, micSet.getSamplingRate(), micSet.getAcquisition())
        return path
