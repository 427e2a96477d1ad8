import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vitripick.geometry import Boxes, iou_of_pairs, match


def test_a_pick_half_a_box_away_does_not_find_the_particle():
    labels, pick = Boxes.at([100], [100], size_px=64), Boxes.at([132], [100], size_px=64)
    assert np.isclose(iou_of_pairs(pick, labels)[0], 1 / 3)
    assert list(match(pick, labels)) == [-1]


def test_two_picks_of_one_particle_find_it_once_and_the_more_confident_does():
    labels = Boxes.at([100], [100], size_px=64)
    picks = Boxes.at([100, 104], [100, 100], size_px=64, confidence=[0.4, 0.9])
    assert list(match(picks, labels)) == [-1, 0]


def test_a_pick_takes_the_nearest_free_label():
    labels = Boxes.at([0, 10], [0, 0], size_px=20)
    picks = Boxes.at([8, 9], [0, 0], size_px=20, confidence=[0.9, 0.8])
    assert list(match(picks, labels, criterion="distance", distance_px=12)) == [1, 0]


def test_the_distance_itself_still_qualifies():
    labels, picks = Boxes.at([0], [0]), Boxes.at([3], [4])
    assert list(match(picks, labels, criterion="distance", distance_px=5)) == [0]
    assert list(match(picks, labels, criterion="distance", distance_px=4.99)) == [-1]


def test_nothing_matches_nothing():
    assert len(match(Boxes.empty(), Boxes.at([1], [1], size_px=4))) == 0
    assert list(match(Boxes.at([1], [1], size_px=4, confidence=1), Boxes.empty())) == [-1]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["iou", "distance"]))
def test_matches_are_those_of_a_plain_double_loop(seed, criterion):
    rng = np.random.default_rng(seed)
    picks = Boxes.at(*rng.uniform(0, 100, (2, 30)), size_px=20, confidence=rng.permutation(30) / 30)
    labels = Boxes.at(*rng.uniform(0, 100, (2, 25)), size_px=20)
    free = set(range(25))
    expected = np.full(30, -1)
    for i in np.argsort(-picks.confidence):
        pairs = [(_score(picks, labels, i, j, criterion), j) for j in free]
        _, j = max((p for p in pairs if p[0] is not None), default=(None, None))
        if j is not None:
            expected[i] = j
            free.remove(j)
    found = match(picks, labels, criterion=criterion, iou=0.3, distance_px=8)
    np.testing.assert_array_equal(found, expected)


def _score(picks, labels, i, j, criterion):
    if criterion == "distance":
        distance = np.hypot(picks.x[i] - labels.x[j], picks.y[i] - labels.y[j])
        return -distance if distance <= 8 else None
    iou = iou_of_pairs(picks.select(np.array([i])), labels.select(np.array([j])))[0]
    return iou if iou >= 0.3 else None
