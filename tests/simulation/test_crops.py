"""Training samples in memory."""

import itertools

import numpy as np
import pytest

from vitripick.simulation import load_scene_recipe, simulate_crops


def take(n, molecules, **more):
    settings = {"working_diameter_px": 24, "crop_px": 128} | more
    return list(itertools.islice(simulate_crops(load_scene_recipe("general"), molecules, **settings), n))


def test_crops_are_ready_to_train_on(trpv3, apoferritin):
    for crop in take(12, [trpv3, apoferritin], seed=2):
        assert crop.image.shape == (128, 128)
        assert crop.image.dtype == crop.labels.dtype == np.float32
        assert abs(float(np.median(crop.image))) < 1.0
        assert np.abs(crop.image).max() <= 5
        assert ((crop.labels[:, :2] >= 0) & (crop.labels[:, :2] <= 127)).all()


def test_the_particle_has_the_working_diameter(apoferritin):
    for crop in take(5, [apoferritin]):
        assert crop.pixel_size == pytest.approx(apoferritin.diameter_angstrom / 24)
        # Boxes are 1.15 of the projection, which for a ball is its diameter.
        assert np.allclose(crop.labels[:, 2], 1.15 * 24, rtol=0.1)


def test_the_scale_varies_within_its_jitter(apoferritin):
    sizes = [apoferritin.diameter_angstrom / c.pixel_size for c in take(30, [apoferritin], scale_jitter=0.25)]
    assert 24 / 1.25 <= min(sizes) < 21
    assert 27 < max(sizes) <= 24 * 1.25


def test_workers_share_one_stream(trpv3, apoferritin):
    molecules = [trpv3, apoferritin]
    alone = take(6, molecules, seed=5)
    odd = take(3, molecules, seed=5, first=1, step=2)
    for mine, theirs in zip(alone[1::2], odd, strict=True):
        np.testing.assert_array_equal(mine.image, theirs.image)


def test_every_molecule_gets_its_turn(trpv3, apoferritin):
    assert {crop.structure for crop in take(12, [trpv3, apoferritin])} == {"trpv3", "apoferritin"}
