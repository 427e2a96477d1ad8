import dataclasses

import numpy as np
import pytest
import torch

from vitripick.models import build_detector
from vitripick.training import default_settings
from vitripick.training.batches import Batches
from vitripick.training.samples import Sample

SETTINGS = default_settings(batch_size=3, crop_px=64)


def samples(*shapes):
    rng = np.random.default_rng(0)
    return [
        Sample(
            f"m{i}.mrc",
            0,
            rng.standard_normal(shape, dtype=np.float32),
            np.column_stack([rng.uniform(20, 80, (6, 2)), np.full((6, 2), 16.0)]).astype(np.float32),
            16.0,
        )
        for i, shape in enumerate(shapes)
    ]


@pytest.fixture(scope="module")
def detector():
    return build_detector("heatmap", {"width": 16})


def drawn(batches, first, last):
    return list(batches.epoch(first, last))


def assert_same(a, b):
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        for field in ("images", "targets", "weight"):
            assert torch.equal(getattr(one, field), getattr(other, field)), field


def test_how_many_processes_draw_changes_no_batch(detector):
    data = samples((120, 140), (140, 120))
    alone = drawn(Batches(detector, data, SETTINGS), 0, 4)
    for n_workers in (1, 2):
        assert_same(alone, drawn(Batches(detector, data, SETTINGS, n_workers=n_workers), 0, 4))


def test_how_many_threads_draw_whole_micrographs_changes_no_batch_and_no_order():
    whole, settings = build_detector("yolo"), default_settings("yolo", batch_size=2)
    data = samples((120, 140), (140, 120))
    alone = drawn(Batches(whole, data, settings), 3, 9)
    assert len(alone) == 6
    for n_workers in (1, 2, 8):
        assert_same(alone, drawn(Batches(whole, data, settings, n_workers=n_workers), 3, 9))


def test_an_epoch_begun_in_the_middle_goes_on_as_it_would_have(detector):
    batches = Batches(detector, samples((120, 140)), SETTINGS)
    assert_same(drawn(batches, 0, 4)[2:], drawn(batches, 2, 4))


def test_two_training_processes_draw_the_halves_of_the_double_batch(detector):
    data = samples((120, 140), (140, 120))
    double = SETTINGS.model_copy(update={"batch_size": 6})
    (whole,) = drawn(Batches(detector, data, double), 5, 6)
    halves = [drawn(Batches(detector, data, SETTINGS, rank=rank), 5, 6)[0] for rank in (0, 1)]
    assert torch.equal(whole.images, torch.cat([half.images for half in halves]))
    assert torch.equal(whole.targets, torch.cat([half.targets for half in halves]))


def test_workers_see_samples_that_were_replaced_between_epochs(detector):
    data = samples((120, 140))
    batches = Batches(detector, data, SETTINGS, n_workers=2)
    assert drawn(batches, 0, 1)[0].targets[:, 0].max() == 1
    batches.replace_samples([dataclasses.replace(one, labels=one.labels[:0]) for one in data])
    assert drawn(batches, 1, 2)[0].targets[:, 0].max() == 0


def test_whole_micrographs_of_several_sizes_share_a_batch_and_the_padding_does_not_count():
    whole = build_detector("yolo")
    data = [dataclasses.replace(one, set_index=i) for i, one in enumerate(samples((90, 90), (60, 40)))]
    paper = default_settings("yolo", batch_size=6)
    settings = paper.model_copy(update={"augmentation": paper.augmentation.model_copy(update={"shift_px": 0})})
    (batch,) = drawn(Batches(whole, data, settings), 0, 1)
    assert batch.images.shape == (6, 1, 96, 96)
    # What lies outside of a micrograph has no weight; its border band, where no one labelled, a fifth.
    counted = {int((weight > 0).sum()) for weight in batch.weight}
    assert counted == {90 * 90, 60 * 40}


def test_a_batch_of_wide_micrographs_is_no_square():
    settings = default_settings("yolo", batch_size=2)
    (batch,) = drawn(Batches(build_detector("yolo"), samples((60, 90), (60, 90)), settings), 0, 1)
    assert batch.images.shape == (2, 1, 64, 96)
    assert batch.weight.shape == batch.images.shape


def test_a_set_of_three_times_the_weight_is_drawn_three_times_as_often(detector):
    plain, rich = samples((120, 140), (120, 140))
    # The labels show what is drawn: only the second set has any.
    plain = dataclasses.replace(plain, labels=plain.labels[:0])
    rich = dataclasses.replace(rich, set_index=1, set_weight=3.0)
    quiet = SETTINGS.augmentation.model_copy(update={"noise_only_chance": 0.0, "contaminant_chance": 0.0})
    settings = SETTINGS.model_copy(update={"batch_size": 40, "augmentation": quiet, "label_centred_share": 1.0})
    counts = [
        int((batch.targets[:, 0].flatten(1).amax(1) > 0.5).sum())
        for batch in drawn(Batches(detector, [plain, rich], settings), 0, 4)
    ]
    assert 0.65 < sum(counts) / 160 < 0.85


def test_a_detector_that_learns_junk_is_told_of_it_and_another_is_not(detector):
    (sample,) = samples((120, 140))
    sample = sample.knowing(junk=np.ones(sample.image.shape, bool))
    quiet = SETTINGS.augmentation.model_copy(update={"noise_only_chance": 0.0, "contaminant_chance": 0.0})
    settings = SETTINGS.model_copy(update={"augmentation": quiet})
    learns = build_detector("heatmap", {"width": 16, "junk": True})
    (batch,) = drawn(Batches(learns, [sample], settings), 0, 1)
    assert (batch.targets[:, 5] == 1).any()
    (batch,) = drawn(Batches(detector, [sample], settings), 0, 1)
    assert (batch.targets[:, 5] == -1).all()


def test_workers_live_from_one_epoch_to_the_next_and_draw_what_new_ones_would(detector):
    data = samples((120, 140))
    batches = Batches(detector, data, SETTINGS, n_workers=2)
    drawn(batches, 0, 2)
    before = {worker.pid for worker in batches._loader._iterator._workers}
    second = drawn(batches, 2, 5)
    assert {worker.pid for worker in batches._loader._iterator._workers} == before
    assert_same(drawn(Batches(detector, data, SETTINGS), 2, 5), second)
