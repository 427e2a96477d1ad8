"""Read molecules from mmCIF and PDB files, with their biological assembly."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vitripick.errors import InputError, UsageError
from vitripick.settings.simulate import Kind
from vitripick.simulation.scattering import AMPLITUDE, IMPLICIT_HYDROGENS
from vitripick.simulation.structures.slab import finish_structure
from vitripick.simulation.structures.structure import Structure, structure_from_points

MODEL_SUFFIXES = (".cif", ".mmcif", ".pdb", ".ent")


def read_model(path: Path, name: str, *, kind: Kind | None, assembly: str) -> Structure:
    """Read a molecule from an mmCIF or PDB file, without its waters.

    Parameters
    ----------
    path
        The file; it may be compressed (`.gz`).
    name
        Name of the molecule.
    kind
        What it is; by default nucleoprotein if it has nucleotides, and soluble otherwise.
    assembly
        The biological assembly to build, or `asu` for the chains as they stand in the file.

    Raises
    ------
    InputError
        If the file cannot be read, holds no atoms or a single one, or does not define the assembly.
    UsageError
        If gemmi is missing, or the molecule should be a membrane protein and no membrane fits it.
    """
    try:
        import gemmi  # only people who bring their own models need it
    except ImportError as error:
        raise UsageError(
            f"{path}: reading mmCIF and PDB needs gemmi; install it with: pip install 'vitripick[simulate]'."
        ) from error
    try:
        model_file = gemmi.read_structure(str(path))
    except (RuntimeError, ValueError, OSError) as error:
        raise InputError(f"{path}: cannot be read as mmCIF or PDB: {error}.") from error
    model_file.setup_entities()
    known = [entry.name for entry in model_file.assemblies]
    if assembly != "asu" and known:
        if assembly not in known:
            raise InputError(f"{path}: defines assemblies {', '.join(known)}, not {assembly!r}; or say asu.")
        model_file.transform_to_assembly(assembly, gemmi.HowToNameCopiedChain.AddNumber)
    model_file.remove_waters()
    model_file.remove_alternative_conformations()
    positions, amplitudes, carbon, nucleic = [], [], [], []
    explicit_hydrogens = model_file[0].has_hydrogen() if len(model_file) else False
    for chain in model_file[0] if len(model_file) else []:
        for residue in chain:
            is_nucleic = gemmi.find_tabulated_residue(residue.name).is_nucleic_acid()
            for atom in residue:
                amplitude = sum(atom.element.c4322.a)
                if not explicit_hydrogens:
                    amplitude += IMPLICIT_HYDROGENS.get(atom.element.name, 0.0) * AMPLITUDE["H"]
                positions.append(atom.pos.tolist())
                amplitudes.append(amplitude * atom.occ)
                carbon.append(atom.element.name == "C")
                nucleic.append(is_nucleic)
    total = float(np.sum(amplitudes))
    if not positions or not total > 0:
        raise InputError(f"{path}: there is not a single atom in this file.")
    is_nucleic_atom = np.array(nucleic)
    kind = kind or ("nucleoprotein" if is_nucleic_atom.any() else "soluble")
    points = np.array(positions)
    structure = structure_from_points(name, points, np.array(amplitudes), kind=kind, nucleic=is_nucleic_atom)
    return finish_structure(structure, np.array(carbon), path)
