"""A few absurd pixels are replaced, and this is said; what belongs to the picture stays."""

import numpy as np
import pytest

from vitripick.formats import read_micrograph, write_mrc
from vitripick.formats.micrographs.on_disk import open_micrograph
from vitripick.images import Preparation, prepare


def noise(shape=(400, 500)):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32) * 3 + 40


@pytest.mark.parametrize("value", [1e30, -1e30, 1e5])
@pytest.mark.parametrize("opened", [read_micrograph, open_micrograph], ids=["read", "on disk"])
def test_a_few_absurd_pixels_change_nothing_around_them_and_are_said(tmp_path, value, opened):
    image, spoilt = noise(), noise()
    spoilt[np.random.default_rng(1).random(image.shape) < 0.002] = value
    write_mrc(tmp_path / "clean.mrc", image)
    write_mrc(tmp_path / "spoilt.mrc", spoilt)
    clean, found = (
        prepare(opened(tmp_path / name), Preparation(), diameter_px=96) for name in ("clean.mrc", "spoilt.mrc")
    )
    assert np.abs(clean.image - found.image).mean() < 0.1
    assert any("standard deviations from the others" in warning for warning in found.warnings)
    assert not clean.warnings


def test_a_border_of_zeros_and_an_image_of_few_values_stay(tmp_path):
    bordered = noise() * 20
    bordered[:, :9] = 0
    few = (np.random.default_rng(0).random((400, 500)) < 0.1).astype(np.float32)
    for name, image in (("bordered.mrc", bordered), ("few.mrc", few)):
        write_mrc(tmp_path / name, image)
        assert np.array_equal(read_micrograph(tmp_path / name).image, image)
        assert not read_micrograph(tmp_path / name).warnings
