import pytest

from vitripick.evaluation.filaments import evaluate_filaments
from vitripick.geometry import Filament, Filaments


def rods(*lines, width=20.0):
    return [Filaments([Filament.through(line, width=width) for line in lines])]


TRUE = rods([(0, 50), (200, 50)], [(0, 150), (200, 150)])


def test_the_labels_themselves_are_perfect():
    result = evaluate_filaments(TRUE, TRUE)
    assert (result.f1, result.breaks, result.false_joins) == (1, 0, 0)


def test_recall_is_the_share_of_the_length():
    result = evaluate_filaments(rods([(0, 50), (100, 50)]), TRUE)
    assert result.recall == pytest.approx(0.26, abs=0.02)  # a quarter, and a quarter of a width beyond the end
    assert result.precision == 1


def test_a_line_beside_a_filament_does_not_find_it():
    assert evaluate_filaments(rods([(0, 54), (200, 54)]), TRUE).precision == 1
    assert evaluate_filaments(rods([(0, 56), (200, 56)]), TRUE).precision == 0


def test_a_line_across_a_filament_does_not_find_it():
    assert evaluate_filaments(rods([(100, 0), (100, 100)]), TRUE).recall == 0


def test_breaks_and_false_joins_are_counted():
    broken = rods([(0, 50), (90, 50)], [(110, 50), (200, 50)])
    assert evaluate_filaments(broken, TRUE).breaks == 1
    joined = rods([(0, 50), (200, 50), (200, 150), (0, 150)])
    assert evaluate_filaments(joined, TRUE).false_joins == 1


def test_a_filament_traced_over_a_gap_in_the_labels_is_no_false_join():
    halves = rods([(0, 50), (90, 50)], [(130, 52), (220, 52)], [(0, 150), (200, 150)])
    result = evaluate_filaments(rods([(0, 50), (220, 52)]), halves)
    assert (result.false_joins, result.bridges) == (0, 1)
    aside = rods([(0, 50), (90, 50)], [(130, 90), (220, 90)])
    result = evaluate_filaments(rods([(0, 50), (90, 50), (130, 90), (220, 90)]), aside)
    assert (result.false_joins, result.bridges) == (1, 0)


def test_a_filament_that_another_one_crosses_at_a_small_angle_is_joined_to_none():
    crossing = rods([(0, 50), (400, 50)], [(0, 15), (400, 85)])
    result = evaluate_filaments(crossing, crossing)
    assert (result.false_joins, result.breaks) == (0, 0)
    changed_over = rods([(0, 50), (200, 50), (400, 85)])
    assert evaluate_filaments(changed_over, crossing).false_joins == 1


def test_a_width_has_to_be_known():
    with pytest.raises(ValueError, match="width_px"):
        evaluate_filaments(TRUE, rods([(0, 0), (1, 1)], width=float("nan")))
