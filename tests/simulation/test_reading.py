"""Structure files, good and bad."""

import gemmi
import numpy as np
import pytest

from vitripick.errors import InputError, UsageError
from vitripick.formats import write_mrc
from vitripick.simulation import bundled_structures, find_structures, read_structure, save_structure, structure_from_map
from vitripick.simulation.scattering import displaced_share


def model_file(path, *, residues=30, assembly=False, name="ALA", first=(10.0, 5.0, 0.0)):
    """A made-up chain along x, written by gemmi."""
    model = gemmi.Structure()
    model.name = "test"
    model.add_model(gemmi.Model(1))
    chain = gemmi.Chain("A")
    for i in range(residues):
        residue = gemmi.Residue()
        residue.name, residue.seqid = name, gemmi.SeqId(i + 1, " ")
        residue.entity_type = gemmi.EntityType.Polymer
        for element in ("N", "C", "O"):
            atom = gemmi.Atom()
            atom.name, atom.element = element, gemmi.Element(element)
            atom.pos = gemmi.Position(first[0] + 3 * i, first[1] + {"N": 0, "C": 1.4, "O": 2.5}[element], first[2])
            residue.add_atom(atom)
        chain.add_residue(residue)
    model[0].add_chain(chain)
    model.setup_entities()
    if assembly:
        twofold = gemmi.Assembly("1")
        generator = gemmi.Assembly.Gen()
        generator.chains = ["A"]
        for matrix in (np.eye(3), np.diag([-1.0, -1.0, 1.0])):
            operator = gemmi.Assembly.Operator()
            operator.transform = gemmi.Transform(gemmi.Mat33(matrix.tolist()), gemmi.Vec3(0, 0, 0))
            generator.operators.append(operator)
        twofold.generators.append(generator)
        model.assemblies.append(twofold)
    if path.suffix == ".cif":
        model.make_mmcif_document().write_file(str(path))
    else:
        model.write_pdb(str(path))
    return path


@pytest.mark.parametrize("suffix", [".cif", ".pdb"])
def test_a_model_has_the_amplitude_of_its_atoms_and_their_hydrogens(tmp_path, suffix):
    structure = read_structure(model_file(tmp_path / f"chain{suffix}"))
    per_residue = (2.5088 + 1.25 * 0.5288) + (2.2134 + 0.5288) + (1.9834 + 0.25 * 0.5288)
    kept = 1 - displaced_share(nucleic=False)
    assert structure.net.sum() == pytest.approx(30 * per_residue * kept, rel=1e-3)
    assert structure.kind == "soluble"


@pytest.mark.parametrize("suffix", [".cif", ".pdb"])
def test_the_biological_assembly_is_built(tmp_path, suffix):
    path = model_file(tmp_path / f"dimer{suffix}", assembly=True)
    assert len(read_structure(path).points) == 2 * len(read_structure(path, assembly="asu").points) == 180


def test_an_assembly_that_is_not_there_is_named_with_those_that_are(tmp_path):
    path = model_file(tmp_path / "dimer.cif", assembly=True)
    with pytest.raises(InputError, match=r"dimer\.cif: defines assemblies 1, not '7'"):
        read_structure(path, assembly="7")


def test_a_model_of_nucleotides_is_a_nucleoprotein(tmp_path):
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


def ball_map(n=40, radius=10):
    z, y, x = np.mgrid[:n, :n, :n]
    distance = np.sqrt((z - 22.4) ** 2 + (y - 18.3) ** 2 + (x - 19.8) ** 2)
    return np.clip(radius - distance, 0, 1).astype(np.float32)


def test_a_map_on_any_scale_gets_the_contrast_of_its_mass(tmp_path):
    for scale in (0.01, 50.0):
        structure = structure_from_map("ball", ball_map() * scale, 3.0, mass_kda=100)
        assert structure.net.sum() == pytest.approx(100_000 * 0.204 * (1 - displaced_share(nucleic=False)), rel=1e-3)


def test_a_maps_origin_is_its_centre_of_mass():
    structure = structure_from_map("ball", ball_map(), 3.0)
    centre = np.average(structure.points, axis=0, weights=structure.net)
    assert np.abs(centre).max() < 0.3  # Å; a tenth of a voxel


def test_noise_around_a_map_is_masked_off():
    noisy = ball_map() + np.random.default_rng(1).normal(0, 0.05, (40, 40, 40)).astype(np.float32)
    structure = structure_from_map("ball", noisy, 3.0)
    assert structure.diameter_angstrom < 1.6 * 60


def test_a_map_file_keeps_its_axes(tmp_path):
    volume = np.zeros((30, 30, 30), np.float32)
    volume[15, 15, 5:25] = 1.0  # a rod along x, the fastest axis of the file
    volume[14:17, 14:17, 5:25] += 0.5
    import mrcfile

    with mrcfile.new(tmp_path / "rod.mrc") as file:
        file.set_data(volume)
        file.voxel_size = 4.0
    spans = np.ptp(read_structure(tmp_path / "rod.mrc").points, axis=0)
    assert spans[0] > 3 * spans[1]
    assert spans[0] > 3 * spans[2]


def test_a_map_with_nan_says_how_many(tmp_path):
    volume = ball_map()
    volume[0, 0, :3] = np.nan
    with pytest.raises(InputError, match="3 of the map's voxels are NaN"):
        structure_from_map("ball", volume, 3.0)


def test_an_empty_map_says_so():
    with pytest.raises(InputError, match="no positive density"):
        structure_from_map("ball", np.zeros((8, 8, 8), np.float32), 3.0)


def test_a_map_without_a_pixel_size_says_so(tmp_path):
    write_mrc(tmp_path / "flat.mrc", np.ones((8, 8)))
    with pytest.raises(InputError, match=r"flat\.mrc: the map's header says no pixel size"):
        read_structure(tmp_path / "flat.mrc")


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


def test_a_folder_gives_its_structures_and_an_unknown_name_lists_the_bundled_ones(tmp_path):
    model_file(tmp_path / "b.pdb")
    model_file(tmp_path / "a.cif")
    (tmp_path / "notes.txt").write_text("no structure")
    assert [path.name for path in find_structures([tmp_path])] == ["a.cif", "b.pdb"]
    with pytest.raises(
        InputError, match=r"apoferritinn: neither a file or folder nor a bundled structure \(apoferritin"
    ):
        find_structures(["apoferritinn"])


def test_an_index_beside_the_file_says_what_it_is(tmp_path):
    model_file(tmp_path / "chain.pdb")
    (tmp_path / "index.csv").write_text("file,kind,mw_kda\nchain.pdb,virus,5\n")
    assert read_structure(tmp_path / "chain.pdb").kind == "virus"


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("chain.pdb,mebrane,5", r"index\.csv, line 3: 'mebrane' is no kind of structure; write one of soluble"),
        ("chain.pdb,soluble,abc", r"index\.csv, line 3: mw_kda should be .*, not 'abc'"),
        ("chain.pdb,soluble,-1", r"index\.csv, line 3: mw_kda should be .*, not '-1'"),
    ],
)
def test_an_index_that_cannot_be_right_is_named_with_its_line(tmp_path, row, complaint):
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


def test_a_membrane_that_finds_no_place_in_the_molecule_is_a_usage_error(tmp_path):
    points = np.array([[0, 0, 0], [0, 0, 300]], np.float32)
    np.savez(tmp_path / "far.npz", xyz=points, xyz_scale=1.0, weight=np.ones(2), weight_scale=1.0)
    with pytest.raises(UsageError, match=r"far\.npz: cannot be a membrane protein: .*; give it another kind"):
        read_structure(tmp_path / "far.npz", kind="membrane")


def test_a_bundled_name_is_the_bundled_structure_even_beside_a_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "apoferritin").mkdir()
    model_file(tmp_path / "apoferritin" / "mine.pdb")
    assert find_structures(["apoferritin"]) == [bundled_structures()["apoferritin"]]
    assert [path.name for path in find_structures(["./apoferritin"])] == ["mine.pdb"]


def test_a_micrograph_is_no_map(tmp_path):
    write_mrc(tmp_path / "mic.mrc", np.ones((80, 80)), pixel_size=2.0)
    with pytest.raises(InputError, match=r"mic\.mrc: a single section, as a micrograph has, is no map"):
        read_structure(tmp_path / "mic.mrc")


@pytest.mark.parametrize("kind", [None, "membrane"])
def test_a_single_atom_is_no_structure(tmp_path, kind):
    np.savez(tmp_path / "atom.npz", xyz=np.ones((1, 3)), xyz_scale=1.0, weight=np.ones(1), weight_scale=1.0)
    with pytest.raises(InputError, match=r"atom\.npz: a single atom"):
        read_structure(tmp_path / "atom.npz", kind=kind)


@pytest.mark.parametrize("name", sorted(bundled_structures()))
def test_every_bundled_structure_reads(name):
    structure = read_structure(bundled_structures()[name])
    # Net amplitude per dalton: what the ice leaves of 0.17-0.21 Å.
    assert 60 < structure.net.sum() / structure.mass_kda < 115
    assert 50 < structure.diameter_angstrom < 500
    assert (structure.slab is not None) == (structure.kind == "membrane")
