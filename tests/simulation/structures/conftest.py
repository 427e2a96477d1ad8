"""Structure files to read."""

import gemmi
import numpy as np
import pytest


@pytest.fixture
def model_file():
    """Return a function that writes a made-up chain along x as mmCIF or PDB, and returns its path."""
    return _write_model


def _write_model(path, *, residues=30, assembly=False, name="ALA", first=(10.0, 5.0, 0.0)):
    """Write a made-up chain along x."""
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
