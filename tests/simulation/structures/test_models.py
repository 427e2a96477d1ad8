"""Molecules from mmCIF and PDB files."""

import gzip

import pytest

from vitripick.errors import InputError
from vitripick.simulation import read_structure
from vitripick.simulation.scattering import displaced_share
from vitripick.simulation.structures import models


@pytest.mark.parametrize("suffix", [".cif", ".pdb"])
def test_a_model_has_the_amplitude_of_its_atoms_and_their_hydrogens(model_file, tmp_path, suffix):
    structure = read_structure(model_file(tmp_path / f"chain{suffix}"))
    per_residue = (2.5088 + 1.25 * 0.5288) + (2.2134 + 0.5288) + (1.9834 + 0.25 * 0.5288)
    kept = 1 - displaced_share(nucleic=False)
    assert structure.net.sum() == pytest.approx(30 * per_residue * kept, rel=1e-3)
    assert structure.kind == "soluble"


@pytest.mark.parametrize("suffix", [".cif", ".pdb"])
def test_the_biological_assembly_is_built(model_file, tmp_path, suffix):
    path = model_file(tmp_path / f"dimer{suffix}", assembly=True)
    assert len(read_structure(path).points) == 2 * len(read_structure(path, assembly="asu").points) == 180


def test_an_assembly_that_is_not_there_is_named_with_those_that_are(model_file, tmp_path):
    path = model_file(tmp_path / "dimer.cif", assembly=True)
    with pytest.raises(InputError, match=r"dimer\.cif: defines assemblies 1, not '7'"):
        read_structure(path, assembly="7")


def test_a_model_of_nucleotides_is_a_nucleoprotein(model_file, tmp_path):
    assert read_structure(model_file(tmp_path / "rna.pdb", name="A")).kind == "nucleoprotein"


def test_a_structure_without_atoms_says_so(tmp_path):
    path = tmp_path / "none.pdb"
    path.write_text("HEADER    NOTHING\nEND\n")
    with pytest.raises(InputError, match=r"none\.pdb: there is not a single atom"):
        read_structure(path)


def test_a_file_that_is_no_mmcif_says_so(tmp_path):
    path = tmp_path / "bad.cif"
    path.write_text("this is { not cif")
    with pytest.raises(InputError, match=r"bad\.cif: cannot be read as mmCIF or PDB"):
        read_structure(path)


@pytest.mark.parametrize("suffix", [".cif", ".pdb"])
def test_a_packed_model_is_read_and_one_that_unpacks_to_too_much_or_is_cut_is_refused(
    model_file, tmp_path, monkeypatch, suffix
):
    plain, packed = model_file(tmp_path / f"chain{suffix}"), tmp_path / f"chain{suffix}.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert len(read_structure(packed).points) == len(read_structure(plain).points)
    (tmp_path / f"cut{suffix}.gz").write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"cut\..*\.gz: not a whole gzip file .*Copy it again"):
        read_structure(tmp_path / f"cut{suffix}.gz")
    monkeypatch.setattr(models, "_MOST_UNPACKED", 1000)
    with pytest.raises(InputError, match=r"chain\..*\.gz: unpacks to more than .* GiB; no molecule is so large"):
        read_structure(packed)
