"""What a network makes of what it was shown: negatives, things that no one labelled, particles of several sizes."""

import numpy as np
import pytest

from vitripick.formats import read_micrograph, write_mrc, write_picks
from vitripick.geometry import Boxes, estimated_size_px, match
from vitripick.picking import pick
from vitripick.training import TrainingSet, default_settings, train

SHAPE = (200, 240)
SETTINGS = default_settings(
    options={"width": 16},
    steps=120,
    steps_per_epoch=40,
    batch_size=8,
    crop_px=96,
    working_diameter_px=16,
    learning_rate=4e-3,
)


def places(seed):
    """Twenty places on a shaken grid."""
    rng = np.random.default_rng(seed)
    grid_y, grid_x = np.mgrid[:4, :5] * 46.0 + 28.0
    return [(grid + rng.uniform(-5, 5, grid.shape)).ravel() for grid in (grid_x, grid_y)]


def drawn(seed, things):
    """Noise with a thing at each place: "disc" and its radius, or "ring" and its radius."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = np.random.default_rng(seed + 1000).standard_normal(SHAPE)
    for x, y, (kind, radius) in zip(*places(seed), things, strict=True):
        distance = np.hypot(columns - x, rows - y)
        inside = distance < radius if kind == "disc" else np.abs(distance - radius) < 2.5
        image -= (1.6 if kind == "disc" else 2.2) * inside
    return image.astype(np.float32)


def write(folder, seed, things, labelled, sizes):
    x, y = places(seed)
    write_mrc(folder / "m" / f"m{seed}.mrc", drawn(seed, things), pixel_size=4.0)
    labels = Boxes.at(x, y, size_px=np.asarray(sizes, float)).select(np.asarray(labelled, bool))
    write_picks(labels, folder / "l" / f"m{seed}.csv")


def trained(folder, settings=SETTINGS):
    entry = TrainingSet(micrographs=str(folder / "m"), labels=str(folder / "l"))
    return train(entry, folder / "run", settings=settings, device="cpu").model


def picked(folder, model, seed, things):
    write_mrc(folder / "new.mrc", drawn(seed, things), pixel_size=4.0)
    picks = pick(read_micrograph(folder / "new.mrc"), model)
    return picks, match(picks, Boxes.at(*places(seed)), criterion="distance", distance_px=6)


MIXED = [("disc", 10), ("ring", 9)] * 10


def test_only_what_was_taught_is_picked(tmp_path):
    """Like a sample where only the side views were labelled."""
    for seed in range(4):
        write(tmp_path, seed, MIXED, [True, False] * 10, [20.0] * 20)
    _, found = picked(tmp_path, trained(tmp_path), 50, MIXED)
    things = found[found >= 0]
    assert (things % 2 == 0).sum() >= 8
    assert (things % 2 == 1).sum() <= 1


@pytest.fixture(scope="module")
def two_sizes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sizes")
    things = [("disc", 8), ("disc", 14)] * 10
    for seed in range(4):
        write(folder, seed, things, [True] * 20, [16.0, 28.0] * 10)
    return folder, trained(folder), things


def test_labels_of_several_sizes_teach_the_network_to_tell_them(two_sizes):
    folder, model, things = two_sizes
    picks, found = picked(folder, model, 50, things)
    size = estimated_size_px(picks)
    small, large = (size[(found >= 0) & (found % 2 == parity)] for parity in (0, 1))
    assert len(small) >= 7
    assert len(large) >= 7
    assert np.median(large) > 1.35 * np.median(small)


def test_where_label_sizes_vary_validation_judges_the_sizes_that_the_network_saw(two_sizes):
    """With boxes of one size no pick of these would reach IoU 0.6: 16 in 22 px is 0.53, 22 in 28 is 0.62."""
    validation = two_sizes[1].card.training["validation"]
    assert validation["auc_iou"] > 0.6


def test_a_micrograph_labelled_empty_teaches_what_is_no_particle(tmp_path):
    """Rings lie nowhere in the labelled micrographs, so only the empty one can tell that they are none."""
    rings = [("ring", 9)] * 20
    for seed in range(3):
        write(tmp_path, seed, [("disc", 10)] * 20, [True] * 20, [20.0] * 20)
    unwarned, _ = picked(tmp_path, trained(tmp_path), 50, rings)
    for seed in (10, 11):
        write(tmp_path, seed, rings, [False] * 20, [20.0] * 20)
    (tmp_path / "run").rename(tmp_path / "before")
    warned, _ = picked(tmp_path, trained(tmp_path), 50, rings)
    assert len(warned) <= 2
    assert len(unwarned) >= len(warned) + 5
