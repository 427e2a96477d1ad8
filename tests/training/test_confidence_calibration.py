"""Confidences that mean something."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from vitripick.images import Preparation
from vitripick.models import ModelCard
from vitripick.training.confidence_calibration import fit_calibration


def overconfident(n, rng):
    """Picks that are right as often as the logit, halved and lowered by one, says."""
    confidence = rng.uniform(0.05, 0.99, n)
    return confidence, rng.random(n) < expit(0.5 * logit(confidence) - 1)


def test_the_fit_finds_what_the_confidences_are_worth():
    rng = np.random.default_rng(0)
    slope, intercept = fit_calibration([overconfident(20_000, rng)])
    assert slope == pytest.approx(0.5, abs=0.05)
    assert intercept == pytest.approx(-1, abs=0.05)


def test_a_small_set_counts_as_much_as_a_large_one():
    rng = np.random.default_rng(1)
    large, small = overconfident(50_000, rng), overconfident(1000, rng)
    all_right = (small[0], np.ones(1000, bool))
    _, alone = fit_calibration([large])
    _, together = fit_calibration([large, all_right])
    assert together > alone + 0.5


def test_a_card_turns_confidences_into_what_they_are_worth_and_back():
    card = ModelCard(name="x", architecture="heatmap", preparation=Preparation(), calibration=(0.5, -1.0))
    confidence = np.array([0.1, 0.5, 0.9])
    worth = card.calibrated(confidence)
    np.testing.assert_allclose(worth, expit(0.5 * logit(confidence) - 1))
    assert [card.uncalibrated(value) for value in worth] == pytest.approx(list(confidence))


def test_without_a_calibration_confidences_stay_as_they_are():
    card = ModelCard(name="x", architecture="heatmap", preparation=Preparation())
    assert card.calibrated(np.array([0.3]))[0] == 0.3
    assert card.uncalibrated(0.05) == 0.05
