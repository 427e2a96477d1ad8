"""Molecules as npz files, and the bundled ones."""

import numpy as np
import pytest

from vitripick.errors import InputError
from vitripick.simulation import bundled_structures, read_structure, save_structure


def test_an_npz_of_something_else_says_what_it_holds(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(InputError, match=r"other\.npz: holds a; a structure has xyz"):
        read_structure(tmp_path / "other.npz")


def test_a_saved_structure_reads_back(tmp_path, trpv3):
    save_structure(trpv3, tmp_path / "again.npz")
    again = read_structure(tmp_path / "again.npz")
    np.testing.assert_allclose(again.points, trpv3.points, atol=0.051)
    np.testing.assert_allclose(again.net, trpv3.net, rtol=1e-3)
    assert (again.kind, again.mass_kda, again.slab.radius) == ("membrane", trpv3.mass_kda, trpv3.slab.radius)


@pytest.mark.parametrize("name", sorted(bundled_structures()))
def test_every_bundled_structure_reads(name):
    structure = read_structure(bundled_structures()[name])
    # Net amplitude per dalton: what the ice leaves of 0.17-0.21 Å.
    assert 60 < structure.net.sum() / structure.mass_kda < 115
    assert 50 < structure.diameter_angstrom < 500
    assert (structure.slab is not None) == (structure.kind == "membrane")
