"""What is taken for noise: images as faint as noise, unless particles are that faint, too."""

import numpy as np
import pytest

from vitripick.classes.judge import faint, is_noise


@pytest.mark.parametrize(
    ("n_noise", "mean_of_particles", "trusted"),
    [(100, 8.0, True), (0, 8.0, True), (0, 2.5, False), (300, 8.0, True), (900, 8.0, False)],
)
def test_faint_images_are_noise_only_where_some_are_as_faint_as_most_noise(n_noise, mean_of_particles, trusted):
    rng = np.random.default_rng(0)
    noise, own = rng.normal(0, 1, 400), rng.normal(mean_of_particles, 1, 900)
    score = np.concatenate([own, rng.normal(0, 1, n_noise)])
    power = np.ones(len(score))
    assert is_noise(power, score, np.ones(400), noise) == trusted
    assert faint(power, score, np.ones(400), noise)[900:].sum() >= 0.9 * n_noise
