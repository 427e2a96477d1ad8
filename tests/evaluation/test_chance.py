"""Random places: as many as asked for, apart from one another, the same for the same seed."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from vitripick.evaluation import evaluate, random_places
from vitripick.geometry import Boxes


def places(n, *, shape=(500, 800), diameter_px=20.0, seed=0):
    return random_places(n, shape, diameter_px=diameter_px, generator=np.random.default_rng(seed))


def test_random_places_do_not_overlap():
    assert pdist(places(450).centres).min() >= 20


def test_random_places_lie_inside_a_micrograph_that_is_not_square():
    found = places(300)
    assert found.x.max() > 700
    assert (found.x <= 799.5).all()
    assert (found.y <= 499.5).all()


@pytest.mark.parametrize("n", [0, 1, 1200])
def test_there_are_as_many_as_asked_for_even_where_they_do_not_fit_at_full_distance(n):
    assert len(places(n)) == n


def test_the_chance_level_of_half_a_diameter_is_far_above_that_of_a_quarter_on_a_crowded_micrograph():
    labels = Boxes.at(*places(800, seed=1).centres.T, size_px=20, shape=(500, 800))
    criteria = evaluate(labels, labels, n_bootstrap=0).criteria
    assert criteria["half_distance"].chance_f1 > 2.5 * criteria["distance"].chance_f1 > 0


def test_the_chance_level_by_area():
    # One label far from the border: a random place hits the circle of radius d/4 with chance pi d² / 16 A.
    labels = Boxes.at([50], [50], size_px=40, shape=(100, 100))
    seen = [evaluate(labels, labels, seed=s, border_px=0).criteria["distance"].chance_f1 for s in range(60)]
    assert np.mean(seen) == pytest.approx(np.pi * 40**2 / 16 / 100**2, abs=0.02)
