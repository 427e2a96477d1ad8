"""The map of what is junk, from the labels of a crop to the detections."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vitripick.models import build_detector
from vitripick.models.detections import Decoding, decode
from vitripick.models.run import detect


@pytest.fixture
def detector():
    torch.manual_seed(0)
    return build_detector("heatmap", {"width": 16, "junk": True})


def test_only_a_network_that_was_asked_to_says_what_is_junk(detector):
    image = np.zeros((64, 64), np.float32)
    assert detect(build_detector("heatmap", {"width": 16}).eval(), image, floor=0.5).junk is None
    assert detect(detector.eval(), image, floor=0.5).junk.shape == (16, 16)


@pytest.mark.parametrize(("shape", "cells"), [((70, 64), (18, 16)), ((65, 99), (16, 25))])
def test_the_map_covers_the_image_and_not_its_padding(detector, shape, cells):
    assert detect(detector.eval(), np.zeros(shape, np.float32), floor=0.5).junk.shape == cells


def test_a_place_of_which_nobody_spoke_teaches_nothing(detector):
    raw = torch.randn(1, 5, 8, 8)
    weight = torch.ones(1, 1, 32, 32)
    nobody = detector.targets([np.empty((0, 4), np.float32)], (32, 32))
    assert detector.loss(raw, nobody, weight)["junk"] == 0
    assert (nobody[:, 5] == -1).all()


def test_junk_that_is_said_to_be_junk_costs_nothing_and_else_much(detector):
    weight = torch.ones(1, 1, 32, 32)
    junk = np.zeros((1, 32, 32), np.float32)
    junk[0, :, 16:] = 1
    targets = detector.targets([np.empty((0, 4), np.float32)], (32, 32), junk=junk)
    raw = torch.zeros(1, 5, 8, 8)
    raw[:, 4, :, :4], raw[:, 4, :, 4:] = -9, 9
    assert detector.loss(raw, targets, weight)["junk"] < 0.001
    raw[:, 4] *= -1
    assert detector.loss(raw, targets, weight)["junk"] > 5


def test_the_map_is_a_probability():
    raw = np.full((1, 5, 4, 4), -9, np.float32)
    raw[0, 4, 1, 2] = 2.0
    decoding = Decoding(kind="heatmap", stride=4, pad_to=16, numbers={"working_diameter_px": 24}, junk=True)
    (found,) = decode(raw, decoding, floor=0.1)
    assert found.junk[1, 2] == pytest.approx(1 / (1 + np.exp(-2)))
    assert found.junk[0, 0] < 0.001


def test_selecting_detections_keeps_what_is_known_of_the_ground():
    raw = np.full((1, 5, 4, 4), 1, np.float32)
    decoding = Decoding(kind="heatmap", stride=4, pad_to=16, numbers={"working_diameter_px": 24}, junk=True)
    (found,) = decode(raw, decoding, floor=0.1)
    none = found.select(np.zeros(len(found), bool))
    assert len(none) == 0
    assert none.junk is found.junk
