# SPDX-License-Identifier: GPL-3.0-or-later
"""The protocol that trains a model on coordinates that a person placed or checked."""

import json
import os
from collections import defaultdict

import pyworkflow.protocol.params as params
from pyworkflow.protocol.constants import LEVEL_ADVANCED, STEPS_SERIAL
from pyworkflow.utils import Message

from scipion_vitripick.convert import (
    input_stem,
    label_place,
    link_micrographs,
    starts_at_top,
    write_labels_star,
    write_micrographs_star,
)
from scipion_vitripick.objects import VitripickModel
from scipion_vitripick.protocols.protocol_base import VitripickFailed, VitripickProtocol

SCRATCH, GENERAL_MODEL, OTHER_MODEL, MODEL_FILE = range(4)


class ProtVitripickTrain(VitripickProtocol):
    """Trains a model of vitripick on micrographs that were picked by hand, or whose picks were corrected.

    The output is a model for *vitripick pick*. It knows the size of its particle and its threshold.
    """

    _label = "train"
    _possibleOutputs = {"outputModel": VitripickModel}
    stepsExecutionMode = STEPS_SERIAL
    _cannot_be_given = ("--out", "--micrographs", "--labels", "--box-size-px", "--from", "--name", "--json", "--device")

    # ------------------------- parameters ------------------------------------

    def _defineParams(self, form):
        self._define_gpu(form)
        form.addSection(label=Message.LABEL_INPUT)
        form.addParam(
            "inputCoordinates",
            params.PointerParam,
            pointerClass="SetOfCoordinates",
            important=True,
            label="Coordinates",
            help="Particles that a person picked, or checked, on some micrographs. Three to five micrographs are a "
            "good start, and one is enough for a first try. Pick a good part of the particles, and only those you "
            "want.",
        )
        form.addParam(
            "inputMicrographs",
            params.PointerParam,
            pointerClass="SetOfMicrographs",
            allowsNull=True,
            expertLevel=LEVEL_ADVANCED,
            label="Other micrographs",
            help="By default the micrographs on which the coordinates were placed. Give another set of the same "
            "exposures, such as another binning, to train on that. Micrographs are matched by their names, and the "
            "coordinates scaled by the sampling rates.",
        )
        form.addParam(
            "diameter",
            params.FloatParam,
            allowsNull=True,
            default=None,
            label="Particle diameter (Å)",
            help="The diameter of a circle drawn snugly around the particle. Leave it empty if the box size of the "
            "coordinates is that. It decides the scale at which the network sees the particle.",
        )
        form.addParam(
            "emptyOnes",
            params.BooleanParam,
            default=False,
            label="Learn from micrographs without coordinates?",
            help="*No*: micrographs without any coordinate were not looked at, and are left out.\n"
            "*Yes*: they hold no particle. That is a good example of what to leave.",
        )
        form.addParam(
            "startFrom",
            params.EnumParam,
            choices=["scratch", "general", "trained in this project", "a file"],
            default=SCRATCH,
            label="Start from",
            help="A model to go on from takes fewer steps. *scratch* starts with a new network, and keeps nothing "
            "of other particles.",
        )
        form.addParam(
            "inputModel",
            params.PointerParam,
            pointerClass="VitripickModel",
            allowsNull=True,
            condition=f"startFrom=={OTHER_MODEL}",
            label="Trained model",
        )
        form.addParam(
            "modelFile",
            params.FileParam,
            allowsNull=True,
            condition=f"startFrom=={MODEL_FILE}",
            label="Model file",
        )
        form.addParam(
            "steps",
            params.IntParam,
            allowsNull=True,
            default=None,
            expertLevel=LEVEL_ADVANCED,
            label="Steps at most",
            help="Training stops early when it gets no better. If empty, the default of vitripick.",
        )
        form.addParam("seed", params.IntParam, default=1, expertLevel=LEVEL_ADVANCED, label="Seed")
        self._define_extra(form, "train", "docs/options.md of vitripick")
        form.addParallelSection(threads=0, mpi=0)

    # ------------------------- checks ----------------------------------------

    def _validate(self):
        errors = self._extra_problems()
        coords, diameter = self.inputCoordinates.get(), self.diameter.get()
        if coords is None:
            return errors
        if diameter is not None and diameter <= 0:
            errors.append("*Particle diameter* must be above 0, or empty.")
        if diameter is None and not coords.getBoxSize():
            errors.append("The coordinates have no box size: give the *particle diameter*.")
        if not coords.getSize():
            errors.append("The set of coordinates is empty.")
        model = self._start_model()
        if self.startFrom.get() == OTHER_MODEL and not model:
            errors.append("*Trained model* is empty.")
        elif self.startFrom.get() in (OTHER_MODEL, MODEL_FILE) and not os.path.exists(model):
            errors.append(f"There is no model {model or 'file'}.")
        mics = self._micrographs()
        if coords.getMicrographs() is None:
            errors.append("The coordinates do not say on which micrographs they lie.")
        elif not mics.getSamplingRate() or not coords.getMicrographs().getSamplingRate():
            errors.append("The micrographs have no sampling rate.")
        return errors

    # ------------------------- steps -----------------------------------------

    def _insertAllSteps(self):
        self._insertFunctionStep(self.convertInputStep, needsGPU=False)
        self._insertFunctionStep(self.trainStep, self._train_words(), needsGPU=self.usesGpu())
        self._insertFunctionStep(self.createOutputStep, needsGPU=False)

    def convertInputStep(self):
        """Link the micrographs, and write one file of coordinates for each."""
        coords = self.inputCoordinates.get()
        scale = coords.getMicrographs().getSamplingRate() / self._micrographs().getSamplingRate()
        placed_on = {mic.getObjId(): mic.getMicName() for mic in coords.getMicrographs()}
        places = defaultdict(list)
        for coord in coords.iterItems():
            places[placed_on.get(coord.getMicId(), coord.getMicName())].append(coord.clone())
        every = [mic.clone() for mic in self._micrographs()]
        mics = [mic for mic in every if places.get(mic.getMicName())]
        if not mics:
            raise VitripickFailed(
                f"None of the {len(every)} micrographs has coordinates. The coordinates lie on "
                f"{', '.join(sorted(map(str, places))[:3])}, and the first micrograph is {every[0].getMicName()}."
            )
        if self.emptyOnes.get():
            looked_at = set(placed_on.values())
            mics = [mic for mic in every if mic.getMicName() in looked_at]
        lost = set(places) - {mic.getMicName() for mic in mics}
        if lost:
            self.warning(f"{len(lost)} micrographs with coordinates are not in the set: {', '.join(sorted(lost)[:5])}")
        folder, labels = self._getExtraPath("input"), self._getExtraPath("labels")
        os.makedirs(labels, exist_ok=True)
        names = link_micrographs(mics, folder)
        write_micrographs_star(
            names, self._star(), self._micrographs().getSamplingRate(), self._micrographs().getAcquisition()
        )
        for mic in mics:
            name = mic.getFileName()
            n_rows = mic.getDim()[1] if starts_at_top(name) else 0
            placed = [label_place(coord, name, n_rows, scale) for coord in places.get(mic.getMicName(), ())]
            write_labels_star(placed, os.path.join(labels, f"{input_stem(mic)}.star"))

    def trainStep(self, words):
        """Train; a training that was stopped goes on where it was."""
        labels = self._getExtraPath("labels")
        command = ["train", "--micrographs", self._star(), "--labels", labels, "--out", self._training(), *words]
        self._call_vitripick([*command, "--device", self._device().split(",")[0]], "train")

    def createOutputStep(self):
        """Give out the model."""
        path = os.path.join(self._training(), "model.safetensors")
        if not os.path.exists(path):
            raise VitripickFailed(f"vitripick ended without a model. {self._last_words('train')}")
        card = self._card()
        model = VitripickModel(path)
        model.describe(card.get("name"), card.get("diameter_angstrom"))
        self._defineOutputs(outputModel=model)
        self._defineSourceRelation(self.inputCoordinates, model)

    # ------------------------- what the user reads ---------------------------

    def _summary(self):
        card = self._card()
        if not card:
            return ["There is no model yet."]
        lines = [f"Model {card.get('name')}, in {os.path.join(self._training(), 'model.safetensors')}"]
        if card.get("diameter_angstrom"):
            lines.append(f"Particles of {card['diameter_angstrom']:.0f} Å")
        curves = os.path.join(self._training(), "curves.png")
        if os.path.exists(curves):
            lines.append(f"How the training went: {self.getFileTag(curves)}")
        return lines

    def _methods(self):
        return ["A model of vitripick was trained on the coordinates."] if self._card() else []

    # ------------------------- small things ----------------------------------

    def _micrographs(self):
        """Return the micrographs to train on: the other set if there is one, else those of the coordinates."""
        other, coords = self.inputMicrographs.get(), self.inputCoordinates.get()
        return other if other is not None or coords is None else coords.getMicrographs()

    def _start_model(self):
        """Return the model to go on from; None for none."""
        chosen = self.startFrom.get()
        if chosen == GENERAL_MODEL:
            return "general"
        if chosen == OTHER_MODEL:
            return None if self.inputModel.get() is None else self.inputModel.get().getFileName()
        return (self.modelFile.get() or "") if chosen == MODEL_FILE else None

    def _train_words(self):
        """Return the options of `vitripick train` that decide the model."""
        coords, rate = self.inputCoordinates.get(), self._micrographs().getSamplingRate()
        if self.diameter.get() is not None:
            box = self.diameter.get() / rate
        else:
            box = coords.getBoxSize() * coords.getMicrographs().getSamplingRate() / rate
        words = ["--box-size-px", f"{box:.3f}", "--seed", str(self.seed.get()), "--name", f"scipion{self.getObjId()}"]
        if self._start_model():
            words += ["--from", self._start_model()]
        if self.steps.get() is not None:
            words += ["--steps", str(self.steps.get())]
        return words + self._extra_words()

    def _card(self):
        """Return what the model says about itself; an empty dictionary if there is none."""
        path = os.path.join(self._training(), "model.json")
        if not os.path.exists(path):
            return {}
        with open(path, encoding="utf-8") as file:
            return json.load(file)

    def _training(self):
        return self._getExtraPath("training")

    def _star(self):
        return self._getExtraPath("input", "micrographs.star")
