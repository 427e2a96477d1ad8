"""Belts around membrane proteins."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from vitripick.simulation.membrane import belt, empty_disc


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
