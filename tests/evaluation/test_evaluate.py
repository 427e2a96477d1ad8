"""Picks against labels as a user sees it: one micrograph, many, particle-free ones, missing sizes."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitripick.errors import UsageError
from vitripick.evaluation import best_threshold, evaluate
from vitripick.geometry import Boxes

SHAPE = (1000, 1000)


def boxes_at(*places, size_px=64.0, confidence=np.nan, shape=SHAPE):
    return Boxes.at([x for x, _ in places], [y for _, y in places], size_px=size_px, confidence=confidence, shape=shape)


def no_boxes():
    return Boxes.empty(shape=SHAPE)


def test_a_pick_half_a_box_away_does_not_find_the_particle():
    labels, picks = boxes_at((100, 100), size_px=64), boxes_at((132, 100), size_px=64)  # IoU = 1/3
    assert evaluate(picks, labels, iou=0.6).recall == 0


def test_labels_judged_by_themselves_are_perfect():
    labels = boxes_at((100, 100), (300, 300))
    result = evaluate(labels, labels)
    assert (result.precision, result.recall, result.f1, result.auc) == (1, 1, 1, 1)


def test_picks_far_from_every_label_score_zero():
    result = evaluate(boxes_at((500, 500), confidence=0.9), boxes_at((100, 100)))
    assert (result.precision, result.recall, result.f1, result.auc) == (0, 0, 0, 0)


def test_a_close_pick_with_a_box_of_another_size_is_true_by_distance_only():
    result = evaluate(boxes_at((105, 100), size_px=120), boxes_at((100, 100), size_px=64))
    assert result.criteria["distance"].default.recall == 1
    assert result.recall == 0


def test_half_a_diameter_is_reported_beside_a_quarter():
    result = evaluate(boxes_at((130, 100)), boxes_at((100, 100)))
    assert result.criteria["distance"].default.recall == 0
    assert result.criteria["half_distance"].default.recall == 1


def test_figures_at_the_default_and_at_the_best_threshold_differ():
    labels = boxes_at((100, 100), (300, 300))
    picks = boxes_at((100, 100), (300, 300), (500, 500), confidence=[0.9, 0.6, 0.4])
    by_iou = evaluate(picks, labels, threshold=0.7).criteria["iou"]
    assert (by_iou.default.precision, by_iou.default.recall) == (1, 0.5)
    assert (by_iou.best.threshold, by_iou.best.f1) == (0.6, 1)
    assert by_iou.f1_lost_to_threshold == pytest.approx(1 / 3)


def test_a_pick_at_the_threshold_is_kept():
    picks = boxes_at((100, 100), confidence=0.5)
    assert evaluate(picks, boxes_at((100, 100)), threshold=0.5).recall == 1


def test_without_a_threshold_every_pick_is_what_the_user_gets():
    picks = boxes_at((100, 100), (500, 500), confidence=[0.9, 0.01])
    assert evaluate(picks, boxes_at((100, 100))).precision == 0.5


def test_centre_error_and_iou_of_true_picks_by_hand():
    labels = boxes_at((100, 100), (300, 300))
    picks = boxes_at((104, 100), (300, 300), confidence=[0.9, 0.8])
    by_iou = evaluate(picks, labels).criteria["iou"]
    assert by_iou.centre_error_mean_px == by_iou.centre_error_median_px == 2
    assert by_iou.mean_iou == pytest.approx((60 / 68 + 1) / 2)


def test_duplicates_are_counted_at_the_default_threshold():
    picks = boxes_at((100, 100), (110, 100), (90, 100), confidence=[0.9, 0.8, 0.1])
    assert evaluate(picks, boxes_at((100, 100)), threshold=0.5).n_duplicates == 1


def test_picks_on_particle_free_micrographs_are_counted_and_false():
    labels = {"full": boxes_at((100, 100)), "empty": no_boxes()}
    picks = {
        "full": boxes_at((100, 100), confidence=0.9),
        "empty": boxes_at((100, 100), (500, 500), confidence=[0.8, 0.1]),
    }
    result = evaluate(picks, labels, threshold=0.5)
    assert (result.n_particle_free, result.n_picks_particle_free) == (1, 1)
    assert result.precision == 0.5


def test_an_empty_mapping_of_ignored_boxes_ignores_nothing():
    both = {"a": boxes_at((100, 100))}
    assert evaluate(both, both, ignored={}).precision == 1.0


def test_a_labelled_micrograph_without_picks_has_zero_picks():
    labels = {"a": boxes_at((100, 100)), "b": boxes_at((100, 100))}
    result = evaluate({"a": boxes_at((100, 100))}, labels)
    assert result.recall == 0.5
    assert [(row.name, row.scores["iou"].n_missed) for row in result.rows] == [("a", 0), ("b", 1)]


def test_picks_without_labels_are_named_and_not_judged():
    picks = {"a": boxes_at((100, 100)), "b": boxes_at((500, 500))}
    result = evaluate(picks, {"a": boxes_at((100, 100))})
    assert result.unmatched_picks == ("b",)
    assert result.precision == 1


def test_the_median_size_of_the_labels_is_the_diameter():
    labels = {"a": boxes_at((100, 100), size_px=40), "b": boxes_at((1, 1), (200, 200), size_px=60)}
    assert evaluate(labels, labels).diameter_px == 60


def test_missing_sizes_are_taken_to_be_the_diameter():
    places = Boxes.at([100.0], [100.0], shape=SHAPE)
    assert evaluate(places, places, diameter_px=50).recall == 1


def test_without_any_size_the_diameter_is_asked_for():
    places = Boxes.at([100.0], [100.0])
    with pytest.raises(UsageError, match="diameter_px="):
        evaluate(places, places)


def test_one_micrograph_and_many_cannot_be_mixed():
    with pytest.raises(UsageError, match="both"):
        evaluate(no_boxes(), {"a": boxes_at((1, 1))})


def test_the_border_is_half_a_diameter_unless_told():
    labels = boxes_at((20, 500), (500, 500))
    picks = boxes_at((500, 500))
    assert evaluate(picks, labels).recall == 1
    assert evaluate(picks, labels, border_px=0).recall == 0.5


def test_an_unknown_shape_is_said_and_no_border_ignored():
    labels = boxes_at((20, 500), (500, 500), shape=None)
    result = evaluate(boxes_at((500, 500), shape=None), labels)
    assert result.recall == 0.5
    assert "size of 1 of 1 micrographs is not known" in result.notes[0]
    assert result.criteria["iou"].chance_f1 is None


def test_picks_without_confidence_have_no_calibration_error():
    labels = boxes_at((100, 100))
    assert evaluate(labels, labels).criteria["iou"].calibration_error is None


@pytest.mark.parametrize(
    ("picks", "labels"),
    [(no_boxes(), no_boxes()), (no_boxes(), boxes_at((100, 100))), (boxes_at((100, 100)), no_boxes())],
    ids=["nothing", "no picks", "no labels"],
)
def test_the_dictionary_is_json_without_nan_even_when_there_is_nothing_to_judge(picks, labels):
    result = evaluate(picks, labels, diameter_px=64)
    json.dumps(result.to_dict(), allow_nan=False)
    assert "IoU ≥ 0.6" in result.table()


def test_the_table_says_that_precision_is_a_lower_bound_and_what_leaked():
    labels = boxes_at((100, 100))
    table = str(evaluate(labels, labels, leak="all of it was trained on"))
    assert "lower bounds" in table
    assert "all of it was trained on" in table


def test_the_best_threshold_parts_true_from_false():
    labels = boxes_at((100, 100), (300, 300))
    picks = boxes_at((100, 100), (300, 300), (500, 500), confidence=[0.9, 0.8, 0.2])
    assert best_threshold(picks, labels, 64) == pytest.approx(0.5)


@st.composite
def cases(draw):
    """Labels on a wide grid and picks near some of them, with confidences on a coarse scale (so: ties)."""
    n = draw(st.integers(1, 8))
    labels = boxes_at(*[(150 + 100 * (i % 4), 150 + 100 * (i // 4)) for i in range(n)], size_px=40)
    place = st.tuples(st.integers(100, 700), st.integers(100, 700))
    places = draw(st.lists(place, max_size=12))
    places += [
        (labels.x[i] + dx, labels.y[i])
        for i, dx in draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(-14, 14)), max_size=12))
    ]
    confidence = [draw(st.integers(1, 9)) / 10 for _ in places]
    return Boxes.at(
        [p[0] for p in places], [p[1] for p in places], size_px=40, confidence=confidence, shape=SHAPE
    ), labels


def areas(picks, labels):
    return {name: r.auc for name, r in evaluate(picks, labels, n_bootstrap=0).criteria.items()}


@settings(max_examples=40, deadline=None)
@given(case=cases())
def test_only_the_order_of_confidences_matters_to_the_area(case):
    picks, labels = case
    squeezed = Boxes.at(picks.x, picks.y, size_px=40, confidence=np.sqrt(picks.confidence) / 3 + 0.1, shape=SHAPE)
    assert areas(squeezed, labels) == pytest.approx(areas(picks, labels))


@settings(max_examples=40, deadline=None)
@given(case=cases(), data=st.data())
def test_the_order_in_which_picks_come_does_not_matter(case, data):
    picks, labels = case
    order = np.array(data.draw(st.permutations(range(len(picks)))), dtype=np.intp)
    before, after = (
        evaluate(picks, labels, n_bootstrap=0),
        evaluate(picks.select(order), labels, n_bootstrap=0),
    )
    assert before.to_dict() == after.to_dict()


@settings(max_examples=40, deadline=None)
@given(case=cases())
def test_a_far_false_pick_with_the_lowest_confidence_does_not_change_the_area(case):
    picks, labels = case
    more = Boxes.at(
        np.append(picks.x, 900.0),
        np.append(picks.y, 900.0),
        size_px=40,
        confidence=np.append(picks.confidence, 0.01),
        shape=SHAPE,
    )
    assert areas(more, labels) == pytest.approx(areas(picks, labels))


@settings(max_examples=40, deadline=None)
@given(case=cases(), threshold=st.integers(0, 10))
def test_a_threshold_after_matching_is_a_threshold_before_it(case, threshold):
    picks, labels = case
    late = evaluate(picks, labels, threshold=threshold / 10, n_bootstrap=0)
    early = evaluate(picks.above(threshold / 10), labels, n_bootstrap=0)
    for name in late.criteria:
        assert late.criteria[name].default.n_true == early.criteria[name].default.n_true
        assert late.criteria[name].default.n_false == early.criteria[name].default.n_false


def test_micrographs_that_are_all_empty_need_no_diameter_every_pick_is_false():
    picks = Boxes.at([50.0], [60.0], size_px=20, confidence=0.7, shape=(100, 100))
    figures = evaluate(picks, Boxes.empty(shape=(100, 100)), n_bootstrap=0)
    assert figures.diameter_px == 20
    assert figures.n_picks_particle_free == 1
    assert figures.precision == 0
