"""Dose, camera, file."""

import numpy as np
import pytest

from vitripick.simulation.exposure import Camera, History, expose, illumination, pass_through, transfer_curve


@pytest.mark.parametrize("dose_per_pixel", [20.0, 160.0, 2000.0])
def test_counts_vary_as_poisson_says(dose_per_pixel):
    counts = expose(
        np.full((400, 400), 0.7, np.float32), np.random.default_rng(1), dose_per_pixel=dose_per_pixel, pixel_size=2.0
    )
    assert counts.mean() == pytest.approx(0.7 * dose_per_pixel, rel=0.01)
    assert counts.var() == pytest.approx(0.7 * dose_per_pixel, rel=0.02)


def test_ten_times_the_dose_has_a_tenth_of_the_relative_variance():
    flat = np.ones((400, 400), np.float32)
    few, many = (
        expose(flat, np.random.default_rng(2), dose_per_pixel=d, pixel_size=2.0, detector=Camera()) for d in (40, 400)
    )
    assert (few / few.mean()).var() == pytest.approx(10 * (many / many.mean()).var(), rel=0.05)


def test_the_transfer_at_nyquist_is_the_one_asked_for():
    for value in (0.1, 0.5, 0.63):
        curve = transfer_curve(np.array([[0.0, 1.0]], np.float32), value)
        np.testing.assert_allclose(curve, [[1.0, value]], atol=0.01)


def test_a_camera_dims_fine_stripes_by_its_transfer():
    x = np.arange(256)
    stripes = np.tile(1 + 0.5 * np.cos(np.pi * x), (256, 1)).astype(np.float32)  # at Nyquist
    detector = Camera(pixel_size=2.0, mtf_nyquist=0.3, noise_nyquist=1.0)
    counts = expose(stripes, np.random.default_rng(3), dose_per_pixel=5000, pixel_size=2.0, detector=detector)
    amplitude = (counts[:, ::2].mean() - counts[:, 1::2].mean()) / counts.mean() / 2
    assert amplitude == pytest.approx(0.5 * 0.3, rel=0.05)


def test_noise_that_the_camera_spreads_is_not_white():
    flat = np.ones((256, 256), np.float32)
    detector = Camera(pixel_size=2.0, noise_nyquist=0.4)
    counts = expose(flat, np.random.default_rng(4), dose_per_pixel=100, pixel_size=2.0, detector=detector)
    power = np.abs(np.fft.rfft2(counts - counts.mean())) ** 2
    fine = power[0, 120:128].mean() / power[0, 1:9].mean()
    assert fine < 0.5


def test_hot_pixels_and_x_rays_are_few_and_far_off():
    flat = np.ones((300, 300), np.float32)
    for detector in (Camera(x_rays=200), Camera(hot_pixels=0.0002)):
        counts = expose(flat, np.random.default_rng(5), dose_per_pixel=100, pixel_size=1.0, detector=detector)
        assert 5 < (np.abs(counts - 100) > 60).sum() < 40


def test_illumination_is_about_one_and_a_beam_edge_is_dark():
    plain = illumination((100, 100), np.random.default_rng(6), gradient=0.2, vignetting=0.1)
    assert plain.mean() == pytest.approx(1, abs=0.05)
    assert np.ptp(plain) > 0.1
    assert illumination((100, 100), np.random.default_rng(6), beam_edge=True).min() < 0.2


def test_a_history_leaves_its_marks():
    image = np.random.default_rng(7).normal(100, 10, (64, 64)).astype(np.float32)
    np.testing.assert_array_equal(pass_through(image, History()), image)
    assert pass_through(image, History(lowpass_px=2)).std() < 3
    grey = pass_through(image, History(eight_bit=True))
    assert set(np.unique(grey)) <= set(range(256))
    assert np.corrcoef(pass_through(image, History(inverted=True)).ravel(), image.ravel())[0, 1] < -0.99
    assert np.corrcoef(pass_through(image, History(jpeg_quality=30)).ravel(), image.ravel())[0, 1] > 0.8
