# SPDX-License-Identifier: GPL-3.0-or-later
"""A vitripick that is missing or too old is said before a protocol starts, and wizards fill in what they find."""

import os
import stat
import tempfile
import types
import unittest
from unittest import mock

import pyworkflow as pw
from pyworkflow.gui.project.viewprotocols_extra import ProtocolTreeConfig

from scipion_vitripick import Plugin
from scipion_vitripick.constants import VITRIPICK_PROGRAM
from scipion_vitripick.convert import even_box
from scipion_vitripick.program import clean_environment, program_problem
from scipion_vitripick.protocols import ProtVitripickPick, ProtVitripickTrain
from scipion_vitripick.survey import estimate_diameter
from scipion_vitripick.tests.data import DIAMETER, ProtocolTest, noise, simulated, write_mrc
from scipion_vitripick.wizards import VitripickBoxSizeWizard, VitripickDiameterWizard


def program(folder, *lines):
    """Return the path of a shell script."""
    path = os.path.join(folder, "vitripick")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(["#!/bin/sh", *lines]) + "\n")
    os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
    return path


class ProgramTest(unittest.TestCase):
    """Looks at programs that are not the right one."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def test_the_program_of_the_configuration_works(self):
        self.assertEqual(Plugin.validateInstallation(), [])
        self.assertRegex(Plugin.getActiveVersion(), r"^\d+\.\d+")

    def test_a_missing_program_names_the_variable_to_set(self):
        problem = program_problem(os.path.join(self.folder, "nowhere"))
        self.assertIn(VITRIPICK_PROGRAM, problem)
        self.assertIn("scipion.conf", problem)

    def test_a_protocol_does_not_start_without_the_program(self):
        with mock.patch.dict(Plugin._vars, {VITRIPICK_PROGRAM: "/no/such/vitripick"}):
            for protocol in (ProtVitripickPick, ProtVitripickTrain):
                self.assertIn("/no/such/vitripick", protocol.validateInstallation()[0])

    def test_an_older_program_is_refused_with_both_versions(self):
        problem = program_problem(program(self.folder, "echo vitripick 0.0.9"))
        self.assertIn("0.0.9", problem)
        self.assertIn("0.1.0", problem)

    def test_newer_ones_are_taken(self):
        for version in ("0.1.0", "0.1.1.dev3", "0.10", "1.0.0"):
            self.assertIsNone(program_problem(program(self.folder, f"echo vitripick {version}")), version)

    def test_another_program_of_that_name_is_refused_with_what_it_prints(self):
        self.assertIn(
            "No module named numpy", program_problem(program(self.folder, "echo No module named numpy", "exit 1"))
        )

    def test_vitripick_does_not_see_the_packages_of_scipion(self):
        self.assertNotIn("PYTHONPATH", clean_environment({"PYTHONPATH": "/scipion", "PATH": "/bin"}))

    def test_the_menu_shows_both_protocols(self):
        menu = ProtocolTreeConfig.load(pw.Config.getDomain(), "")["Protocols SPA"]
        names = []

        def walk(item):
            names.append(item.value)
            for child in item.childs:
                walk(child)

        walk(menu)
        self.assertIn("ProtVitripickPick", names)
        self.assertIn("ProtVitripickTrain", names)

    def test_protocols_are_called_after_the_program(self):
        self.assertEqual(ProtVitripickPick.getClassLabel(), "vitripick - pick")
        self.assertEqual(ProtVitripickTrain.getClassLabel(prependPackageName=False), "train")

    def test_the_gpus_of_a_step_are_the_devices_of_vitripick(self):
        protocol = ProtVitripickPick()
        protocol._stepsExecutor = types.SimpleNamespace(getGpuList=lambda: [0, 2])
        self.assertEqual(protocol._device(), "cpu")
        protocol.useGpu.set(True)
        self.assertEqual(protocol._device(), "cuda:0,cuda:2")

    def test_the_first_of_a_stream_wait_for_others_only_where_something_is_to_be_found(self):
        protocol = ProtVitripickPick()
        protocol.micDict = {}
        with mock.patch.object(protocol, "getCoordsDir", return_value=self.folder):
            self.assertTrue(protocol._waits_for_more(1))
            self.assertFalse(protocol._waits_for_more(5))
            protocol.surveyWait.set(0)
            self.assertFalse(protocol._waits_for_more(1))
            protocol.surveyWait.set(40)
            protocol.threshold.set(0.4)
            self.assertTrue(protocol._waits_for_more(1))  # a diameter that does not fit would be replaced
            protocol.keepDiameter.set(True)
            self.assertFalse(protocol._waits_for_more(1))

    def test_options_that_the_protocol_gives_itself_are_refused(self):
        protocol = ProtVitripickPick()
        protocol.extraOptions.set("--edge box --out=elsewhere 'not closed")
        self.assertIn("cannot be read", protocol._extra_problems()[0])
        protocol.extraOptions.set("--edge box --out=elsewhere")
        self.assertIn("--out", protocol._extra_problems()[0])

    def test_a_box_is_even_and_holds_the_diameter(self):
        self.assertEqual([even_box(64.4), even_box(64.6), even_box(66)], [64, 66, 66])


class WizardTest(ProtocolTest):
    """Uses the wizards with a form that only keeps what is set."""

    def form_of(self, imported, **parameters):
        """Return a form of *pick*."""
        protocol = self.new(ProtVitripickPick, imported, "outputMicrographs", "inputMicrographs", **parameters)
        form = types.SimpleNamespace(protocol=protocol, values={}, root=None)
        form.setVar = form.values.__setitem__
        return form

    def test_the_diameter_is_found_on_the_micrographs(self):
        form = self.form_of(self.import_micrographs(os.path.join(simulated(), "micrographs")))
        VitripickDiameterWizard().show(form)
        self.assertAlmostEqual(form.values["diameter"], DIAMETER, delta=12)

    def test_the_box_is_one_and_a_half_diameters(self):
        form = self.form_of(self.import_micrographs(os.path.join(simulated(), "micrographs")), diameter=DIAMETER)
        VitripickBoxSizeWizard().show(form)
        self.assertEqual(form.values["boxSize"], 112)  # 1.5 * 127 / 1.7 = 112.06

    def test_where_no_diameter_stands_out_vitripick_says_so(self):
        write_mrc(os.path.join(self.folder, "noise.mrc"), noise())
        imported = self.import_micrographs(self.folder)
        with self.assertRaisesRegex(ValueError, "diameter"):
            estimate_diameter(imported.outputMicrographs)

    def test_the_wizards_are_offered_for_their_fields(self):
        wizards = pw.Config.getDomain().findWizards(self.newProtocol(ProtVitripickPick), "tkinter")
        self.assertIs(wizards["diameter"], VitripickDiameterWizard)
        self.assertIs(wizards["boxSize"], VitripickBoxSizeWizard)
