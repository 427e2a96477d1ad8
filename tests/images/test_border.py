"""Bands along a micrograph's sides that hold no image."""

import numpy as np
import pytest

from vitripick.images import Border, Preparation, find_border, prepare

WIDTHS = ((9, 6), (0, 12))  # top and bottom, left and right


def noise(shape=(200, 260)):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def test_ice_has_no_border():
    rows, columns = np.mgrid[:200, :260].astype(np.float32)
    assert not any(find_border(noise() + 0.02 * rows + 0.05 * columns))


def test_the_edge_of_a_carbon_film_is_none():
    image = noise()
    image[:14] = 0.3 * image[:14] - 4
    assert not any(find_border(image))


def test_smeared_rows_and_columns_are_found_on_each_side():
    assert find_border(np.pad(noise(), WIDTHS, mode="edge")) == Border(top=9, bottom=6, left=0, right=12)


@pytest.mark.parametrize("value", [0.0, 300.0])
def test_a_frame_of_one_value_is_found(value):
    found = find_border(np.pad(noise(), WIDTHS, constant_values=value))
    # Its last row differs from the first of the image, as any two rows of the image do.
    assert found == Border(top=8, bottom=5, left=0, right=11)


def test_a_band_that_a_filter_blurred_into_the_image_is_found_with_the_blur():
    """The file was low-passed as if it went on at the opposite side: its outermost rows are not copies either."""
    padded = np.pad(noise(), ((24, 0), (0, 0)), mode="edge").astype(float)
    for _ in range(8):
        padded = (np.roll(padded, 1, axis=0) + 2 * padded + np.roll(padded, -1, axis=0)) / 4
    assert 20 <= find_border(padded.astype(np.float32)).top <= 26


def test_what_is_still_in_the_middle_is_no_border():
    image = noise()
    image[90:110] = image[90]
    assert not any(find_border(image))


def test_a_dead_line_near_the_border_is_none():
    """As at the seam of a detector."""
    image = noise()
    image[20:24] = image[20]
    assert not any(find_border(image))


@pytest.mark.parametrize("shape", [(1, 1), (3, 300), (300, 3)])
def test_tiny_and_constant_images_have_none(shape):
    assert find_border(np.ones(shape, np.float32)) == Border()
    assert find_border(noise(shape)) == Border()


def test_a_prepared_micrograph_says_how_much_of_it_is_border():
    full = np.repeat(np.repeat(np.pad(noise(), WIDTHS, mode="edge"), 4, axis=0), 4, axis=1)
    prepared = prepare(full, Preparation(working_diameter_px=24), diameter_px=96)
    assert prepared.border == Border(top=9, bottom=6, left=0, right=12)


def test_what_a_map_says_inside_runs_on_over_the_border():
    """At a quarter of the scale. So a film that reaches into the border reaches the edge of the map."""
    values = np.arange(50 * 80, dtype=np.float32).reshape(50, 80)
    extended = Border(top=8, bottom=4, left=0, right=12).extended(values, of=(200, 320))
    assert (extended == np.pad(values[2:49, :77], ((2, 1), (0, 3)), mode="edge")).all()


def test_a_mask_is_true_in_the_border_alone():
    mask = Border(top=2, bottom=1, left=0, right=3).mask((6, 7))
    assert not mask[2:5, :4].any()
    assert mask.sum() == 6 * 7 - 3 * 4
