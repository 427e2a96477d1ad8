"""People leave out particles that the border cuts; where they did not, the border teaches as any other place does."""

import numpy as np
import pytest

from vitripick.formats import write_mrc, write_picks
from vitripick.geometry import Boxes
from vitripick.images import Preparation
from vitripick.training import TrainingSet, default_settings
from vitripick.training.data import labels_reach_border, load_training_data
from vitripick.training.samples import Knowledge, Sample
from vitripick.training.training_crops import draw_whole

SHAPE, DIAMETER = (200, 300), 20.0


def labels_from(border_px, seed=0, n=60):
    rng = np.random.default_rng(seed)
    low, high = border_px, np.array(SHAPE[::-1]) - 1 - border_px
    return np.column_stack([rng.uniform(low, high, (n, 2)), np.full((n, 2), DIAMETER)]).astype(np.float32)


def sample(labels, **known):
    return Sample("m.mrc", 0, np.zeros(SHAPE, np.float32), labels, DIAMETER, Knowledge(**known))


def reach(*labels):
    return labels_reach_border([sample(one) for one in labels], 0.5)


def test_labels_all_over_reach_the_border():
    assert reach(*(labels_from(0, seed) for seed in range(4)))


def test_labels_that_keep_half_a_box_away_or_thin_out_before_it_do_not():
    assert not reach(*(labels_from(DIAMETER / 2, seed) for seed in range(4)))
    assert not reach(*(labels_from(0.35 * DIAMETER, seed) for seed in range(4)))


def test_nobody_knows_from_micrographs_without_labels_or_smaller_than_a_particle():
    assert not reach(labels_from(0)[:0])
    assert not labels_reach_border([Sample("s.mrc", 0, np.zeros((8, 8), np.float32), labels_from(0), DIAMETER)], 0.5)


@pytest.fixture(params=[(0, True), (DIAMETER / 2, False)], ids=["up to the border", "not"])
def labelled(request, tmp_path):
    border_px, reaches = request.param
    rng = np.random.default_rng(0)
    for seed in range(4):
        write_mrc(tmp_path / "m" / f"a{seed}.mrc", rng.standard_normal(SHAPE).astype(np.float32))
        x, y, *_ = labels_from(border_px, seed).T
        write_picks(Boxes.at(x, y, size_px=DIAMETER), tmp_path / "l" / f"a{seed}.csv")
    return TrainingSet(micrographs=str(tmp_path / "m"), labels=str(tmp_path / "l")), reaches


def test_the_border_teaches_in_full_where_labels_reach_it_and_a_fifth_where_not(labelled):
    entry, reaches = labelled
    settings = default_settings("yolo", augmentation={"shift_px": 0})
    data = load_training_data([entry], settings, Preparation(scale_by="long_side", input_size_px=300))
    whole = draw_whole(data.training[0], np.random.default_rng(0), settings, 1)
    assert whole.weight[100, 150] == 1
    for edge in (whole.weight[:10], whole.weight[-10:], whole.weight[:, :10], whole.weight[:, -10:]):
        assert edge.min() == pytest.approx(1.0 if reaches else 0.2)


def test_seams_between_patches_are_unknown_edges_whatever_the_labels_reach(labelled):
    entry, reaches = labelled
    settings = default_settings("yolo", augmentation={"shift_px": 0})
    preparation = Preparation(scale_by="long_side", input_size_px=300).with_patches((1, 2))
    left, right = load_training_data([entry], settings, preparation).training[:2]
    assert left.knowledge.unknown_edges == (not reaches, not reaches, not reaches, True)
    assert right.knowledge.unknown_edges == (not reaches, not reaches, True, not reaches)
