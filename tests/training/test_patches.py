"""In patch mode training sees the same patches that picking cuts, at the same scale."""

import cv2
import numpy as np
import pytest

from vitripick.formats import read_micrograph
from vitripick.images import patch_windows, prepare
from vitripick.models import build_detector
from vitripick.training import default_settings
from vitripick.training.data import load_training_data


@pytest.fixture(scope="module")
def patched(session_set):
    settings = default_settings("yolo", input_size_px=96, patches=(2, 3))
    detector = build_detector("yolo", {"input_size_px": 96})
    whole = detector.default_preparation()
    preparation = whole.with_patches((2, 3))
    return load_training_data([session_set], settings, preparation), preparation


def test_each_training_micrograph_becomes_its_patches(patched, session_set):
    data, preparation = patched
    assert len(data.training) == 3 * 6
    name = data.training[0].name
    image = prepare(read_micrograph(f"{session_set.micrographs}/{name}").image, preparation).image
    for sample, window in zip(data.training[:6], patch_windows(image.shape, (2, 3)), strict=True):
        cut = image[window.top : window.bottom, window.left : window.right]
        np.testing.assert_array_equal(sample.image, cut)


def test_no_label_is_lost_and_each_lies_where_its_particle_is(patched):
    data, _ = patched
    for first in range(0, 18, 6):
        assert sum(len(sample.labels) for sample in data.training[first : first + 6]) >= 14
    depths = []
    for sample in data.training:
        at = np.round(sample.labels[:, :2]).astype(int)
        depths += list(cv2.blur(sample.image, (5, 5))[at[:, 1], at[:, 0]] - sample.image.mean())
    assert np.mean(np.array(depths) < 0) > 0.95


def test_validation_micrographs_stay_whole_and_are_seen_in_patches(patched):
    (sample,) = patched[0].validation
    assert sample.patches == (2, 3)
    assert max(sample.image.shape) > 96
