"""What is taught between labels: all of it where labels are complete, little where they are not, nothing in ignored
areas."""

import json

import numpy as np
import pytest

from vitripick.errors import FormatError, InputError
from vitripick.formats import write_mrc, write_picks
from vitripick.geometry import Boxes
from vitripick.images import Preparation, Prepared
from vitripick.models.detections import Detections
from vitripick.training import TrainingSet, default_settings, unlabelled
from vitripick.training import validate as validation
from vitripick.training.areas import Areas, ignored_pixels, read_areas, read_ignored
from vitripick.training.data import _cut_strip, load_training_data
from vitripick.training.samples import Knowledge, Sample
from vitripick.training.training_crops import how_much_counts
from vitripick.training.unlabelled import at_the_start
from vitripick.training.validate import validate

HALF = Prepared(np.zeros((50, 80), np.float32), (100, 160))  # working pixels are two of the micrograph's
LABELS = np.array([[30, 20, 10, 10]], np.float32)


def sample(**known):
    return Sample("a", 0, np.zeros((50, 80), np.float32), LABELS, 10.0, Knowledge(**known))


def taught(one, unlabelled="lighter"):
    return how_much_counts(at_the_start([one], default_settings(unlabelled=unlabelled))[0])


def test_areas_of_a_folder_that_is_not_there_are_no_areas_of_nothing(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        read_areas(tmp_path / "nowhere", ["a.mrc"])


def test_areas_of_no_micrograph_are_named(tmp_path, caplog):
    (tmp_path / "b.json").write_text("{}")
    assert read_areas(tmp_path, ["a.mrc"]) == {}
    assert "b.json: areas of no labelled micrograph" in caplog.text


def test_where_labels_are_complete_everything_teaches_in_full():
    assert (taught(sample(complete=True)) == 1).all()


def test_where_they_are_not_unlabelled_ground_teaches_little():
    weight = taught(sample(complete=False))
    assert weight[20, 30] == 1
    assert weight[45, 70] == np.float32(0.2)


def test_a_rejected_place_is_known_to_be_no_particle():
    weight = taught(sample(complete=False, rejected=np.array([[60, 40]], np.float32)))
    assert weight[40, 60] == 1


def test_in_an_ignored_area_nothing_teaches():
    square = np.array([[0.0, 0.0], [39.0, 0.0], [39.0, 39.0], [0.0, 39.0]])
    weight = taught(sample(ignored=ignored_pixels(Areas(ignored=(square,)), HALF)))
    assert weight[10, 10] == 0
    assert weight[20, 30] == 1


def test_in_a_border_without_an_image_nothing_teaches(tmp_path, short):
    """As alignment leaves it: smeared outwards."""
    image = np.random.default_rng(0).standard_normal((120, 140)).astype(np.float32)
    write_mrc(tmp_path / "m" / "a.mrc", np.pad(image, ((12, 0), (0, 0)), mode="edge"), pixel_size=4.0)
    write_picks(Boxes.at([40.0, 100.0], [50.0, 80.0], size_px=20), tmp_path / "l" / "a.csv")
    entry = TrainingSet(micrographs=str(tmp_path / "m"), labels=str(tmp_path / "l"))
    one = load_training_data([entry], short, Preparation(working_diameter_px=20)).training[0]
    assert one.knowledge.ignored[:12].all()
    assert not one.knowledge.ignored[12:].any()
    assert (how_much_counts(one)[:12] == 0).all()


def test_a_pick_at_a_rejected_place_is_never_taught_as_a_particle(monkeypatch):
    found = Boxes.at([30, 60], [20, 40], size_px=10, confidence=[0.9, 0.9])
    monkeypatch.setattr(unlabelled, "find_particles", lambda detector, sample: found)
    settings = default_settings(unlabelled="teach")
    (one,) = unlabelled.reconsider([sample(complete=False)], None, settings)
    assert len(one.labels) == 2
    (one,) = unlabelled.reconsider([sample(complete=False, rejected=np.array([[60, 40]], np.float32))], None, settings)
    assert len(one.labels) == 1


def test_a_strip_carries_what_is_ignored_to_where_it_belongs():
    ignored = np.zeros((50, 80), bool)
    ignored[10:20, 70:75] = True
    _, right = _cut_strip(sample(ignored=ignored, rejected=np.array([[70, 9]], np.float32)), 0.25)
    assert right.knowledge.ignored[10:20, 10:15].all()
    assert right.knowledge.ignored.sum() == 50
    assert right.knowledge.rejected.tolist() == [[10, 9]]


def test_areas_are_read_beside_the_labels(tmp_path, short):
    rng = np.random.default_rng(0)
    for i in range(3):
        write_mrc(tmp_path / "m" / f"a{i}.mrc", rng.standard_normal((90, 90)).astype(np.float32))
        write_picks(Boxes.at([40], [40], size_px=20), tmp_path / "l" / f"a{i}.csv")
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "a0.json").write_text(json.dumps({"complete": False}))
    entry = TrainingSet(micrographs=str(tmp_path / "m"), labels=str(tmp_path / "l"), areas=str(tmp_path / "g"))
    data = load_training_data([entry], short, Preparation(working_diameter_px=16))
    complete = {sample.name: sample.knowledge.complete for sample in [*data.training, *data.validation]}
    assert complete == {"a0.mrc": False, "a1.mrc": None, "a2.mrc": None}


@pytest.mark.parametrize("text", ["[]", '{"ignored": [[[1, 2]]]}', '{"ignored": [[[1, 2], [3, "x"], [5, 6]]]}', "{"])
def test_a_file_of_areas_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(FormatError, match=r"a\.json"):
        read_areas(tmp_path, ["a.mrc"])


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


def test_complete_micrographs_judge_alone_where_there_are_any(detections):
    image = np.zeros((60, 120), np.float32)
    places = np.array([[20, 30, 10, 10], [40, 30, 10, 10]], np.float32)
    complete = Sample("b", 0, image, places, 10.0, Knowledge(complete=True))
    incomplete = Sample("a", 0, image, detections, 10.0, Knowledge(complete=False))
    result = validate(None, [complete, incomplete])
    assert result.n_labels == 2
    assert 0.2 < result.threshold <= 0.8


def test_in_an_ignored_area_nothing_is_counted(detections):
    image = np.zeros((60, 120), np.float32)
    ignored = np.zeros(image.shape, bool)
    ignored[:, 30:50] = ignored[:, 70:] = True
    assert validate(None, [Sample("a", 0, image, detections, 10.0, Knowledge(ignored=ignored))]).f1 == 1


def test_a_box_to_ignore_is_as_large_as_a_particle_where_it_has_no_size(tmp_path):
    write_picks(Boxes.at([10, 50], [10, 50], size_px=[np.nan, np.nan]), tmp_path / "a.csv")
    boxes = read_ignored(tmp_path, ["a.mrc"], diameter_px=8)["a.mrc"]
    (first, _) = Areas().with_ignored(boxes).ignored
    assert first.min(axis=0).tolist() == [6, 6]
    assert first.max(axis=0).tolist() == [14, 14]


def test_boxes_to_ignore_of_no_micrograph_are_named(tmp_path, caplog):
    write_picks(Boxes.at([10], [10], size_px=5), tmp_path / "b.csv")
    assert read_ignored(tmp_path, ["a.mrc"], diameter_px=8) == {}
    assert "b" in caplog.text


def test_in_a_box_to_ignore_nothing_teaches_and_the_labels_beside_it_do(tmp_path, short):
    rng = np.random.default_rng(0)
    for i in range(2):
        write_mrc(tmp_path / "m" / f"a{i}.mrc", rng.standard_normal((90, 90)).astype(np.float32))
        write_picks(Boxes.at([40], [40], size_px=20), tmp_path / "l" / f"a{i}.csv")
    write_picks(Boxes.at([70], [70], size_px=16), tmp_path / "g" / "a0.csv")
    folders = {"micrographs": str(tmp_path / "m"), "labels": str(tmp_path / "l"), "ignored": str(tmp_path / "g")}
    entry = TrainingSet(**folders, validate_on=("a1",))
    (one,) = load_training_data([entry], short, Preparation(working_diameter_px=20)).training
    weight = how_much_counts(one)
    assert weight[70, 70] == 0
    assert weight[40, 40] == weight[70, 50] == 1
