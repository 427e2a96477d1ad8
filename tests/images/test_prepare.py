import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitripick.errors import UsageError
from vitripick.images import Preparation, Prepared, prepare


@given(
    st.tuples(st.integers(200, 3000), st.integers(200, 3000)),
    st.floats(20, 300),
    st.floats(0, 199),
)
def test_coordinates_come_back_from_the_working_scale(shape, diameter, place):
    small = Preparation().working_shape(shape, diameter_px=diameter)
    prepared = Prepared(np.empty(small, np.float32), shape)
    x, y = prepared.to_full(*prepared.to_working(np.array([place]), np.array([place / 2])))
    np.testing.assert_allclose([x[0], y[0]], [place, place / 2], atol=1e-6)


@given(st.tuples(st.integers(400, 6000), st.integers(400, 6000)), st.floats(25, 300))
def test_a_micrograph_is_never_stretched(shape, diameter):
    rows, columns = Preparation().working_shape(shape, diameter_px=diameter)
    # One rounded pixel over the whole side is all that the two axes may differ by.
    assert abs(rows / shape[0] - columns / shape[1]) <= 0.5 / shape[0] + 0.5 / shape[1]


def test_the_particle_spans_the_working_diameter():
    preparation = Preparation(working_diameter_px=24)
    assert preparation.working_shape((1200, 1240), diameter_px=80) == (360, 372)


def test_the_long_side_becomes_the_input_size():
    preparation = Preparation(scale_by="long_side", input_size_px=1024)
    assert preparation.working_shape((4092, 5760), diameter_px=None) == (727, 1024)


def test_a_model_that_needs_a_diameter_says_so():
    with pytest.raises(UsageError, match="diameter_angstrom="):
        prepare(np.zeros((10, 10), np.float32), Preparation())


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match="workng_diameter_px"):
        Preparation(workng_diameter_px=24)
