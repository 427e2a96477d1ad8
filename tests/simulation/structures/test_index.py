"""What an index.csv says about the structures beside it."""

import numpy as np
import pytest

from vitripick.errors import InputError
from vitripick.simulation import bundled_structures, read_structure, save_structure


def test_an_index_beside_the_file_says_what_it_is(model_file, tmp_path):
    model_file(tmp_path / "chain.pdb")
    (tmp_path / "index.csv").write_text("file,kind,mw_kda\nchain.pdb,virus,5\n")
    assert read_structure(tmp_path / "chain.pdb").kind == "virus"


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("chain.pdb,mebrane,5", r"index\.csv, line 3: 'mebrane' is not a kind of structure; write one of soluble"),
        ("chain.pdb,soluble,abc", r"index\.csv, line 3: mw_kda should be .*, not 'abc'"),
        ("chain.pdb,soluble,-1", r"index\.csv, line 3: mw_kda should be .*, not '-1'"),
    ],
)
def test_an_index_that_cannot_be_right_is_named_with_its_line(model_file, tmp_path, row, complaint):
    model_file(tmp_path / "chain.pdb")
    (tmp_path / "index.csv").write_text(f"file,kind,mw_kda\nother.pdb,virus,7\n{row}\n")
    with pytest.raises(InputError, match=complaint):
        read_structure(tmp_path / "chain.pdb")


def test_a_saved_structure_is_what_an_index_or_a_caller_says_and_has_a_membrane_accordingly(tmp_path, trpv3):
    save_structure(trpv3, tmp_path / "mine.npz")
    (tmp_path / "index.csv").write_text("file,kind,mw_kda\nmine.npz,soluble,77\n")
    by_index = read_structure(tmp_path / "mine.npz")
    assert (by_index.kind, by_index.mass_kda, by_index.slab) == ("soluble", 77, None)
    apoferritin = bundled_structures()["apoferritin"]
    assert read_structure(apoferritin).slab is None
    assert read_structure(apoferritin, kind="membrane").slab.radius > 0
    # Its own membrane is better than a guess.
    own = np.load(bundled_structures()["trpv3"])["slab_radius"]
    assert read_structure(bundled_structures()["trpv3"], kind="membrane").slab.radius == own
