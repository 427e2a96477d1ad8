import numpy as np
import pytest

from vitripick.images import normalise_locally


def noise(shape=(300, 400)):
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


def test_an_intensity_scale_does_not_matter():
    image = noise()
    np.testing.assert_allclose(
        normalise_locally(image, sigma_px=40), normalise_locally(image * 37 + 1000, sigma_px=40), atol=2e-3
    )


def test_an_ice_gradient_is_evened_out():
    gradient = np.linspace(0, 30, 400, dtype=np.float32)[None, :]
    result = normalise_locally(noise() + gradient, sigma_px=30)
    means = result[:, 20:-20].mean(axis=0).reshape(-1, 40).mean(axis=1)
    assert np.abs(means).max() < 0.25


def test_a_dark_corner_neither_glows_nor_hides_particles_beside_it():
    rows, columns = np.mgrid[:300, :400]
    image = noise()
    corner = np.hypot(rows, columns) < 120
    image[corner] = image[corner] * 0.05 - 60
    image[200:216, 300:316] -= 2
    result = normalise_locally(image, sigma_px=30)
    assert result[corner].std() < 0.7
    assert result[200:216, 300:316].mean() < -1.2
    assert 0.8 < result[150:290, 20:200].std() < 1.2


def test_an_ice_crystal_leaves_no_halo():
    image = noise()
    image[140:160, 190:210] -= 25
    ring = np.zeros(image.shape, bool)
    ring[120:180, 170:230] = True
    ring[135:165, 185:215] = False
    assert abs(normalise_locally(image, sigma_px=30)[ring].mean()) < 0.15


@pytest.mark.parametrize("value", [0.0, -7.5, 1e6])
def test_a_constant_image_becomes_zeros_and_no_division_by_zero(value):
    result = normalise_locally(np.full((50, 60), value, np.float32), sigma_px=10)
    assert not result.any()


def test_a_few_bright_pixels_on_a_constant_image_are_finite():
    image = np.zeros((64, 64), np.float32)
    image[3, 4] = 1000
    assert np.isfinite(normalise_locally(image, sigma_px=10)).all()
