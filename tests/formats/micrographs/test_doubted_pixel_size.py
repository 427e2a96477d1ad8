"""A header of exactly 1 Å per pixel, which programs write where they know none, is doubted."""

import numpy as np
import pytest

from vitripick.formats import read_micrograph, write_mrc
from vitripick.formats.micrographs.on_disk import open_micrograph

OPENERS = [read_micrograph, open_micrograph, lambda path, **given: open_micrograph(path, **given).in_memory()]


@pytest.fixture
def path(tmp_path):
    write_mrc(tmp_path / "a.mrc", np.random.default_rng(0).standard_normal((40, 50)).astype(np.float32), pixel_size=1.0)
    return tmp_path / "a.mrc"


@pytest.mark.parametrize("opened", OPENERS, ids=["read", "open", "open, then read"])
def test_exactly_one_is_doubted_once(path, opened):
    assert len([warning for warning in opened(path).warnings if "exactly 1 Å" in warning]) == 1
    assert opened(path).pixel_size == 1.0


@pytest.mark.parametrize("opened", OPENERS, ids=["read", "open", "open, then read"])
def test_one_that_a_person_or_a_star_gave_is_not(path, opened):
    assert not opened(path, pixel_size=1.0).warnings
    assert not opened(path, pixel_size=2.0).warnings
