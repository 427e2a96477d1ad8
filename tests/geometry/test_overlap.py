import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from vitripick.geometry import Boxes, overlap, remove_overlaps


def test_of_two_picks_of_one_particle_the_more_confident_stays():
    kept = remove_overlaps(Boxes.at([0, 3], [0, 0], confidence=[0.2, 0.9]), minimum_distance_px=5)
    assert list(kept.confidence) == [0.9]


def test_a_pick_removed_by_a_stronger_one_removes_nobody():
    kept = remove_overlaps(Boxes.at([0, 4, 8], [0, 0, 0], confidence=[0.9, 0.8, 0.7]), minimum_distance_px=5)
    assert list(kept.x) == [0, 8]


def test_picks_exactly_at_the_minimum_distance_both_stay():
    assert len(remove_overlaps(Boxes.at([0, 5], [0, 0], confidence=1), minimum_distance_px=5)) == 2


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_picks_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    picks = Boxes.at(*rng.uniform(0, 50, (2, 60)), confidence=rng.choice([0.2, 0.5, 0.9], 60))
    shuffled = picks.select(rng.permutation(60))
    a, b = (remove_overlaps(p, minimum_distance_px=6) for p in (picks, shuffled))
    np.testing.assert_array_equal(a.centres, b.centres)


def test_ten_thousand_survivors_of_fifty_thousand_picks_hold_no_pair_within_the_distance():
    rng = np.random.default_rng(0)
    picks = Boxes.at(*rng.uniform(0, 4000, (2, 50_000)), confidence=rng.random(50_000))
    kept = remove_overlaps(picks, minimum_distance_px=20)
    assert len(kept) > 10_000
    distance, _ = cKDTree(kept.centres).query(kept.centres, k=2)
    assert distance[:, 1].min() >= 20


def test_few_and_many_neighbours_give_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    picks = Boxes.at(*rng.uniform(0, 400, (2, 500)), size_px=20, confidence=rng.uniform(0, 1, 500))
    few = remove_overlaps(picks, minimum_distance_px=15)
    monkeypatch.setattr(overlap, "_MOST_CANDIDATES", 0)  # now a k-d tree finds the neighbours
    np.testing.assert_array_equal(remove_overlaps(picks, minimum_distance_px=15).centres, few.centres)
