import numpy as np
import pytest

from vitripick.geometry import Filament, Filaments, angle_between, undirected

# Down to the right, steeper than the diagonal: a flip of y or an exchange of axes would show.
SLANTED = Filament.through([(10, 20), (40, 100), (70, 180)], width=24)


def test_segments_lie_one_spacing_apart_along_the_line():
    segments = Filaments([SLANTED]).segments(spacing=30)
    assert np.diff(segments.track) == pytest.approx(np.full(len(segments) - 1, 30))
    assert np.hypot(np.diff(segments.x), np.diff(segments.y)) == pytest.approx(np.full(len(segments) - 1, 30))


def test_as_much_is_left_at_one_end_as_at_the_other():
    segments = Filaments([SLANTED]).segments(spacing=30)
    assert segments.track[0] == pytest.approx(SLANTED.length - segments.track[-1])
    assert segments.track[0] > 0


def test_the_angle_runs_from_x_towards_y():
    segments = Filaments([SLANTED]).segments(spacing=30)
    assert segments.angle == pytest.approx(np.arctan2(160, 60))


def test_a_line_drawn_backwards_has_the_same_angle():
    backwards = Filament.through(SLANTED.points[::-1])
    assert backwards.at([50])[1] == pytest.approx(SLANTED.at([50])[1])


def test_angles_wrap_around():
    assert angle_between(np.deg2rad(89), np.deg2rad(-89)) == pytest.approx(np.deg2rad(2))
    assert undirected(np.deg2rad([-90, 90, 100, -100])) == pytest.approx(np.deg2rad([90, 90, -80, 80]))


def test_segments_are_numbered_from_one():
    both = Filaments([SLANTED, Filament.through([(0, 0), (100, 0)])])
    assert sorted(set(both.segments(spacing=20).filament.tolist())) == [1, 2]


def test_a_short_filament_has_one_segment_in_its_middle():
    segments = Filaments([Filament.through([(0, 0), (10, 0)])]).segments(spacing=40)
    assert segments.x.tolist() == [5]


def test_scaling_keeps_the_outline_of_pixels():
    assert Filament.through([(0, 0), (2, 1)]).scaled(4).points.tolist() == [[1.5, 1.5], [9.5, 5.5]]


def test_turning_y_round_twice_changes_nothing():
    both = Filaments([SLANTED]).flipped(400)
    assert both.filaments[0].points[0].tolist() == [10, 379]
    assert both.flipped(400).filaments[0].points == pytest.approx(SLANTED.points)


def test_no_filaments_have_no_segments():
    assert len(Filaments().segments(spacing=10)) == 0


def test_the_parts_of_a_filament_in_a_rectangle_keep_its_vertices_and_end_on_the_border():
    bent = Filament.through([(0, 20), (50, 20), (50, 80), (70, 80), (70, 0)], width=8, confidence=0.7)
    parts = bent.within((10, 10), (60, 70))
    assert [part.points.tolist() for part in parts] == [[[10, 20], [50, 20], [50, 70]]]
    assert (parts[0].width, parts[0].confidence) == (8, 0.7)
    assert len(bent.within((10, 10), (100, 70))) == 2
    assert bent.within((80, 10), (100, 70)) == []
    assert bent.within((0, 0), (100, 100))[0].points.tolist() == bent.points.tolist()
