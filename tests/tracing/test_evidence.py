"""What the image says about a traced line: darker than both sides, or darker than one."""

import numpy as np
import pytest

from vitripick.geometry import Filament
from vitripick.tracing import is_edge

WIDTH = 12.0
LINE = Filament.through([(20, 60), (180, 60)], width=WIDTH)


def image_of(*bands):
    """Return noise with dark bands: (first row, last row, depth)."""
    image = np.random.default_rng(1).normal(0, 1, (120, 200))
    for first, last, depth in bands:
        image[first:last] -= depth
    return image


def test_a_dark_line_is_no_edge():
    assert not is_edge(image_of((54, 66, 0.5)), LINE, WIDTH)


def test_a_line_too_faint_to_be_seen_is_no_edge():
    assert not is_edge(image_of(), LINE, WIDTH)


@pytest.mark.parametrize("band", [(60, 120, 1.0), (0, 60, 1.0)])
def test_the_edge_of_a_dark_field_is_one_from_either_side(band):
    assert is_edge(image_of(band), LINE, WIDTH)


def test_the_outer_filament_of_a_bundle_is_no_edge():
    beside = [(68 + 14 * i, 80 + 14 * i, 1.0) for i in range(3)]
    assert not is_edge(image_of((54, 66, 1.0), *beside), LINE, WIDTH)


def test_the_direction_in_which_a_line_was_drawn_does_not_matter():
    bent = Filament.through([(60, 20), (62, 100), (58, 180)], width=WIDTH)
    for path in (bent.points, bent.points[::-1]):
        assert is_edge(image_of((60, 120, 1.0)).T[:, :], Filament.through(path), WIDTH)


def test_a_filament_paler_than_its_middle_side_by_side_with_a_darker_one_is_no_edge():
    """Its own rims are dark and its middle is light; the light band between both tells it from an edge."""
    rims = [(54, 57, 1.0), (63, 66, 1.0), (57, 63, 0.7)]
    assert not is_edge(image_of(*rims, (70, 82, 1.3)), LINE, WIDTH)
    assert is_edge(image_of(*rims, (66, 120, 1.3)), LINE, WIDTH)
