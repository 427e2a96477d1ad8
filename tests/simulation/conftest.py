"""Molecules to simulate with."""

import numpy as np
import pytest

from vitripick.simulation import bundled_structures, read_structure, structure_from_points


@pytest.fixture(scope="session")
def trpv3():
    return read_structure(bundled_structures()["trpv3"])


@pytest.fixture(scope="session")
def apoferritin():
    return read_structure(bundled_structures()["apoferritin"])


@pytest.fixture(scope="session")
def lopsided():
    """A molecule without symmetry: a heavy ball with two arms of different length."""
    rng = np.random.default_rng(5)
    ball = rng.normal(0, 12, (600, 3))
    long_arm = np.column_stack([np.linspace(0, 80, 120), rng.normal(0, 4, 120), rng.normal(0, 4, 120)])
    short_arm = np.column_stack([rng.normal(0, 4, 60), np.linspace(0, 45, 60), rng.normal(0, 4, 60)])
    points = np.concatenate([ball, long_arm, short_arm])
    return structure_from_points("lopsided", points, np.full(len(points), 30.0), spread_angstrom=3.0)
