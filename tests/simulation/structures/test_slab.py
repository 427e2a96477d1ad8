"""Where the membrane runs through a molecule."""

import numpy as np
import pytest

from vitripick.errors import InputError, UsageError
from vitripick.simulation import read_structure
from vitripick.simulation.structures.slab import find_slab


def test_the_membrane_is_where_the_surface_is_carbon():
    rng = np.random.default_rng(1)
    # A rod of 120 Å along a slanted axis, greasy from -20 to +10 Å.
    along, angle = rng.uniform(-60, 60, 6000), rng.uniform(0, 2 * np.pi, 6000)
    radius = 25 * np.sqrt(rng.uniform(0, 1, 6000))
    axis = np.array([1.0, 2.0, 2.0]) / 3
    first = np.array([2.0, 1.0, -2.0]) / 3
    second = np.cross(axis, first)
    points = np.outer(along, axis) + np.outer(radius * np.cos(angle), first) + np.outer(radius * np.sin(angle), second)
    carbon = rng.random(6000) < np.where((along > -20) & (along < 10), 0.9, 0.55)
    slab = find_slab(points, carbon)
    assert abs(slab.axis @ axis) > 0.97
    assert slab.middle * np.sign(slab.axis @ axis) == pytest.approx(-5, abs=6)
    assert slab.radius == pytest.approx(25, abs=3)


def test_trpv3_has_its_membrane_across_its_fourfold_axis(trpv3):
    assert abs(trpv3.slab.axis[2]) > 0.95
    # At one end: the other is in the cytosol.
    assert 20 < abs(trpv3.slab.middle) < 45


def test_a_membrane_that_finds_no_place_in_the_molecule_is_a_usage_error(tmp_path):
    points = np.array([[0, 0, 0], [0, 0, 300]], np.float32)
    np.savez(tmp_path / "far.npz", xyz=points, xyz_scale=1.0, weight=np.ones(2), weight_scale=1.0)
    with pytest.raises(UsageError, match=r"far\.npz: cannot be a membrane protein: .*; give it another kind"):
        read_structure(tmp_path / "far.npz", kind="membrane")


@pytest.mark.parametrize("kind", [None, "membrane"])
def test_a_single_atom_is_no_structure(tmp_path, kind):
    np.savez(tmp_path / "atom.npz", xyz=np.ones((1, 3)), xyz_scale=1.0, weight=np.ones(1), weight_scale=1.0)
    with pytest.raises(InputError, match=r"atom\.npz: a single atom"):
        read_structure(tmp_path / "atom.npz", kind=kind)
