"""The threshold from confidences alone, on picks made up here."""

import numpy as np
import pytest

from vitripick.geometry import Boxes
from vitripick.images import Preparation
from vitripick.models import ModelCard
from vitripick.picking.threshold import choose_threshold

CARD = ModelCard(name="general", architecture="heatmap", preparation=Preparation(), threshold=0.4)


def picks(logits):
    confidence = 1 / (1 + np.exp(-np.asarray(logits)))
    confidence = np.sort(confidence[confidence >= 0.05])[::-1]
    at = np.arange(len(confidence), dtype=float)
    return Boxes.at(at, at, size_px=1, confidence=confidence, micrograph="a.mrc", shape=(10**6, 10**6))


def normal(mean, spread, n, seed=0):
    return np.random.default_rng(seed).normal(mean, spread, n)


def test_the_threshold_lies_between_particles_and_the_rest():
    particles, rest = normal(1.6, 0.4, 600), normal(-1.5, 0.6, 900, seed=1)
    choice = choose_threshold([picks(np.concatenate([particles, rest]))], CARD)
    assert choice.chosen_by == "scores"
    logit = np.log(choice.threshold / (1 - choice.threshold))
    assert (particles > logit).mean() > 0.95
    assert (rest > logit).mean() < 0.05
    assert choice.expected_precision == pytest.approx(1, abs=0.15)


def test_a_data_set_in_which_the_model_is_surer_of_all_gets_a_higher_threshold():
    def chosen(shift):
        logits = np.concatenate([normal(1.0, 0.4, 600), normal(-1.2, 0.6, 900, seed=1)])
        return choose_threshold([picks(logits + shift)], CARD).threshold

    assert chosen(0.8) > chosen(0.0) + 0.05


MIXED = np.concatenate([normal(1.0, 0.9, 600), normal(-1.2, 0.8, 900, seed=1)])


def test_who_wants_few_missed_gets_a_lower_threshold_and_who_wants_few_false_a_higher_one():
    recall, balanced, precision = (
        choose_threshold([picks(MIXED)], CARD, aim=aim) for aim in ("recall", "balanced", "precision")
    )
    assert recall.threshold < balanced.threshold < precision.threshold
    assert recall.expected_recall > balanced.expected_recall > precision.expected_recall
    assert recall.expected_precision < balanced.expected_precision < precision.expected_precision
    assert "chosen for precision on 1 micrograph" in precision.summary_lines()[0]


@pytest.mark.parametrize("aim", [0.7, 0.9])
def test_a_number_is_the_precision_to_reach_by_the_lowest_threshold_that_does(aim):
    choice = choose_threshold([picks(MIXED)], CARD, aim=aim)
    assert choice.expected_precision >= aim
    assert choice.expected_precision < aim + 0.03
    assert f"chosen for a precision of {aim:g}" in choice.summary_lines()[0]


def test_a_precision_that_no_threshold_reaches_gives_the_most_precise_one_and_says_so():
    unsure = np.concatenate([normal(0.3, 0.3, 600), normal(-1.2, 0.4, 900, seed=1)])
    choice = choose_threshold([picks(unsure)], CARD, aim=0.99)
    assert choice.expected_precision < 0.99
    assert "no threshold is expected to make 99 of 100 picks particles" in choice.summary_lines()[0]


def test_few_picks_leave_the_model_its_own():
    choice = choose_threshold([picks(normal(2, 0.3, 20))], CARD)
    assert (choice.threshold, choice.chosen_by) == (0.4, "model")
    assert "the model's own" in choice.summary_lines()[0]


def test_many_picks_that_are_all_more_likely_false_leave_the_model_its_own():
    choice = choose_threshold([picks(normal(-1.5, 0.5, 2000))], CARD)
    assert (choice.threshold, choice.chosen_by) == (0.4, "model")


def test_no_micrograph_and_no_pick_are_no_error():
    assert choose_threshold([], CARD).threshold == 0.4
    choice = choose_threshold([picks([])], CARD)
    assert (choice.threshold, choice.n_picks, choice.expected_precision) == (0.4, 0, None)


def test_precision_and_recall_to_be_expected_are_told():
    found = [picks(np.concatenate([normal(1.0, 0.6, 500), normal(-1.0, 0.6, 500, seed=1)]))]
    choice = choose_threshold(found, CARD)
    # Of what is picked so much should be true, and so much of what is true should be picked.
    assert 0.6 < choice.expected_precision < 1
    assert 0.6 < choice.expected_recall < 1
    told = choice.summary_lines()[1]
    assert told.startswith(f"of 100 picks about {100 * choice.expected_precision:.0f} are expected to be particles")
    assert choice.summary_lines()[0].startswith(f"threshold {choice.threshold:g}, chosen by itself on 1 micrograph")


def test_no_more_than_all_picks_are_expected_to_be_particles():
    choice = choose_threshold([picks(normal(1.0, 0.6, 500))], CARD)
    odd = choice.model_copy(update={"expected_precision": 1.2, "expected_recall": 1.01})
    assert "of 100 picks about 100 are" in odd.summary_lines()[1]
    assert "about 100 are picked" in odd.summary_lines()[1]
