"""Molecules as points."""

import numpy as np
import pytest

from vitripick.simulation.poses import uniform_rotations
from vitripick.simulation.structures.structure import merge_points, scattering_centre, structure_from_points


def test_the_origin_is_the_centre_of_scattering(lopsided):
    assert np.abs(scattering_centre(lopsided.points, lopsided.net)).max() < 1e-3


def test_merging_points_keeps_their_weight_and_their_centre():
    rng = np.random.default_rng(1)
    points, weights = rng.normal(0, 20, (2000, 3)).astype(np.float32), rng.uniform(1, 5, 2000).astype(np.float32)
    merged, sums = merge_points(points, weights, 10.0)
    assert len(merged) < len(points) / 2
    assert sums.sum() == pytest.approx(weights.sum(), rel=1e-5)
    np.testing.assert_allclose(scattering_centre(merged, sums), scattering_centre(points, weights), atol=1e-3)


def test_the_diameter_is_the_longest_extent():
    rod = np.column_stack([np.linspace(-50, 50, 200), np.zeros(200), np.zeros(200)])
    assert structure_from_points("rod", rod, np.ones(200)).diameter_angstrom == pytest.approx(100, rel=0.02)


def test_projected_extents_agree_with_all_points(lopsided):
    rotations = uniform_rotations(20, np.random.default_rng(2))
    placed = np.einsum("mij,nj->min", rotations, lopsided.points)
    exact = np.stack([placed[:, 0].min(1), placed[:, 0].max(1), placed[:, 1].min(1), placed[:, 1].max(1)], axis=1)
    np.testing.assert_allclose(lopsided.projected_extents(rotations), exact, atol=0.03 * lopsided.diameter_angstrom)


def test_nucleic_acid_keeps_more_of_its_contrast():
    points = np.random.default_rng(3).normal(0, 10, (100, 3))
    protein = structure_from_points("p", points, np.ones(100))
    rna = structure_from_points("r", points, np.ones(100), nucleic=np.ones(100, bool))
    assert rna.net.sum() > 1.15 * protein.net.sum()


def test_a_part_has_its_share_of_the_mass_and_an_origin_of_its_own(lopsided):
    half = lopsided.part(lopsided.points[:, 0] > 5, name="half")
    assert half.mass_kda == pytest.approx(lopsided.mass_kda * half.net.sum() / lopsided.net.sum(), rel=1e-5)
    assert np.abs(scattering_centre(half.points, half.net)).max() < 1e-3


def test_a_part_of_nothing_is_an_error(lopsided):
    with pytest.raises(ValueError, match="no point is left"):
        lopsided.part(np.zeros(len(lopsided.points), bool), name="none")


def test_merged_points_are_made_once_for_images_of_one_scale(lopsided):
    assert lopsided.merged(3.0)[0] is lopsided.merged(3.0)[0]
    assert len(lopsided.merged(6.0)[0]) < len(lopsided.merged(1.5)[0])
