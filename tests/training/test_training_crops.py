import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitripick.models.run import fill_up
from vitripick.training import Augmentation, default_settings
from vitripick.training.contaminants import paint_contaminants, replace_by_noise
from vitripick.training.samples import Sample
from vitripick.training.training_crops import Crop, augment, draw_crop, draw_whole, stress_junk

SETTINGS = default_settings(crop_px=96)


def sample(n=12, shape=(200, 260)):
    """A dark Gaussian spot under every label, on nothing."""
    rng = np.random.default_rng(4)
    labels = np.column_stack([rng.uniform(30, (shape[1] - 30, shape[0] - 30), (n, 2)), np.full((n, 2), 16.0)])
    image = np.zeros(shape, np.float32)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    for x, y, *_ in labels:
        spot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 2.0**2))
        image = np.minimum(image, -spot.astype(np.float32))
    return Sample("spots.mrc", 0, image, labels.astype(np.float32), 16.0)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_labels_move_with_the_image_under_rotation_flip_and_scale(seed):
    crop = draw_crop(sample(), np.random.default_rng(seed), SETTINGS)
    for x, y, *_ in crop.labels:
        if 4 < x < 91 and 4 < y < 91:
            patch = cv2.getRectSubPix(crop.image, (3, 3), (float(x), float(y)))
            assert patch[1, 1] < -0.8


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_labels_move_with_a_whole_flipped_micrograph(seed):
    crop = draw_whole(sample(), np.random.default_rng(seed), SETTINGS, 32)
    assert crop.image.shape == crop.weight.shape == crop.junk.shape == (224, 288)
    assert len(crop.labels) == 12
    for x, y, *_ in crop.labels:
        assert crop.image[round(float(y)), round(float(x))] < -0.8


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_a_micrograph_moved_within_the_grid_takes_its_labels_along_and_teaches_nothing_of_what_it_left(seed):
    moved = SETTINGS.model_copy(update={"augmentation": Augmentation(shift_px=16)})
    still, crop = (draw_whole(sample(), np.random.default_rng(seed), one, 32) for one in (SETTINGS, moved))
    for x, y, *_ in crop.labels:
        assert crop.image[round(float(y)), round(float(x))] < -0.8
    shift = (crop.labels - still.labels)[:, :2]
    assert np.ptp(shift, axis=0) == pytest.approx([0, 0], abs=1e-3)
    assert np.abs(shift).max() <= 16
    # All that counts still counts, but for what has left the image.
    counts = still.weight.sum()
    assert counts - 24 * 260 <= crop.weight.sum() <= counts + 0.1


@pytest.mark.parametrize("shape", [(200, 260), (260, 200)])
@pytest.mark.parametrize("change", [lambda *a: paint_contaminants(*a, diameter_px=16), replace_by_noise])
def test_contaminants_and_noise_fill_micrographs_of_any_shape(shape, change):
    for seed in range(12):
        crop = draw_whole(sample(shape=shape), np.random.default_rng(seed), SETTINGS, 32)
        changed = change(crop, np.random.default_rng(seed))
        assert changed.image.shape == changed.weight.shape == changed.junk.shape == crop.image.shape
        assert np.isfinite(changed.image).all()


@pytest.mark.parametrize("shape", [(200, 260), (512, 410), (64, 64)])
def test_a_whole_micrograph_is_trained_in_the_shape_in_which_it_is_picked(shape):
    """What was filled up beyond that would lie where picking has image, and teach nothing there."""
    one = sample(shape=shape)
    crop = draw_whole(one, np.random.default_rng(0), SETTINGS, 32)
    assert crop.image.shape == fill_up(one.image, 32).shape


def test_a_moved_micrograph_lies_at_another_place_each_time():
    moved = SETTINGS.model_copy(update={"augmentation": Augmentation(shift_px=16)})
    places = {tuple(draw_whole(sample(), np.random.default_rng(i), moved, 32).labels[0, :2] % 1000) for i in range(20)}
    assert len(places) > 15


def test_in_the_border_band_of_a_whole_micrograph_what_is_not_labelled_counts_a_fifth_and_outside_nothing_does():
    one = sample()
    inner = dataclasses.replace(one, labels=one.labels[(one.labels[:, :2].min(axis=1) > 40)])
    crop = draw_whole(inner, np.random.default_rng(0), SETTINGS, 32)
    n_band = 200 * 260 - (200 - 16) * (260 - 16)
    assert crop.weight.sum() == pytest.approx((200 - 16) * (260 - 16) + 0.2 * n_band, rel=1e-4)
    at_border = dataclasses.replace(one, labels=np.array([[3, 100, 16, 16]], np.float32))
    x, y = (int(value) for value in draw_whole(at_border, np.random.default_rng(0), SETTINGS, 32).labels[0, :2])
    assert draw_whole(at_border, np.random.default_rng(0), SETTINGS, 32).weight[y, x] == 1


def test_in_the_border_band_nothing_counts_for_crops():
    larger = {"crop_px": 600, "augmentation": Augmentation(rotate=False, scale_jitter=0)}
    crop = draw_crop(sample(), np.random.default_rng(0), SETTINGS.model_copy(update=larger))
    assert crop.weight.sum() == (200 - 16) * (260 - 16)


def test_the_same_random_numbers_give_the_same_crop():
    a, b = (draw_crop(sample(), np.random.default_rng(7), SETTINGS) for _ in range(2))
    np.testing.assert_array_equal(a.image, b.image)


def test_augmentation_leaves_particles_where_they_are():
    crop = draw_whole(sample(), np.random.default_rng(0), SETTINGS, 32)
    strong = Augmentation(blur_chance=1, box_blur_chance=1, box_blur_px=3, noise_chance=1, dropout_chance=1)
    image = augment(crop.image, np.random.default_rng(1), strong)
    at = np.round(crop.labels[:, :2]).astype(int)
    assert image[at[:, 1], at[:, 0]].mean() < image.mean() - 2 * image.std()


def test_augmentation_switched_off_changes_nothing():
    off = Augmentation(blur_chance=0, noise_chance=0, dropout_chance=0, contrast_chance=0)
    image = sample().image
    np.testing.assert_array_equal(augment(image, np.random.default_rng(0), off), image)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_a_painted_contaminant_takes_labels_away_and_adds_none(seed):
    rng = np.random.default_rng(seed)
    crop = draw_crop(sample(), rng, SETTINGS)
    painted = paint_contaminants(crop, rng, diameter_px=16)
    before = {tuple(label) for label in crop.labels}
    assert {tuple(label) for label in painted.labels} <= before
    assert np.isfinite(painted.image).all()
    assert np.abs(painted.image).max() <= 5
    assert (painted.weight <= crop.weight).all()


def test_a_noise_crop_has_the_spectrum_of_its_micrograph_but_no_particle():
    crop = draw_whole(sample(), np.random.default_rng(0), SETTINGS, 32)
    noise = replace_by_noise(crop, np.random.default_rng(1))
    assert len(noise.labels) == 0
    assert noise.weight.min() == 1
    assert abs(noise.image.std() - 1) < 0.1
    # Spots are far below the mean; noise of the same spectrum is symmetric.
    assert abs(((noise.image - noise.image.mean()) ** 3).mean()) < 0.5


def test_bending_the_spectrum_keeps_the_contrast_and_changes_the_grain():
    rng = np.random.default_rng(0)
    image = rng.standard_normal((64, 64)).astype(np.float32)
    off = Augmentation(blur_chance=0, noise_chance=0, dropout_chance=0, contrast_chance=0)
    bent = augment(image, rng, off.model_copy(update={"spectrum_chance": 1.0, "spectrum_range": 3.0}))
    assert bent.std() == pytest.approx(image.std(), rel=1e-3)
    assert np.corrcoef(bent.ravel(), image.ravel())[0, 1] < 0.99


def test_where_a_contaminant_is_painted_the_ground_is_junk_and_far_from_it_as_before():
    for seed in range(12):
        rng = np.random.default_rng(seed)
        before = replace_by_noise(draw_crop(sample(), rng, SETTINGS), rng)
        after = paint_contaminants(before, rng, diameter_px=24)
        assert (before.junk == 0).all()
        assert (after.junk == 1).mean() > 0
        changed = np.abs(after.image - before.image) > 2
        # Fringes reach a little farther.
        assert (after.junk[changed] == 0).sum() <= 0.2 * changed.sum()


def test_no_junk_is_where_a_particle_is_labelled_and_elsewhere_nobody_knows():
    crop = draw_whole(sample(), np.random.default_rng(0), SETTINGS, 32)
    x, y = np.round(crop.labels[:, :2]).astype(int).T
    assert (crop.junk[y, x] == 0).all()
    assert (crop.junk == -1).mean() > 0.5


def test_junk_without_a_particle_counts_more_and_a_particle_on_junk_does_not():
    junk = np.zeros((40, 40), np.float32)
    junk[:20] = 1
    label = np.array([[20, 10, 8, 8]], np.float32)
    weight = np.full((40, 40), 0.5, np.float32)
    stressed = stress_junk(Crop(np.zeros((40, 40), np.float32), label, weight, junk), 4).weight
    assert stressed[2, 2] == 2
    assert stressed[10, 20] == stressed[30, 30] == 0.5
