"""What the bundled model does on the bundled real micrographs; it saw none of them in training."""

from pathlib import Path

import pytest

from vitripick.evaluation import evaluate
from vitripick.formats import find_micrographs, pair_labels, read_all_picks, read_micrograph
from vitripick.models import TorchModel, load_weights
from vitripick.models.run import for_inference
from vitripick.picking import pick, pick_blobs

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def model():
    bundle = load_weights("general")
    return TorchModel(for_inference(bundle.detector), bundle.card, bundle.sha256)


def micrographs_and_labels(name):
    files = {file.name: file for file in find_micrographs([EXAMPLES / name / "micrographs"])}
    labels = pair_labels(list(files), read_all_picks(EXAMPLES / name / "labels")).pairs
    return {key: read_micrograph(file.path, name=key) for key, file in files.items()}, labels


def judged(name, diameter_px, picker, threshold):
    micrographs, labels = micrographs_and_labels(name)
    picks = {key: picker(micrograph) for key, micrograph in micrographs.items()}
    return evaluate(picks, labels, diameter_px=diameter_px, threshold=threshold, n_bootstrap=0, chance_level=False)


@pytest.mark.parametrize(
    ("name", "diameter_px", "least_f1", "least_auc"),
    [("apoferritin", 80, 0.93, 0.92), ("betagal", 27, 0.83, 0.80), ("betagal_full_size", 108, 0.80, 0.75)],
)
def test_particles_are_found_far_better_than_by_a_blob_detector(model, name, diameter_px, least_f1, least_auc):
    ours = judged(
        name, diameter_px, lambda m: pick(m, model, diameter_px=diameter_px, threshold=0), model.card.threshold
    )
    assert ours.criteria["distance"].default.f1 >= least_f1
    assert ours.auc >= least_auc
    assert ours.n_duplicates == 0
    blobs = judged(name, diameter_px, lambda m: pick_blobs(m, diameter_px=diameter_px), 0)
    assert ours.auc > blobs.auc + 0.1


def test_a_jpg_is_read_with_its_last_row_first_and_the_labels_agree(model):
    """A slip of the y direction is the field's most common fault: it would more than halve F1."""
    micrographs, labels = micrographs_and_labels("betagal_full_size")
    ((name, micrograph),) = micrographs.items()
    picks = pick(micrograph, model, diameter_px=108)
    right = evaluate(picks, labels[name], n_bootstrap=0, chance_level=False)
    slipped = evaluate(picks, labels[name].flipped(micrograph.shape[0]), n_bootstrap=0, chance_level=False)
    assert right.criteria["distance"].default.f1 > 0.8
    assert slipped.criteria["distance"].default.f1 < 0.4


@pytest.mark.parametrize("diameter_px", [16, 24, 48])
def test_of_next_to_nothing_the_model_is_sure_where_there_is_no_particle(model, diameter_px):
    """At the default threshold there are some false picks (docs/benchmarks/general.md), none of them sure."""
    ((_, micrograph),) = micrographs_and_labels("empty")[0].items()
    assert len(pick(micrograph, model, diameter_px=diameter_px)) <= 0.06 * micrograph.image.size / diameter_px**2
    assert len(pick(micrograph, model, diameter_px=diameter_px, threshold=0.8)) == 0


def test_the_bundled_micrographs_were_not_trained_on(model):
    trainings = [model.card.training, model.card.training["started_from"]["training"]]
    used = {
        Path(name).stem
        for training in trainings
        for split in training["split"]
        for name in [*split["train"], *split.get("validate", [])]
    }
    assert "May08_03.13.02" in used
    bundled = {path.stem for path in EXAMPLES.rglob("micrographs/*")}
    assert len(bundled) == 6
    assert not used & bundled


def test_the_bundled_micrographs_stay_small():
    assert sum(path.stat().st_size for path in EXAMPLES.rglob("micrographs/*")) <= 8e6
