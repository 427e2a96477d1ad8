"""Places."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from vitripick.errors import UsageError
from vitripick.simulation.placement import PlacementArea, place

SHAPE = (500, 700)
EVERYWHERE = PlacementArea(SHAPE)


def placed(n=60, area=EVERYWHERE, **more):
    return place(np.full(n, 40.0), area, np.random.default_rng(1), **more)


@pytest.mark.parametrize("spacing", [0.6, 1.0])
@pytest.mark.parametrize("clustering", [0.0, 0.8])
def test_no_two_particles_are_nearer_than_the_spacing(spacing, clustering):
    result = placed(100, spacing=spacing, clustering=clustering)
    assert len(result.x) == 100
    assert pdist(np.column_stack([result.x, result.y])).min() >= 40 * spacing - 1e-9


def test_clustered_particles_have_nearer_neighbours():
    def nearest(clustering):
        result = placed(40, clustering=clustering)
        distances = np.hypot(result.x[:, None] - result.x, result.y[:, None] - result.y) + 1e9 * np.eye(40)
        return distances.min(axis=1).mean()

    assert nearest(0.8) < 0.85 * nearest(0.0)


def test_all_centres_lie_inside():
    result = placed(100)
    assert result.x.min() >= 0
    assert result.x.max() <= 699
    assert result.y.max() <= 499


def test_a_rim_is_filled_only_around_the_micrograph():
    result = placed(30, PlacementArea(SHAPE, rim_px=25))
    inside = (result.x >= 0) & (result.x <= 699) & (result.y >= 0) & (result.y <= 499)
    assert len(result.x) == 30
    assert not inside.any()
    assert result.x.min() >= -25
    assert result.y.max() <= 499 + 25


def test_nothing_is_placed_where_it_is_forbidden():
    forbidden = np.zeros(SHAPE, bool)
    forbidden[:, :350] = True
    assert placed(40, PlacementArea(SHAPE, forbidden=forbidden)).x.min() > 349


def test_what_lies_there_already_is_respected():
    first = placed(40)
    second = place(
        np.full(30, 40.0),
        EVERYWHERE,
        np.random.default_rng(2),
        taken=(first.x, first.y, np.full(40, 40.0)),
    )
    gap = np.hypot(first.x[:, None] - second.x, first.y[:, None] - second.y)
    assert gap.min() >= 36


def test_an_impossible_crowd_says_what_to_change():
    with pytest.raises(UsageError, match=r"only \d+ of 900 particles of 40 px fit .* a smaller spacing"):
        placed(900, insist=True)


def test_without_insisting_the_field_is_simply_full():
    assert 100 < len(placed(900).x) < 900
