"""Orientations."""

import numpy as np
import pytest

from vitripick.simulation.poses import preferred_rotations, tilted_rotations, uniform_rotations


def test_rotations_are_rotations():
    rng = np.random.default_rng(1)
    tilted = tilted_rotations(rng, axis=(1, 2, 3), tilt_radians=np.linspace(0, np.pi, 50))
    for rotations in (uniform_rotations(50, rng), tilted):
        np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (50, 1, 1)), atol=1e-12)
        np.testing.assert_allclose(np.linalg.det(rotations), 1)


def test_even_rotations_prefer_no_direction():
    rotations = uniform_rotations(20000, np.random.default_rng(2))
    # The beam in the molecule's frame: z is even between -1 and 1 on a sphere (Archimedes).
    z = rotations[:, 2, 2]
    assert abs(z.mean()) < 0.02
    assert z.var() == pytest.approx(1 / 3, rel=0.03)


@pytest.mark.parametrize("degrees", [0, 40, 90])
def test_a_tilt_is_the_angle_between_the_axis_and_the_beam(degrees):
    axis = np.array([0.6, 0.0, 0.8])
    tilt = np.full(100, np.deg2rad(degrees))
    rotations = tilted_rotations(np.random.default_rng(3), axis=axis, tilt_radians=tilt)
    np.testing.assert_allclose((rotations @ axis)[:, 2], np.cos(np.deg2rad(degrees)), atol=1e-12)
    # The other two angles are free.
    assert np.std(rotations[:, 0, 0]) > 0.2


def test_stronger_preference_tilts_less():
    axis = np.array([0.0, 0.0, 1.0])

    def spread(concentration):
        rotations = preferred_rotations(2000, np.random.default_rng(4), axis=axis, concentration=concentration)
        return np.abs(np.rad2deg(np.arccos(np.abs((rotations @ axis)[:, 2])))).mean()

    assert spread(20) < 15 < spread(2) < spread(0.1)


def test_no_particles_have_no_rotations():
    assert uniform_rotations(0, np.random.default_rng(0)).shape == (0, 3, 3)
