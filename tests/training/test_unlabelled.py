import numpy as np
import pytest
import torch

from vitripick.errors import Stopped
from vitripick.geometry import Boxes
from vitripick.training import Callbacks, default_settings, train, unlabelled
from vitripick.training.samples import Knowledge, Sample
from vitripick.training.training_crops import how_much_counts
from vitripick.training.unlabelled import at_the_start, reconsider

PLACES = np.array([[40, 40], [90, 40], [40, 90], [90, 90]], np.float32)


def sample(n_labels=2):
    labels = np.column_stack([PLACES[:n_labels], np.full((n_labels, 2), 16.0)]).astype(np.float32)
    return Sample("m.mrc", 0, np.zeros((128, 128), np.float32), labels, 16.0, Knowledge(empty=not n_labels))


@pytest.fixture
def network_says(monkeypatch):
    """Replaces the network: it finds the four places with these confidences."""

    def says(*confidence):
        found = Boxes.at(PLACES[:, 0], PLACES[:, 1], size_px=16, confidence=np.array(confidence))
        monkeypatch.setattr(unlabelled, "find_particles", lambda detector, sample: found)

    return says


def treated(how, **changes):
    return default_settings(unlabelled=how, **changes)


def counts(one):
    """How much the four places count, and one far from all of them."""
    weight = how_much_counts(one)
    return [float(weight[int(y), int(x)]) for x, y in [*PLACES, (65, 65)]]


def test_by_default_an_unlabelled_place_is_background_like_any_other():
    (one,) = at_the_start([sample()], treated("background"))
    assert counts(one) == [1, 1, 1, 1, 1]


def test_lighter_background_counts_a_fifth_and_labelled_places_in_full():
    (one,) = at_the_start([sample()], treated("lighter"))
    assert counts(one) == pytest.approx([1, 1, 0.2, 0.2, 0.2])


def test_a_micrograph_labelled_empty_counts_in_full_whatever_the_treatment(network_says):
    network_says(0.9, 0.9, 0.9, 0.9)
    for how in ("lighter", "ignore", "teach"):
        (one,) = reconsider([sample(0)], None, treated(how))
        assert counts(one) == [1, 1, 1, 1, 1]
        assert len(one.labels) == 0


def test_a_patch_without_a_label_of_a_labelled_micrograph_is_not_known_to_be_empty(network_says):
    network_says(0.5, 0.5, 0.5, 0.5)
    patch = sample(0).knowing(empty=False)
    (_, taught) = reconsider([sample(), patch], None, treated("teach"))
    assert len(taught.labels) == 4
    assert taught.labels[0, 2] == 16


def test_a_place_as_sure_as_labelled_ones_is_ignored_and_a_doubtful_one_is_not(network_says):
    network_says(0.5, 0.5, 0.5, 0.1)
    (one,) = reconsider([sample()], None, treated("ignore"))
    assert counts(one) == pytest.approx([1, 1, 0, 0.2, 0.2])
    assert len(one.labels) == 2


def test_a_place_as_sure_as_labelled_ones_is_taught_and_a_less_sure_one_stays_open(network_says):
    network_says(0.5, 0.5, 0.5, 0.3)
    (one,) = reconsider([sample()], None, treated("teach"))
    assert one.labels[:, :2].tolist() == PLACES[:3].tolist()
    assert counts(one) == pytest.approx([1, 1, 1, 0, 0.2])


def test_how_sure_is_measured_by_the_labelled_places_and_by_no_fixed_confidence(network_says):
    network_says(0.2, 0.2, 0.2, 0.05)
    (one,) = reconsider([sample()], None, treated("teach"))
    assert len(one.labels) == 3


def test_a_network_that_does_not_find_the_labels_has_no_say(network_says):
    network_says(0.06, 0.06, 0.9, 0.9)
    (one,) = reconsider([sample()], None, treated("teach"))
    assert len(one.labels) == 2


def test_taught_places_do_not_become_the_next_rounds_evidence(network_says):
    network_says(0.9, 0.9, 0.9, 0.1)
    first = sample()
    reconsider([first], None, treated("teach"))
    network_says(0.9, 0.9, 0.1, 0.1)
    (again,) = reconsider([first], None, treated("teach"))
    assert len(again.labels) == 2


def test_a_stopped_run_that_teaches_itself_resumes_with_the_same_weights(session_set, short, tmp_path, monkeypatch):
    def labels_and_one_more(detector, sample):
        x, y = np.append(sample.labels[:, :2].T, [[64], [64]], axis=1)
        return Boxes.at(x, y, size_px=16, confidence=0.9)

    monkeypatch.setattr(unlabelled, "find_particles", labels_and_one_more)
    settings = short.model_copy(update={"unlabelled": "teach"})
    train(session_set, tmp_path / "whole", settings=settings)
    asked = iter([False, False, False, True])
    with pytest.raises(Stopped):
        train(session_set, tmp_path / "part", settings=settings, callbacks=Callbacks(should_stop=lambda: next(asked)))
    train(session_set, tmp_path / "part", settings=settings)
    a, b = (torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("whole", "part"))
    assert len(a["labels"][0]) == 15
    for name in a["weights"]:
        assert torch.equal(a["weights"][name], b["weights"][name]), name
