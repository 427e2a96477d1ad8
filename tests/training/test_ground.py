"""What is taught between labels: all of it where labels are complete, little where they are not, nothing where told."""

import json

import numpy as np
import pytest

from vitripick.errors import FormatError
from vitripick.formats import write_mrc, write_picks
from vitripick.geometry import Boxes
from vitripick.images.prepare import Prepared
from vitripick.models.detector import Detections
from vitripick.training import TrainingSet
from vitripick.training import validate as validation
from vitripick.training.crops import draw_whole
from vitripick.training.data import Sample, load_training_data
from vitripick.training.ground import Ground, read_grounds, weights
from vitripick.training.validate import validate

LABELS = np.array([[30, 20, 10, 10]], np.float32)
HALF = Prepared(np.zeros((50, 80), np.float32), (100, 160))  # working pixels are two of the micrograph's


def taught(**ground):
    return weights(Ground(**ground), HALF, LABELS, diameter_px=10.0, unlabelled=0.1)


def test_where_labels_are_complete_everything_teaches():
    assert (taught() == 1).all()


def test_where_they_are_not_only_labelled_ground_teaches_fully():
    weight = taught(complete=False)
    assert weight[20, 30] == weight[20, 36] == 1
    assert weight[20, 42] == weight[45, 70] == np.float32(0.1)


def test_a_rejected_place_is_known_to_be_no_particle():
    weight = taught(complete=False, rejected=np.array([[120.5, 80.5]]))
    assert weight[40, 60] == 1


def test_in_an_ignored_area_nothing_teaches():
    square = np.array([[0.0, 0.0], [39.0, 0.0], [39.0, 39.0], [0.0, 39.0]])
    weight = taught(ignored=(square,))
    assert weight[10, 10] == 0
    assert weight[30, 30] == 1


def test_a_crop_carries_the_weights_to_where_they_belong(short):
    image = np.zeros((64, 64), np.float32)
    weight = np.ones((64, 64), np.float32)
    weight[10:20, 40:50] = 0
    sample = Sample("a", 0, image, LABELS[:0], 1.0, weight)
    settings = short.model_copy(update={"border_diameters": 0.0})
    for seed in range(4):
        crop = draw_whole(sample, np.random.default_rng(seed), settings, 64)
        assert (crop.weight == 0).sum() == 100


def test_areas_are_read_beside_the_labels(tmp_path, short):
    rng = np.random.default_rng(0)
    for i in range(3):
        write_mrc(tmp_path / "m" / f"a{i}.mrc", rng.standard_normal((90, 90)).astype(np.float32))
        write_picks(Boxes.at([40], [40], size_px=20), tmp_path / "l" / f"a{i}.csv")
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "a0.json").write_text(json.dumps({"complete": False}))
    entry = TrainingSet(micrographs=str(tmp_path / "m"), labels=str(tmp_path / "l"), areas=str(tmp_path / "g"))
    from vitripick.images import Preparation

    data = load_training_data([entry], short, Preparation(working_diameter_px=16))
    complete = {sample.name: sample.complete for sample in [*data.training, *data.validation]}
    assert complete == {"a0.mrc": False, "a1.mrc": True, "a2.mrc": True}


@pytest.mark.parametrize("text", ["[]", '{"ignored": [[[1, 2]]]}', '{"ignored": [[[1, 2], [3, "x"], [5, 6]]]}', "{"])
def test_a_file_of_areas_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(FormatError, match=r"a\.json"):
        read_grounds(tmp_path, ["a.mrc"])


def found(confidence, x):
    x = np.array(x, dtype=np.float64)
    size = np.full(len(x), 10.0)
    return Detections(x=x, y=np.full(len(x), 30.0), width=size, height=size, confidence=np.array(confidence))


@pytest.fixture
def detections(monkeypatch):
    """Four particles, surest first; two of them are labelled."""
    monkeypatch.setattr(
        validation, "detect", lambda *arguments, **options: found([0.9, 0.8, 0.6, 0.2], [20.0, 40.0, 60.0, 80.0])
    )
    return np.array([[20, 30, 10, 10], [60, 30, 10, 10]], np.float32)


def test_incomplete_labels_set_the_threshold_by_recall(detections):
    image = np.zeros((60, 120), np.float32)
    incomplete = Sample("a", 0, image, detections, 10.0, np.ones_like(image), complete=False)
    # Nine of ten labels that are found at all are found at 0.6; what lies between them may well be particles.
    assert validate(None, [incomplete]).threshold == 0.6


def test_complete_micrographs_judge_alone_where_there_are_any(detections):
    image = np.zeros((60, 120), np.float32)
    complete = Sample("b", 0, image, np.array([[20, 30, 10, 10], [40, 30, 10, 10]], np.float32), 10.0)
    incomplete = Sample("a", 0, image, detections, 10.0, np.ones_like(image), complete=False)
    result = validate(None, [complete, incomplete])
    assert result.f1 == 1
    assert 0.6 < result.threshold <= 0.8


def test_in_an_ignored_area_nothing_is_counted(detections):
    image = np.zeros((60, 120), np.float32)
    weight = np.ones_like(image)
    weight[:, 30:50] = weight[:, 70:] = 0
    assert validate(None, [Sample("a", 0, image, detections, 10.0, weight)]).f1 == 1
