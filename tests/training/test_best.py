"""Which weights of a run are kept as its best."""

import pytest

from vitripick.training import loop
from vitripick.training.checkpoint import TrainingProgress
from vitripick.training.validate import Validation


@pytest.fixture
def kept():
    return []


def validated(progress, kept, step, score, n_labels=100):
    progress.step = step
    validation = Validation(threshold=0.3, f1=score, auc=score, auc_iou=score, n_labels=n_labels)
    loop._keep_if_best(progress, None, validation, lambda detector, told: kept.append(step))


def test_better_weights_are_kept_and_worse_ones_are_not(kept):
    progress = TrainingProgress()
    for step, score in ((10, 0.5), (20, 0.7), (30, 0.6)):
        validated(progress, kept, step, score)
    assert kept == [10, 20]
    assert (progress.best_step, progress.best_score) == (20, 0.7)


def test_of_equals_the_longest_trained_is_kept_while_patience_runs_out(kept):
    """Where every particle is found early, sizes are still being learnt."""
    progress = TrainingProgress()
    for step in (10, 20, 30):
        validated(progress, kept, step, 1.0)
    assert kept == [10, 20, 30]
    assert progress.epochs_without_gain == 2


def test_a_model_that_training_began_with_must_be_beaten(kept):
    progress = TrainingProgress()
    validated(progress, kept, 0, 0.8)
    progress.start_figures = {"threshold": 0.3, "f1": 0.8, "auc": 0.8, "auc_iou": 0.8, "n_labels": 100}
    for step, score in ((10, 0.8), (20, 0.9), (30, 0.895), (40, 0.8)):
        validated(progress, kept, step, score)
    assert kept == [0, 20, 30]


def test_one_label_more_or_less_tells_no_weights_from_others(kept):
    """Of 20 labels one more was found at step 10, by chance; what is trained longer is kept."""
    progress = TrainingProgress()
    for step, score in ((10, 1.0), (20, 0.951), (30, 0.951), (40, 0.9)):
        validated(progress, kept, step, score, n_labels=20)
    assert kept == [10, 20, 30]
    assert progress.best_score == 1.0
    assert progress.epochs_without_gain == 3


def test_so_few_labels_tell_no_weights_from_others(kept):
    progress = TrainingProgress()
    for step, score in ((10, 0.9), (20, 0.1)):
        validated(progress, kept, step, score, n_labels=5)
    assert kept == [10, 20]
    assert progress.epochs_without_gain == 0
