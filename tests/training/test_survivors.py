"""Labels that survived a classification: their shifts and classes, and what the rejected ones teach."""

import dataclasses

import numpy as np
import pytest

from made import cryosparc_particles, discs, relion_particles
from vitripick.errors import FormatError, InputError
from vitripick.formats import write_mrc
from vitripick.geometry import Micrograph
from vitripick.images import Preparation
from vitripick.picking import pick
from vitripick.settings.train import TrainingSet
from vitripick.training import train
from vitripick.training.data import load_training_data
from vitripick.training.samples import Knowledge, Sample
from vitripick.training.training_crops import draw_crop, how_much_counts

# Discs span 20 px; at a working diameter of 20 px, working pixels are the micrograph's.
SAME_SCALE = Preparation(working_diameter_px=20)
PIXEL_SIZE = 4.0
OPTICS = {"rlnOpticsGroup": 1, "rlnOpticsGroupName": "one", "rlnImagePixelSize": 8.0}


@pytest.fixture
def micrographs(tmp_path):
    """Write two micrographs of discs, and return their boxes by RELION's names for them."""
    boxes = {}
    for seed in range(2):
        image, own = discs(seed, n=14)
        write_mrc(tmp_path / "micrographs" / f"disc{seed}.mrc", image, pixel_size=PIXEL_SIZE)
        boxes[f"MotionCorr/job002/disc{seed}.mrc"] = own
    return boxes


def rows_of(boxes, *, moved=(0.0, 0.0), which=slice(None), classes=1):
    """Return a RELION table of these particles: picked `moved` px off, with the shift in Å that leads back."""
    names, x, y = [], [], []
    for name, own in boxes.items():
        names += [name] * len(own[which])
        x += (own[which].x + moved[0]).tolist()
        y += (own[which].y + moved[1]).tolist()
    return {
        "rlnMicrographName": names,
        "rlnCoordinateX": x,
        "rlnCoordinateY": y,
        "rlnOpticsGroup": [1] * len(x),
        "rlnOriginXAngst": [moved[0] * PIXEL_SIZE] * len(x),
        "rlnOriginYAngst": [moved[1] * PIXEL_SIZE] * len(x),
        "rlnClassNumber": classes if isinstance(classes, list) else [classes] * len(x),
    }


def load(tmp_path, short, labels, **more):
    entry = TrainingSet(micrographs=str(tmp_path / "micrographs"), labels=str(labels), box_size_px=20, **more)
    data = load_training_data([entry], short, SAME_SCALE)
    return {sample.name: sample for sample in [*data.training, *data.validation]}


def test_labels_lie_where_the_refinement_found_the_particles(tmp_path, micrographs, short):
    labels = relion_particles(tmp_path / "p.star", rows_of(micrographs, moved=(6.0, -3.0)), optics=OPTICS)
    samples = load(tmp_path, short, labels)
    for name, boxes in micrographs.items():
        np.testing.assert_allclose(samples[name.rsplit("/", 1)[1]].labels[:, :2], boxes.centres, atol=0.01)


def test_labels_lie_where_they_were_picked_if_that_is_asked(tmp_path, micrographs, short):
    labels = relion_particles(tmp_path / "p.star", rows_of(micrographs, moved=(6.0, -3.0)), optics=OPTICS)
    samples = load(tmp_path, short, labels, keep_coordinates=True, keep_labels=True)
    picked = np.add(micrographs["MotionCorr/job002/disc0.mrc"].centres, (6, -3))
    np.testing.assert_allclose(samples["disc0.mrc"].labels[:, :2], picked, atol=0.01)


def test_a_pixel_size_that_is_given_goes_before_the_headers(tmp_path, micrographs, short):
    labels = relion_particles(tmp_path / "p.star", rows_of(micrographs, moved=(2.0, 0.0)), optics=OPTICS)
    samples = load(tmp_path, short, labels, pixel_size=2 * PIXEL_SIZE)
    halfway = np.add(micrographs["MotionCorr/job002/disc0.mrc"].centres, (1, 0))
    np.testing.assert_allclose(samples["disc0.mrc"].labels[:, :2], halfway, atol=0.01)


def test_only_the_wanted_classes_are_labels(tmp_path, micrographs, short):
    classes = [1 + k % 3 for k in range(28)]
    labels = relion_particles(tmp_path / "p.star", rows_of(micrographs, classes=classes), optics=OPTICS)
    samples = load(tmp_path, short, labels, classes="1,3")
    wanted = np.isin(classes[:14], (1, 3))
    np.testing.assert_allclose(
        samples["disc0.mrc"].labels[:, :2], micrographs["MotionCorr/job002/disc0.mrc"].centres[wanted], atol=0.01
    )


def test_a_micrograph_whose_particles_are_all_of_other_classes_is_not_taken_for_an_empty_one(
    tmp_path, micrographs, short
):
    labels = relion_particles(tmp_path / "p.star", rows_of(micrographs, classes=[1] * 14 + [2] * 14), optics=OPTICS)
    sample = load(tmp_path, short, labels, classes=(1,))["disc1.mrc"]
    assert (len(sample.labels), sample.knowledge.empty) == (0, False)


def test_a_class_that_nobody_is_in_is_an_error_that_names_the_others(tmp_path, micrographs, short):
    labels = relion_particles(tmp_path / "p.star", rows_of(micrographs, classes=4), optics=OPTICS)
    with pytest.raises(FormatError, match=r"no particle is in class 5; the classes with particles are 4"):
        load(tmp_path, short, labels, classes=(4, 5))


def test_classes_of_a_file_without_any_are_an_error(tmp_path, micrographs, short):
    columns = {name: values for name, values in rows_of(micrographs).items() if name != "rlnClassNumber"}
    labels = relion_particles(tmp_path / "p.star", columns, optics=OPTICS)
    with pytest.raises(FormatError, match="this file has no classes"):
        load(tmp_path, short, labels, classes=(1,))


def test_what_is_in_the_file_of_all_and_not_among_the_labels_is_rejected_where_it_was_picked(
    tmp_path, micrographs, short
):
    # The shift is more than half a diameter, so that only the place in the file says which particle is which.
    kept = rows_of(micrographs, moved=(12.0, 0.0), which=slice(0, 10))
    everything = rows_of(micrographs, moved=(12.0, 0.0))
    labels = relion_particles(tmp_path / "kept.star", kept, optics=OPTICS)
    rejected = relion_particles(tmp_path / "all.star", everything, optics=OPTICS)
    sample = load(tmp_path, short, labels, rejected=str(rejected))["disc0.mrc"]
    own = micrographs["MotionCorr/job002/disc0.mrc"]
    np.testing.assert_allclose(sample.labels[:, :2], own.centres[:10], atol=0.01)
    np.testing.assert_allclose(sample.knowledge.rejected, np.add(own.centres[10:], (12, 0)), atol=0.01)


def test_a_file_of_rejected_particles_alone_does_as_well(tmp_path, micrographs, short):
    labels = relion_particles(tmp_path / "kept.star", rows_of(micrographs, which=slice(0, 10)), optics=OPTICS)
    rejected = relion_particles(tmp_path / "bad.star", rows_of(micrographs, which=slice(10, None)), optics=OPTICS)
    sample = load(tmp_path, short, labels, rejected=str(rejected))["disc0.mrc"]
    assert len(sample.knowledge.rejected) == 4


def test_the_same_file_with_classes_gives_both(tmp_path, micrographs, short):
    classes = [1] * 10 + [2] * 4 + [1] * 9 + [2] * 5
    labels = relion_particles(tmp_path / "run_data.star", rows_of(micrographs, classes=classes), optics=OPTICS)
    samples = load(tmp_path, short, labels, rejected=str(labels), classes="1")
    assert [len(samples[f"disc{k}.mrc"].knowledge.rejected) for k in range(2)] == [4, 5]


def test_a_particle_that_was_picked_twice_is_not_taught_as_none(tmp_path, micrographs, short, caplog):
    twice = {name: dataclasses.replace(boxes, x=boxes.x + 4) for name, boxes in micrographs.items()}
    labels = relion_particles(tmp_path / "kept.star", rows_of(micrographs, which=slice(0, 10)), optics=OPTICS)
    rejected = relion_particles(tmp_path / "bad.star", rows_of(twice, which=slice(8, None)), optics=OPTICS)
    sample = load(tmp_path, short, labels, rejected=str(rejected))["disc0.mrc"]
    assert len(sample.knowledge.rejected) == 4
    assert "4 rejected particles lie within half a diameter of a label" in caplog.text


def test_where_nothing_was_rejected_training_says_so(tmp_path, micrographs, short):
    labels = relion_particles(tmp_path / "kept.star", rows_of(micrographs), optics=OPTICS)
    with pytest.raises(InputError, match="all of them are among the labels"):
        load(tmp_path, short, labels, rejected=str(labels))


def test_rejected_particles_of_micrographs_without_labels_are_counted_and_left_out(
    tmp_path, micrographs, short, caplog
):
    first = dict(list(micrographs.items())[:1])
    labels = relion_particles(tmp_path / "kept.star", rows_of(first, which=slice(0, 10)), optics=OPTICS)
    rejected = relion_particles(tmp_path / "all.star", rows_of(micrographs), optics=OPTICS)
    samples = load(tmp_path, short, labels, rejected=str(rejected))
    assert set(samples) == {"disc0.mrc"}
    assert "1 micrographs here have no labels, such as MotionCorr/job002/disc1.mrc" in caplog.text


def test_cryosparcs_selected_and_excluded_particles_train(tmp_path, micrographs, short):
    def fields(which):
        names = [name for name, boxes in micrographs.items() for _ in boxes[which].x]
        centres = np.concatenate([boxes[which].centres for boxes in micrographs.values()])
        n = len(names)
        return {
            "uid": np.arange(n, dtype=np.uint64) + 1,
            "location/micrograph_path": names,
            "location/micrograph_shape": np.array([[160, 192]] * n, np.uint32),
            "location/center_x_frac": ((centres[:, 0] + 3) / 192).astype(np.float32),
            "location/center_y_frac": (centres[:, 1] / 160).astype(np.float32),
            # 1.5 px of 8 Å are 3 px of the micrographs, which say in their headers that theirs have 4 Å.
            "alignments2D/shift": np.array([[1.5, 0]] * n, np.float32),
            "alignments2D/psize_A": np.full(n, 8, np.float32),
            "alignments2D/class": np.zeros(n, np.uint32),
        }

    labels = cryosparc_particles(tmp_path / "selected.cs", fields(slice(0, 10)))
    rejected = cryosparc_particles(tmp_path / "excluded.cs", fields(slice(10, None)))
    sample = load(tmp_path, short, labels, rejected=str(rejected))["disc0.mrc"]
    own = micrographs["MotionCorr/job002/disc0.mrc"]
    np.testing.assert_allclose(sample.labels[:, :2], own.centres[:10], atol=0.01)
    np.testing.assert_allclose(sample.knowledge.rejected, np.add(own.centres[10:], (3, 0)), atol=0.01)


def rejecting(labels, rejected, **known):
    image = np.zeros((100, 200), np.float32)
    knowledge = Knowledge(rejected=np.array(rejected, np.float32).reshape(-1, 2), **known)
    return Sample("a", 0, image, np.array(labels, np.float32).reshape(-1, 4), 10.0, knowledge)


def test_a_rejected_place_counts_more_than_ground_but_never_over_a_label():
    counts = how_much_counts(rejecting([[50, 50, 10, 10]], [[57, 50], [150, 50]]), 4.0)
    assert (counts[50, 150], counts[50, 50], counts[50, 53], counts[50, 100]) == (4, 1, 1, 1)
    assert counts[50, 60] == 4


def test_half_of_the_crops_at_known_places_show_rejected_ones_however_many_these_are(short):
    rejected = [[x, y] for x in range(120, 200, 8) for y in range(4, 100, 8)]
    sample = rejecting([[20, 50, 10, 10]], rejected)
    settings = short.model_copy(
        update={
            "crop_px": 12,
            "label_centred_share": 1.0,
            "augmentation": short.augmentation.model_copy(update={"rotate": False, "scale_jitter": 0.0}),
        }
    )
    rng = np.random.default_rng(1)
    with_label = sum(bool(len(draw_crop(sample, rng, settings).labels)) for _ in range(200))
    assert 80 <= with_label <= 120


def test_rejected_discs_are_less_sure_after_training_than_without(tmp_path, micrographs, short):
    """Half of the discs are lighter inside, which a person would call another particle."""
    images = {}
    for number, (name, own) in enumerate(micrographs.items()):
        image, _ = discs(number, n=14)
        rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
        for x, y in own.centres[7:]:
            image += 0.8 * (np.hypot(columns - x, rows - y) < 5)
        images[name] = image
        write_mrc(tmp_path / "micrographs" / name.rsplit("/", 1)[1], image, pixel_size=PIXEL_SIZE)
    labels = relion_particles(tmp_path / "kept.star", rows_of(micrographs, which=slice(0, 7)), optics=OPTICS)
    rejected = relion_particles(tmp_path / "all.star", rows_of(micrographs), optics=OPTICS)
    settings = short.model_copy(update={"steps": 60, "steps_per_epoch": 60, "batch_size": 8, "unlabelled": "lighter"})
    confidence = {}
    for which, more in (("without", {}), ("with", {"rejected": str(rejected)})):
        entry = TrainingSet(micrographs=str(tmp_path / "micrographs"), labels=str(labels), box_size_px=20, **more)
        model = train(entry, tmp_path / which, settings=settings, device="cpu").model
        name = next(iter(images))
        picks = pick(Micrograph(images[name], pixel_size=PIXEL_SIZE), model, diameter_px=20, threshold=0)
        at = [
            picks.confidence[np.hypot(*(picks.centres - place).T) < 8].max(initial=0)
            for place in micrographs[name].centres
        ]
        confidence[which] = np.mean(at[:7]), np.mean(at[7:])
    assert confidence["with"][1] < 0.5 * confidence["without"][1]
    assert confidence["with"][0] > 0.5 * confidence["without"][0]
