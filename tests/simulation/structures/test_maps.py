"""Molecules from density maps."""

import mrcfile
import numpy as np
import pytest

from vitripick.errors import InputError
from vitripick.formats import write_mrc
from vitripick.simulation import read_structure, structure_from_map
from vitripick.simulation.scattering import displaced_share


def ball_map(n=40, radius=10):
    z, y, x = np.mgrid[:n, :n, :n]
    distance = np.sqrt((z - 22.4) ** 2 + (y - 18.3) ** 2 + (x - 19.8) ** 2)
    return np.clip(radius - distance, 0, 1).astype(np.float32)


def test_a_map_on_any_scale_gets_the_contrast_of_its_mass(tmp_path):
    for scale in (0.01, 50.0):
        structure = structure_from_map("ball", ball_map() * scale, 3.0, mass_kda=100)
        assert structure.net.sum() == pytest.approx(100_000 * 0.204 * (1 - displaced_share(nucleic=False)), rel=1e-3)


def test_a_maps_origin_is_its_centre_of_mass():
    structure = structure_from_map("ball", ball_map(), 3.0)
    centre = np.average(structure.points, axis=0, weights=structure.net)
    assert np.abs(centre).max() < 0.3  # Å; a tenth of a voxel


def test_noise_around_a_map_is_masked_off():
    noisy = ball_map() + np.random.default_rng(1).normal(0, 0.05, (40, 40, 40)).astype(np.float32)
    structure = structure_from_map("ball", noisy, 3.0)
    assert structure.diameter_angstrom < 1.6 * 60


def test_a_map_file_keeps_its_axes(tmp_path):
    volume = np.zeros((30, 30, 30), np.float32)
    volume[15, 15, 5:25] = 1.0  # a rod along x, the fastest axis of the file
    volume[14:17, 14:17, 5:25] += 0.5
    with mrcfile.new(tmp_path / "rod.mrc") as file:
        file.set_data(volume)
        file.voxel_size = 4.0
    spans = np.ptp(read_structure(tmp_path / "rod.mrc").points, axis=0)
    assert spans[0] > 3 * spans[1]
    assert spans[0] > 3 * spans[2]


def test_a_map_with_nan_says_how_many(tmp_path):
    volume = ball_map()
    volume[0, 0, :3] = np.nan
    with pytest.raises(InputError, match="3 of the map's voxels are NaN"):
        structure_from_map("ball", volume, 3.0)


def test_an_empty_map_says_so():
    with pytest.raises(InputError, match="no positive density"):
        structure_from_map("ball", np.zeros((8, 8, 8), np.float32), 3.0)


def test_a_map_without_a_pixel_size_says_so(tmp_path):
    write_mrc(tmp_path / "flat.mrc", np.ones((8, 8)))
    with pytest.raises(InputError, match=r"flat\.mrc: the map's header says no pixel size"):
        read_structure(tmp_path / "flat.mrc")


def test_a_micrograph_is_no_map(tmp_path):
    write_mrc(tmp_path / "mic.mrc", np.ones((80, 80)), pixel_size=2.0)
    with pytest.raises(InputError, match=r"mic\.mrc: a single section, as a micrograph has, is not a map"):
        read_structure(tmp_path / "mic.mrc")
