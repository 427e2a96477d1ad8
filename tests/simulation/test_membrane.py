"""Belts, and where they go."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from vitripick.simulation.membrane import belt, empty_disc, find_slab


def test_the_membrane_is_where_the_surface_is_carbon():
    rng = np.random.default_rng(1)
    # A rod of 120 Å along a slanted axis, greasy from -20 to +10 Å.
    along, angle = rng.uniform(-60, 60, 6000), rng.uniform(0, 2 * np.pi, 6000)
    radius = 25 * np.sqrt(rng.uniform(0, 1, 6000))
    axis = np.array([1.0, 2.0, 2.0]) / 3
    first = np.array([2.0, 1.0, -2.0]) / 3
    second = np.cross(axis, first)
    points = np.outer(along, axis) + np.outer(radius * np.cos(angle), first) + np.outer(radius * np.sin(angle), second)
    carbon = rng.random(6000) < np.where((along > -20) & (along < 10), 0.9, 0.55)
    slab = find_slab(points, carbon)
    assert abs(slab.axis @ axis) > 0.97
    assert slab.middle * np.sign(slab.axis @ axis) == pytest.approx(-5, abs=6)
    assert slab.radius == pytest.approx(25, abs=3)


def test_trpv3_has_its_membrane_across_its_fourfold_axis(trpv3):
    assert abs(trpv3.slab.axis[2]) > 0.95
    # At one end: the other is in the cytosol.
    assert 20 < abs(trpv3.slab.middle) < 45


def test_a_belt_goes_around_the_protein_and_not_through_it(trpv3):
    lipid = belt(trpv3, np.random.default_rng(2))
    assert cKDTree(trpv3.points).query(lipid.points)[0].min() >= 4.0 - 1e-3
    along = lipid.points @ trpv3.slab.axis
    assert np.abs(along - trpv3.slab.middle).max() < 27
    assert lipid.net.sum() > 0.05 * trpv3.net.sum()


def test_a_soluble_protein_has_no_belt(apoferritin):
    with pytest.raises(ValueError, match="no membrane is known"):
        belt(apoferritin, np.random.default_rng(3))


def test_an_empty_disc_is_flat():
    spans = np.ptp(empty_disc(np.random.default_rng(4)).points, axis=0)
    assert spans[2] < 50 < spans[0]
