"""The denoiser comes nearer to the clean image than a low-pass, and makes no particles of empty ice."""

import cv2
import numpy as np
import pytest

from vitripick.models import denoiser
from vitripick.models.denoiser import denoise, standardised
from vitripick.simulation import bundled_structures, load_scene_recipe, read_structure, simulate_micrograph


def simulated(recipe, seed, *changes):
    """A micrograph of a seed that no training took, at about 6 Å a pixel."""
    scene = load_scene_recipe(recipe, changes=("exposure.eight_bit_chance=0", "exposure.jpeg_chance=0", *changes))
    structure = read_structure(bundled_structures()["apoferritin"])
    rng = np.random.default_rng([77, seed])
    return simulate_micrograph(
        scene, [structure], rng, shape=(256, 256), pixel_size=6.0, structure=structure, with_clean=True
    )


def error(image, clean):
    return float(((standardised_with(clean, image) - standardised_with(clean, clean)) ** 2).mean())


def standardised_with(reference, image):
    return (image - cv2.GaussianBlur(image, (0, 0), 40)) / reference.std()


def test_it_comes_nearer_to_the_clean_image_than_the_best_low_pass():
    denoised, low_passed = [], []
    for seed in range(6):
        one = simulated("general", seed, "contamination.chance=0")
        blurs = (cv2.GaussianBlur(one.image, (0, 0), sigma) for sigma in (0.7, 1, 1.5, 2, 3, 4.5, 7))
        low_passed.append(min(error(blurred, one.clean) for blurred in blurs))
        denoised.append(error(denoise(one.image, pixel_size=6.0), one.clean))
    assert np.mean(np.sqrt(denoised)) < 0.9 * np.mean(np.sqrt(low_passed))


def test_empty_ice_stays_calm():
    empty = [simulated("empty", seed, "contamination.chance=0").image for seed in range(3)]
    full = [simulated("general", seed, "contamination.chance=0", "exposure.contrast=0.8").image for seed in range(3)]
    calm, lively = (
        np.mean([np.std(standardised(denoise(i, pixel_size=6.0))[0] * spread_of(i)) for i in images])
        for images in (empty, full)
    )
    assert calm < 0.5 * lively


def spread_of(image):
    """How much of the noise is left, as a share of it."""
    return standardised(denoise(image, pixel_size=6.0))[2] / standardised(image)[2]


@pytest.mark.parametrize("shape", [(5, 7), (1, 40), (130, 90)])
@pytest.mark.parametrize("pixel_size", [None, 0.8, 6.0, 20.0])
def test_shape_and_grey_scale_stay(shape, pixel_size):
    image = (1000 + 30 * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)
    found = denoise(image, pixel_size=pixel_size)
    assert found.shape == shape
    assert found.dtype == np.float32
    assert abs(found.mean() - 1000) < 30


def test_a_flat_image_and_one_without_numbers_stay_flat():
    assert np.allclose(denoise(np.full((64, 64), 7, np.float32), pixel_size=6.0), 7, atol=0.5)
    assert np.isfinite(denoise(np.full((64, 64), np.nan, np.float32), pixel_size=6.0)).all()


def test_tiles_leave_no_seam(monkeypatch):
    image = np.random.default_rng(0).standard_normal((300, 280)).astype(np.float32)
    whole = denoise(image, pixel_size=6.0)
    monkeypatch.setattr(denoiser, "_TILE", 128)
    assert np.abs(denoise(image, pixel_size=6.0) - whole).max() < 1e-4
