"""Which files are structures, and where they are found."""

import pytest

from vitripick.errors import InputError
from vitripick.simulation import bundled_structures, find_structures, read_structure


def test_a_folder_gives_its_structures_and_an_unknown_name_lists_the_bundled_ones(model_file, tmp_path):
    model_file(tmp_path / "b.pdb")
    model_file(tmp_path / "a.cif")
    (tmp_path / "notes.txt").write_text("no structure")
    assert [path.name for path in find_structures([tmp_path])] == ["a.cif", "b.pdb"]
    with pytest.raises(
        InputError, match=r"apoferritinn: neither a file or folder nor a bundled structure \(apoferritin"
    ):
        find_structures(["apoferritinn"])


def test_a_bundled_name_is_the_bundled_structure_even_beside_a_folder_of_that_name(model_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "apoferritin").mkdir()
    model_file(tmp_path / "apoferritin" / "mine.pdb")
    assert find_structures(["apoferritin"]) == [bundled_structures()["apoferritin"]]
    assert [path.name for path in find_structures(["./apoferritin"])] == ["mine.pdb"]


@pytest.mark.parametrize("name", ["emd_1.map.gz", "a.npz.gz"])
def test_a_packed_map_says_how_to_unpack_it(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x1f\x8b")
    with pytest.raises(InputError, match=rf"{name}: only mmCIF and PDB .* gunzip, and give {name[:-3]}"):
        read_structure(tmp_path / name)
