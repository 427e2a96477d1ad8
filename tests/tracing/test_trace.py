"""Tracing on drawn maps: what the network would say if it were never wrong."""

import time

import numpy as np
import pytest
from scipy.spatial import cKDTree

from vitripick.evaluation.filaments import evaluate_filaments
from vitripick.geometry import Filament, Filaments
from vitripick.tracing import LineMaps, Tracing, trace

WIDTH = 6.0


def drawn(filaments, shape=(200, 240)):
    """Return the maps of filaments, in cells."""
    rows, columns = shape
    grid_y, grid_x = np.mgrid[:rows, :columns]
    cells = np.column_stack([grid_x.ravel(), grid_y.ravel()])
    placed = [one.at(np.linspace(0, one.length, max(2, int(2 * one.length)))) for one in filaments]
    at, angle = (np.concatenate(parts) for parts in zip(*placed, strict=True))
    distance, nearest = cKDTree(at).query(cells)
    offset = at[nearest] - cells
    maps = [
        np.exp(-0.5 * (np.maximum(distance - 0.5, 0) / 0.66) ** 2),
        offset[:, 0],
        offset[:, 1],
        np.cos(2 * angle[nearest]),
        np.sin(2 * angle[nearest]),
        np.full(len(cells), WIDTH),
    ]
    return LineMaps(*(one.reshape(shape) for one in maps))


def line(*points):
    return Filament.through(points, width=WIDTH)


def judged(found, true):
    return evaluate_filaments([Filaments(found)], [Filaments(true)])


@pytest.mark.parametrize("degrees", [0, 17, 45, 89.5, 90, 90.5, 135, 179.5])
def test_a_straight_line_is_one_filament_in_every_direction(degrees):
    way = np.array([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))])
    true = [line((120, 100) - 80 * way, (120, 100) + 80 * way)]
    found = trace(drawn(true), typical_width=WIDTH)
    result = judged(found, true)
    assert len(found) == 1
    assert result.recall > 0.97
    assert result.offset < 0.05
    assert result.angle_error_degrees < 0.5


def test_a_bent_line_is_followed():
    turn = np.linspace(0, np.pi, 80)
    true = [Filament.through(np.column_stack([120 + 70 * np.cos(turn), 60 + 70 * np.sin(turn)]), width=WIDTH)]
    found = trace(drawn(true), typical_width=WIDTH)
    assert len(found) == 1
    assert judged(found, true).recall > 0.97


@pytest.mark.parametrize("degrees", [25, 50, 90])
def test_two_lines_that_cross_stay_two_lines(degrees):
    way = np.array([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))])
    true = [line((20, 100), (220, 100)), line((120, 100) - 90 * way, (120, 100) + 90 * way)]
    found = trace(drawn(true), typical_width=WIDTH)
    result = judged(found, true)
    assert len(found) == 2
    assert result.recall > 0.97
    assert result.false_joins == 0
    assert result.breaks == 0


def test_crossings_are_cut_out_if_that_is_asked_for():
    true = [line((20, 100), (220, 100)), line((120, 20), (120, 180))]
    found = trace(drawn(true), Tracing(crossings=False), typical_width=WIDTH)
    assert len(found) == 4
    assert min(np.hypot(*(one.points - (120, 100)).T).min() for one in found) > 0.75 * WIDTH


def test_lines_side_by_side_stay_apart():
    true = [line((20, y), (220, y)) for y in (90, 97, 104)]
    result = judged(trace(drawn(true), typical_width=WIDTH), true)
    assert result.n_traced == 3
    assert result.recall > 0.97
    assert result.false_joins == 0


def test_a_short_gap_is_passed_over_and_a_long_one_is_not():
    def with_gap(gap):
        return [line((20, 80), (110, 80)), line((110 + gap, 80), (220, 80))]

    assert len(trace(drawn(with_gap(1.5 * WIDTH)), typical_width=WIDTH)) == 1
    assert len(trace(drawn(with_gap(5 * WIDTH)), typical_width=WIDTH)) == 2


def test_a_sharp_corner_ends_a_filament():
    true = [line((20, 40), (120, 40), (120, 180))]
    found = trace(drawn(true), typical_width=WIDTH)
    assert len(found) == 2


def test_short_ones_are_left_out():
    true = [line((20, 40), (20 + 3 * WIDTH, 40))]
    assert trace(drawn(true), typical_width=WIDTH) == []
    assert len(trace(drawn(true), Tracing(minimum_length=2), typical_width=WIDTH)) == 1


def test_a_map_without_heat_has_no_filaments():
    zeros = np.zeros((50, 60))
    assert trace(LineMaps(*[zeros] * 6), typical_width=WIDTH) == []


def test_time_grows_with_the_number_of_filaments_and_not_with_its_square():
    def seconds(n):
        true = [line((10, 12 * i + 10), (150, 12 * i + 10)) for i in range(n)]
        maps = drawn(true, (12 * n + 20, 160))
        began = time.process_time()
        assert len(trace(maps, typical_width=WIDTH)) == n
        return time.process_time() - began

    seconds(5)
    assert seconds(200) < 40 * max(seconds(20), 0.01)


def test_two_lines_that_cross_at_a_small_angle_stay_two_lines():
    way = np.array([np.cos(np.deg2rad(12)), np.sin(np.deg2rad(12))])
    true = [line((10, 100), (230, 100)), line((120, 100) - 110 * way, (120, 100) + 110 * way)]
    result = judged(trace(drawn(true), typical_width=WIDTH), true)
    assert result.n_traced == 2
    assert result.recall > 0.95
    assert result.false_joins == 0


def test_a_line_that_ends_at_another_one_does_not_break_it():
    true = [line((20, 100), (220, 100)), line((120, 103), (140, 20))]
    found = trace(drawn(true), typical_width=WIDTH)
    assert len(found) == 2
    assert found[0].length > 195
