import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitripick.errors import UsageError
from vitripick.images import Preparation, patch_windows, prepare


@given(st.integers(40, 900), st.integers(40, 900), st.integers(1, 4), st.integers(1, 4))
def test_patches_cover_the_image_and_are_of_one_size(height, width, rows, columns):
    windows = patch_windows((height, width), (rows, columns))
    covered = np.zeros((height, width), int)
    for window in windows:
        covered[window.top : window.bottom, window.left : window.right] += 1
    assert len(windows) == rows * columns
    assert covered.min() >= 1
    assert len({(w.height, w.width) for w in windows}) == 1


@given(st.integers(200, 4000), st.integers(2, 5))
def test_neighbours_share_a_fifth_of_their_side(length, n):
    windows = patch_windows((length, length), (1, n))
    for one, other in itertools.pairwise(windows):
        assert one.right - other.left == pytest.approx(0.2 * one.width, abs=2)


def test_each_patch_has_the_input_size_on_its_long_side():
    preparation = Preparation(scale_by="long_side", input_size_px=512, patches=(2, 3))
    image = np.random.default_rng(0).standard_normal((600, 1100)).astype(np.float32)
    prepared = prepare(image, preparation)
    windows = patch_windows(prepared.image.shape, preparation.patches)
    assert max(windows[0].height, windows[0].width) == pytest.approx(512, abs=1)
    assert prepared.scale[0] == pytest.approx(prepared.scale[1], rel=1e-2)


def test_one_patch_is_the_whole_micrograph():
    assert Preparation(scale_by="long_side", input_size_px=512).working_shape((300, 600), diameter_px=None) == (
        256,
        512,
    )


def test_a_network_that_sees_particles_at_one_size_needs_no_patches():
    with pytest.raises(UsageError, match="leave patches= out"):
        Preparation().with_patches((2, 2))
