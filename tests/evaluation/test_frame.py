"""Labels in another frame than the micrographs: noticed, with the option that mends them, and never without reason."""

import dataclasses

import numpy as np
import pytest

from made import rings
from vitripick.evaluation import Seen, check_frame, evaluate, random_places, seen_by_picks
from vitripick.formats import read_micrograph, read_picks
from vitripick.geometry import Boxes
from vitripick.images import spot_maps

SHAPE = (700, 900)
WRONG = {
    "flip_y": (lambda b: dataclasses.replace(b, y=SHAPE[0] - 1 - b.y), {"flip_y": True}),
    "swap_xy": (lambda b: dataclasses.replace(b, x=b.y, y=b.x), {"swap_xy": True}),
    "corners": (lambda b: dataclasses.replace(b, x=b.x - 15, y=b.y - 15), {"move_px": 15}),
    "centres": (lambda b: dataclasses.replace(b, x=b.x + 15, y=b.y + 15), {"move_px": -15}),
    **{f"times {f:g}": (lambda b, f=f: b.scaled(f), {"scale": 1 / f}) for f in (2, 4, 8, 1 / 2, 1 / 4, 1 / 8)},
}


def particles(*, n=100, seed=0):
    """Return labels of 30 px in the left lower two thirds of the micrograph."""
    places = random_places(n, (470, 620), diameter_px=36, generator=np.random.default_rng(seed))
    return Boxes.at(places.x + 20, places.y + 15, size_px=30, confidence=np.full(n, 0.9), shape=SHAPE)


def image_of(boxes, *, sign=-1.0, seed=1):
    image = np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for x, y in boxes.centres:
        image += sign * 1.5 * (np.hypot(columns - x, rows - y) < 13)
    return image


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("sign", [-1.0, 1.0], ids=["dark", "white"])
def test_labels_in_another_frame_are_noticed_on_the_image_alone(kind, sign):
    right = particles()
    spoil, options = WRONG[kind]
    labels = spoil(right)
    hint = check_frame(
        [Seen(labels, SHAPE, spot_maps(image_of(right, sign=sign), diameter_px=labels.box_size_px))],
        half_box_px=15,
    )
    assert hint is not None
    assert hint.reading.options == options


@pytest.mark.parametrize("size_px", [30, 45, None])
@pytest.mark.parametrize("sign", [-1.0, 1.0], ids=["dark", "white"])
def test_labels_in_the_right_frame_raise_no_alarm(size_px, sign):
    right = particles()
    seen = [Seen(right, SHAPE, spot_maps(image_of(right, sign=sign), diameter_px=size_px))]
    assert check_frame(seen, half_box_px=None if size_px is None else size_px / 2) is None


def test_labels_that_fit_nowhere_raise_no_alarm():
    nowhere = [Seen(particles(), SHAPE, spot_maps(image_of(particles(seed=5, n=0)), diameter_px=30))]
    assert check_frame(nowhere, half_box_px=15) is None


@pytest.mark.parametrize("kind", WRONG)
def test_evaluate_says_which_option_mends_the_labels(kind):
    right = particles()
    spoil, options = WRONG[kind]
    labels = spoil(right).of(shape=SHAPE)
    labels = dataclasses.replace(labels, confidence=np.full(len(labels), np.nan))
    result = evaluate(right, labels, n_bootstrap=0)
    ((name, _),) = options.items()
    assert name in result.frame_hint
    assert "F1 1.00 instead of 0." in result.frame_hint
    assert result.frame_hint in result.table()
    assert result.to_dict()["frame_hint"] == result.frame_hint


def test_evaluate_says_nothing_of_frames_where_picks_are_as_bad_in_each():
    picks, labels = particles(seed=1, n=40), particles(seed=2, n=40)
    moved = dataclasses.replace(labels, x=labels.x + 150, y=labels.y + 37)
    assert evaluate(picks, moved, n_bootstrap=0).frame_hint is None


def test_real_labels_are_in_the_frame_of_their_micrographs():
    stem = "May08_03.05.02"
    micrograph = read_micrograph(f"examples/apoferritin/micrographs/{stem}.mrc")
    labels = read_picks(f"examples/apoferritin/labels/{stem}.csv")
    maps = spot_maps(micrograph.image, diameter_px=labels.box_size_px)
    assert check_frame([Seen(labels, micrograph.shape, maps)], half_box_px=labels.box_size_px / 2) is None
    turned = dataclasses.replace(labels, y=micrograph.shape[0] - 1 - labels.y)
    hint = check_frame([Seen(turned, micrograph.shape, maps)], half_box_px=labels.box_size_px / 2)
    assert "flip_y=True" in str(hint)


def test_labels_outside_the_micrograph_are_counted_apart_from_those_on_the_border():
    labels = Boxes.at([50, 2, 900, 1000], [50, 50, 50, 50], size_px=20, shape=(100, 100))
    result = evaluate(labels.select([0]), labels, n_bootstrap=0, chance_level=False)
    assert (result.n_labels, result.n_labels_ignored, result.n_labels_outside) == (1, 3, 2)
    assert "1, 1 more on the border ignored, 2 more outside of the micrograph" in result.table()


def test_picks_are_a_soft_spot_each():
    picks = particles(n=3)
    (spots,) = seen_by_picks(picks, picks, SHAPE, diameter_px=30).maps
    assert spots.sum() == pytest.approx(3, rel=1e-3)


def test_few_labels_say_nothing():
    labels = Boxes.at([80, 200, 320], [80, 200, 320], size_px=60)
    assert check_frame([Seen(labels, (400, 400), spot_maps(rings(), diameter_px=60))], half_box_px=30) is None
