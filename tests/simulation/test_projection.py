"""Points and maps into the image plane."""

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from vitripick.simulation import structure_from_map
from vitripick.simulation.poses import uniform_rotations
from vitripick.simulation.projection import Particles, project, project_all, splat
from vitripick.simulation.scattering import VOLT_ANGSTROM_SQUARED_PER_ANGSTROM


def centre_of(image):
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return float((x * image).sum() / image.sum()), float((y * image).sum() / image.sum())


def test_the_projection_holds_all_of_the_potential(lopsided):
    image = project(lopsided, np.eye(3), pixel_size=2.0, size_px=128)
    expected = lopsided.net.sum() * VOLT_ANGSTROM_SQUARED_PER_ANGSTROM
    assert image.sum() * 2.0**2 == pytest.approx(expected, rel=1e-3)


def test_the_molecule_lies_where_it_was_put(lopsided):
    for rotation in uniform_rotations(5, np.random.default_rng(1)):
        group = Particles(lopsided, rotation[None], np.array([60.3]), np.array([90.8]))
        x, y = centre_of(project_all([group], (160, 128), pixel_size=2.0))
        assert abs(x - 60.3) < 0.1
        assert abs(y - 90.8) < 0.1


def test_x_runs_along_columns_and_y_along_rows(lopsided):
    image = project(lopsided, np.eye(3), pixel_size=2.0, size_px=128)
    y, x = np.nonzero(image > 0.05 * image.max())
    # The long arm points to larger x, the short one to larger y.
    assert x.max() - 63.5 > 30 > 63.5 - x.min()
    assert 30 > y.max() - 63.5 > 63.5 - y.min()


def test_a_quarter_turn_of_the_molecule_is_a_quarter_turn_of_the_image(lopsided):
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    upright = project(lopsided, np.eye(3), pixel_size=3.0, size_px=65)
    turned = project(lopsided, turn, pixel_size=3.0, size_px=65)
    # x' = -y, y' = x: the image's rows become its columns, reversed.
    np.testing.assert_allclose(turned, np.rot90(upright, -1), atol=0.05 * upright.max())


def test_what_reaches_beyond_the_field_is_cut(lopsided):
    def seen(x, y, shape):
        return project_all([Particles(lopsided, np.eye(3)[None], np.array([x]), np.array([y]))], shape, pixel_size=2.0)

    whole = seen(57.0, 80.0, (160, 160))
    np.testing.assert_allclose(seen(-3.0, 20.0, (40, 40))[:, 5:35], whole[60:100, 65:95], atol=0.01 * whole.max())


def test_splatting_shares_a_point_among_four_pixels():
    image = splat(np.array([1.25], np.float32), np.array([2.5], np.float32), np.array([8.0], np.float32), (4, 4))
    np.testing.assert_allclose(image[2:4, 1:3], [[3.0, 1.0], [3.0, 1.0]], rtol=1e-6)
    assert image.sum() == pytest.approx(8.0)


@pytest.mark.parametrize("pixel_size", [2.0, 3.5])
def test_a_map_cut_through_its_fourier_transform_gives_what_its_points_give(apoferritin, pixel_size):
    voxel, half = 4.0, 24
    volume = np.zeros((2 * half + 1,) * 3)
    cells = np.rint(apoferritin.points / voxel).astype(int) + half
    np.add.at(volume, (cells[:, 2], cells[:, 1], cells[:, 0]), apoferritin.net)
    smooth = gaussian_filter(volume, 1.0).astype(np.float32)
    as_map = structure_from_map("map", smooth, voxel, mass_kda=apoferritin.mass_kda)
    rotation = uniform_rotations(1, np.random.default_rng(3))[0]
    from_map = project(as_map, rotation, pixel_size=pixel_size, size_px=96)
    from_points = project(apoferritin, rotation, pixel_size=pixel_size, size_px=96)
    blurred = cv2.GaussianBlur(from_points, (0, 0), np.hypot(voxel, voxel / 3.5) / pixel_size)
    assert np.corrcoef(from_map.ravel(), blurred.ravel())[0, 1] > 0.995
    assert from_map.sum() == pytest.approx(from_points.sum(), rel=0.02)
    assert centre_of(np.clip(from_map, 0, None)) == pytest.approx((47.5, 47.5), abs=0.15)


def test_a_slice_moves_by_fractions_of_a_pixel():
    volume = np.zeros((21, 21, 21), np.float32)
    volume[7:14, 8:13, 9:12] = 1.0
    brick = structure_from_map("brick", gaussian_filter(volume, 1.0), 4.0)
    group = Particles(brick, np.eye(3)[None], np.array([30.4]), np.array([25.7]))
    assert centre_of(project_all([group], (60, 60), pixel_size=3.0)) == pytest.approx((30.4, 25.7), abs=0.05)
