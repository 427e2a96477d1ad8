"""Overlays and montages: what must not crash, what must be seen where."""

import cv2
import numpy as np
import pytest

from vitripick.geometry import Boxes
from vitripick.pictures import draw_overlay, montage_png, overlay_png
from vitripick.pictures.drawing import bgr, confidence_colours, grey_levels, jpeg_of
from vitripick.pictures.overlay import _FALSE, _MISSED, _STRIP_PX, _TRUE


def noise(rows=300, columns=400):
    return np.random.default_rng(0).normal(size=(rows, columns)).astype(np.float32)


def boxes_at(*places, size_px=40.0, confidence=np.nan):
    return Boxes.at([x for x, _ in places], [y for _, y in places], size_px=size_px, confidence=confidence)


def pixels(png):
    return cv2.imdecode(np.frombuffer(png, dtype=np.uint8), cv2.IMREAD_COLOR)


def where(picture, colour):
    """Mean (x, y) of the pixels of about this colour, above the strip; None where there are none."""
    off = np.abs(picture[:-_STRIP_PX].astype(int) - bgr(colour)).max(axis=2)
    y, x = np.nonzero(off < 40)
    return (x.mean(), y.mean()) if len(x) else None


def test_no_picks_leave_the_micrograph_grey():
    picture = pixels(overlay_png(noise(), Boxes.empty()))[:-_STRIP_PX]
    assert (picture[:, :, 0] == picture[:, :, 1]).all()
    assert (picture[:, :, 1] == picture[:, :, 2]).all()


def test_a_constant_micrograph_is_mid_grey():
    picture = pixels(overlay_png(np.full((50, 60), 7, dtype=np.float32), Boxes.empty()))
    assert (picture[:-_STRIP_PX] == 128).all()


def test_a_micrograph_that_is_not_square_keeps_its_shape_and_gets_a_strip():
    picture = pixels(overlay_png(noise(300, 400), Boxes.empty(), max_side=200))
    assert picture.shape == (150 + _STRIP_PX, 200, 3)


def test_a_small_micrograph_is_enlarged_at_most_twice():
    picture = pixels(overlay_png(noise(30, 40), Boxes.empty(), max_side=1400))
    assert picture.shape[:2] == (60 + _STRIP_PX, 80)


def test_row_zero_is_at_the_top():
    image = np.zeros((100, 100), dtype=np.float32)
    image[:50] = 1
    picture = pixels(overlay_png(image, Boxes.empty(), max_side=100))
    assert picture[10, 50, 0] > 200
    assert picture[90, 50, 0] < 50


def test_a_true_pick_is_green_where_it_lies():
    labels = boxes_at((300, 80))
    picture = pixels(overlay_png(noise(), labels, labels=labels, max_side=800))
    assert where(picture, _TRUE) == pytest.approx((600, 160), abs=2)


def test_a_false_pick_is_orange_and_a_missed_label_blue():
    picture = pixels(overlay_png(noise(), boxes_at((100, 200)), labels=boxes_at((300, 80)), max_side=800))
    assert where(picture, _FALSE) == pytest.approx((200, 400), abs=2)
    assert where(picture, _MISSED) == pytest.approx((600, 160), abs=4)
    assert where(picture, _TRUE) is None


def test_picks_below_the_threshold_are_not_drawn_and_their_labels_missed():
    labels = boxes_at((300, 80))
    picks = boxes_at((300, 80), confidence=0.2)
    picture = pixels(overlay_png(noise(), picks, labels=labels, threshold=0.5))
    assert where(picture, _TRUE) is None
    assert where(picture, _MISSED) is not None


def test_a_label_that_the_border_cuts_is_not_missed():
    """Such particles are not exported, so a picture full of misses along its sides would say nothing."""
    picture = pixels(overlay_png(noise(), boxes_at((100, 200)), labels=boxes_at((300, 10), (392, 150)), max_side=800))
    assert where(picture, _MISSED) is None


def test_a_matching_of_the_callers_goes_before_our_own():
    labels = boxes_at((300, 80))
    picture = pixels(overlay_png(noise(), labels, labels=labels, found=np.array([-1])))
    assert where(picture, _TRUE) is None
    assert where(picture, _FALSE) is not None


def test_picks_without_a_size_are_drawn_nevertheless():
    picture = pixels(overlay_png(noise(), boxes_at((100, 200), size_px=np.nan), labels=Boxes.empty()))
    assert where(picture, _FALSE) is not None


def test_picks_outside_the_micrograph_do_no_harm():
    overlay_png(noise(), boxes_at((-1000, 5000), confidence=0.9))


def test_junk_is_tinted_where_it_lies_and_the_rest_is_left_alone():
    junk = np.zeros((6, 8), dtype=np.float32)
    junk[:3, 4:] = 1
    plain = pixels(overlay_png(noise(), Boxes.empty(), max_side=400)).astype(int)
    tinted = pixels(overlay_png(noise(), Boxes.empty(), max_side=400, junk=junk)).astype(int)
    changed = (tinted != plain).any(axis=2)[:-_STRIP_PX]
    assert changed[:140, 210:].mean() > 0.99
    assert not changed[160:].any()
    assert not changed[:, :190].any()
    inner = tinted[20:120, 240:380]
    assert (inner[:, :, 2] - inner[:, :, 0]).mean() > 15  # red and green above blue: yellow
    assert inner.std(axis=(0, 1)).min() > 0.6 * plain[20:120, 240:380].std()  # what lies below is still seen


def test_the_strip_says_how_much_is_junk():
    junk = np.ones((6, 8), dtype=np.float32)
    with_junk, without = (pixels(overlay_png(noise(), Boxes.empty(), junk=j))[-_STRIP_PX:] for j in (junk, None))
    assert (with_junk != without).any()


def test_a_map_without_junk_leaves_the_picture_as_it_is():
    junk = np.full((6, 8), 0.4, dtype=np.float32)
    pictures = [pixels(overlay_png(noise(), Boxes.empty(), junk=j))[:-_STRIP_PX] for j in (junk, None)]
    assert (pictures[0] == pictures[1]).all()


def test_the_overlay_is_written_whole(tmp_path):
    path = tmp_path / "new folder" / "überblick.png"
    draw_overlay(noise(), boxes_at((100, 100), confidence=0.9), path, title="ein Name" * 40)
    assert pixels(path.read_bytes()).shape[1] == 800
    assert [p.name for p in path.parent.iterdir()] == ["überblick.png"]


def test_a_dead_pixel_does_not_darken_the_picture():
    image = noise()
    image[100, 100] = 1e6
    assert 90 < np.median(grey_levels(image)) < 165


def test_a_crystal_does_not_make_the_ice_flat():
    """A tenth of the picture, far darker than anything in the ice."""
    plain, image = noise(), noise()
    image[:60, :200] -= 40
    # The ice spans as much of the scale as without it, to within what the clipping at other ends makes of it.
    assert grey_levels(image)[70:].std() > 0.5 * grey_levels(plain)[70:].std()
    assert grey_levels(image)[:50, :190].max() == 0


def test_of_two_values_both_are_seen():
    image = np.zeros((100, 100), np.float32)
    image[:10] = 1
    assert set(np.unique(grey_levels(image, low_pass_px=0))) == {0, 255}


def test_what_is_not_a_number_does_not_spoil_the_picture():
    image = noise()
    image[:20] = np.nan
    assert grey_levels(image)[40:].std() > 30


def test_confidence_runs_from_magenta_to_cyan_and_none_is_white():
    assert confidence_colours(np.array([0, 1, np.nan])).tolist() == [
        [255, 0, 255],
        [255, 255, 0],
        [255, 255, 255],
    ]


def test_the_jpeg_of_a_noisy_picture_is_far_smaller():
    png = overlay_png(noise(), Boxes.empty())
    assert len(jpeg_of(png)) < len(png) / 2


def test_a_montage_has_as_many_crops_as_there_are_picks():
    confidence = np.linspace(0.1, 1, 20)
    picks = Boxes.at(np.full(20, 100.0), np.full(20, 100.0), size_px=30, confidence=confidence)
    picture = pixels(montage_png(noise(), picks, n_columns=8, thumbnail_px=40))
    assert picture.shape == (3 * (40 + 3 + 3) + 3, 8 * 43 + 3, 3)


def test_a_montage_starts_with_the_surest_pick():
    image = np.zeros((200, 200), dtype=np.float32)
    image[145:155, 145:155] = 1
    picks = boxes_at((50, 50), (150, 150), size_px=20, confidence=[0.3, 0.9])
    picture = pixels(montage_png(image, picks, thumbnail_px=40))
    assert picture[23, 23, 0] > 200
    assert picture[23, 23 + 43, 0] < 200


def test_a_montage_takes_picks_at_the_corner_and_beyond():
    montage_png(noise(), boxes_at((0, 0), (399, 299), (-500, 900), confidence=[0.9, 0.8, 0.7]))


def test_a_montage_of_no_picks_is_an_empty_sheet():
    assert (pixels(montage_png(noise(), Boxes.empty())) == 255).all()


def test_the_strip_holds_a_scale_bar_in_angstrom_and_the_size_of_the_circles():
    picks = boxes_at((100, 200), confidence=0.9)
    with_pixel_size = pixels(overlay_png(noise(300, 400), picks.of(pixel_size=2.0), max_side=1200))
    without = pixels(overlay_png(noise(300, 400), picks, max_side=1200))
    strips = [picture[-_STRIP_PX:] for picture in (with_pixel_size, without)]
    assert not np.array_equal(*strips)
    # The bar of 100 Å is 50 px of the micrograph, which is enlarged twice: a dark line of some 100 px.
    row = strips[0][_STRIP_PX // 2].max(axis=-1) < 90
    longest = max(len(run) for run in "".join("x" if dark else " " for dark in row).split())
    assert 90 <= longest <= 110


def test_a_narrow_picture_leaves_the_bar_out_and_is_drawn_all_the_same():
    overlay_png(noise(30, 40), boxes_at((10, 20), confidence=0.9), max_side=80)
