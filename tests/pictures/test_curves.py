"""Curves and histograms are drawn from whatever there is, even from nothing."""

import struct

import numpy as np
import pytest

from vitripick.evaluation import evaluate
from vitripick.geometry import Boxes
from vitripick.pictures import histogram_png, precision_recall_png, training_curves_png


def size_of(png):
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", png[16:24])


def an_evaluation(picks=None):
    labels = Boxes.at([100, 300], [100, 300], size_px=40, shape=(500, 500))
    picks = Boxes.at([100, 200], [100, 200], size_px=40, confidence=[0.9, 0.4]) if picks is None else picks
    return evaluate(picks, labels, threshold=0.5, n_bootstrap=0)


def test_one_evaluation_and_many_are_drawn():
    one = precision_recall_png({"a": an_evaluation()})
    many = precision_recall_png({"a": an_evaluation(), "b": an_evaluation()})
    assert size_of(one) == size_of(many)
    assert one != many


def test_an_evaluation_without_picks_is_drawn():
    size_of(precision_recall_png({"a": an_evaluation(Boxes.empty())}))


def test_an_evaluation_without_labels_is_drawn():
    picks = Boxes.at([10.0], [10.0], size_px=4, confidence=0.5)
    size_of(precision_recall_png({"a": evaluate(picks, Boxes.empty(), diameter_px=4)}))


@pytest.mark.parametrize("values", [[], [np.nan], [3.0, 3.0], [0.1, 0.5, np.nan]])
def test_a_histogram_takes_any_values(values):
    size_of(histogram_png(values, label="confidence", mark=0.3))


def test_the_same_values_give_the_same_bytes():
    first, again = (histogram_png([0.1, 0.5], label="confidence") for _ in range(2))
    assert first == again


def test_training_curves_skip_what_a_row_does_not_have():
    rows = [
        {"step": 0, "train_loss": 1.0, "learning_rate": 1e-3},
        {"step": 10, "train_loss": 0.0, "validation_loss": None, "validation_f1": float("nan")},
        {"step": 20, "validation_f1": 0.7, "validation_auc": 0.6, "validation_loss": 0.4},
    ]
    size_of(training_curves_png(rows))


def test_training_curves_of_no_rows_are_empty_axes():
    size_of(training_curves_png([]))
