import numpy as np

from vitripick.geometry import Boxes, estimated_size_px, keep_sizes

PICKS = Boxes.at([1, 2, 3], [1, 1, 1], size_px=10, estimated_width=[4, 10, 30], estimated_height=[9, 10, 30])


def test_the_estimated_size_of_a_box_that_is_not_square_is_that_of_the_square_of_its_area():
    np.testing.assert_allclose(estimated_size_px(PICKS), [6, 10, 30])


def test_picks_outside_the_limits_are_left_out_and_the_limits_belong_to_them():
    assert keep_sizes(PICKS, minimum_px=10).x.tolist() == [2, 3]
    assert keep_sizes(PICKS, maximum_px=10).x.tolist() == [1, 2]
    assert keep_sizes(PICKS, minimum_px=7, maximum_px=20).x.tolist() == [2]
    assert len(keep_sizes(PICKS)) == 3


def test_labels_have_no_estimate_and_all_stay():
    assert len(keep_sizes(Boxes.at([1], [2], size_px=10), minimum_px=99)) == 1


def test_the_box_stands_in_for_a_missing_estimate_where_the_caller_asks_for_it():
    boxes = Boxes.at([1, 2], [2, 2], size_px=10, estimated_width=[np.nan, 99], estimated_height=[np.nan, 99])
    np.testing.assert_allclose(estimated_size_px(boxes, else_box_size=True), [10, 99])
    assert keep_sizes(boxes, minimum_px=20, else_box_size=True).x.tolist() == [2]
