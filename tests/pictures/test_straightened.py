"""Filaments straightened: from the first end at the left, what lies to the left of the way above."""

import cv2
import numpy as np
import pytest

from vitripick.geometry import Filament, Filaments
from vitripick.pictures.filaments import straightened, straightened_png

# A bright start, and a dot beside the way: to the right of one who walks it (y runs downwards).
WAY = Filament.through([(20, 30), (120, 80), (130, 180)], width=10)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_first_end_is_at_the_left_and_the_right_hand_side_below(reverse):
    image = np.zeros((220, 200), np.float32)
    points = WAY.points[::-1] if reverse else WAY.points
    start, way = points[0], (points[1] - points[0]) / np.hypot(*(points[1] - points[0]))
    right = np.array([-way[1], way[0]])
    place = start + 30 * way + 8 * right
    cv2.circle(image, tuple(int(v) for v in np.rint(place)), 2, 1.0, -1)
    strip = straightened(image, Filament.through(points, width=10), 31)
    row, column = np.unravel_index(int(strip.argmax()), strip.shape)
    assert strip.shape[1] == round(WAY.length)
    assert (column, row) == (pytest.approx(30, abs=3), pytest.approx(15 + 8, abs=2))


def test_a_micrograph_without_filaments_has_a_picture_too():
    assert straightened_png(np.zeros((40, 50), np.float32), Filaments()).startswith(b"\x89PNG")
