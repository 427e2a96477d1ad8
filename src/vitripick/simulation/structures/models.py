"""Read molecules from mmCIF and PDB files, with their biological assembly."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from vitripick.errors import InputError, UsageError, parameter
from vitripick.settings.simulate import Kind
from vitripick.simulation.scattering import AMPLITUDE, IMPLICIT_HYDROGENS
from vitripick.simulation.structures.slab import finish_structure
from vitripick.simulation.structures.structure import Structure, structure_from_points

# The capsid of the largest virus in the databank has some tens of millions of atoms.
_MOST_ATOMS = 100_000_000
# Atoms take 80 bytes of text each. A reader needs about as much memory as there is text.
_MOST_UNPACKED = 2 << 30
_CHUNK = 1 << 20
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
        The biological assembly to build, or `asu` for the chains as they are in the file.

    Raises
    ------
    InputError
        If the file cannot be read, holds no atoms or a single one, or does not define the assembly.
    UsageError
        If gemmi is missing, or the molecule should be a membrane protein and no membrane fits it.
    """
    try:
        import gemmi  # only users with their own models need it
    except ImportError as error:
        raise UsageError(
            f"{path}: reading mmCIF and PDB needs gemmi; install it with: pip install 'vitripick[simulate]'."
        ) from error
    if path.suffix.lower() == ".gz":
        _check_unpacked(path)
    try:
        positions, amplitudes, carbon, nucleic = _atoms(gemmi, path, assembly)
    except (RuntimeError, ValueError, LookupError, OSError) as error:  # gemmi raises these on damaged files
        raise InputError(f"{path}: cannot be read as mmCIF or PDB: {error}.") from error
    if not positions or not float(np.sum(amplitudes)) > 0:
        raise InputError(f"{path}: there is not a single atom in this file.")
    is_nucleic_atom = np.array(nucleic)
    kind = kind or ("nucleoprotein" if is_nucleic_atom.any() else "soluble")
    points = np.array(positions)
    structure = structure_from_points(name, points, np.array(amplitudes), kind=kind, nucleic=is_nucleic_atom)
    return finish_structure(structure, np.array(carbon), path)


def _check_unpacked(path: Path) -> None:
    """Raise `InputError` if what is packed in this file is damaged or too large; a piece at a time is in memory."""
    n_bytes = 0
    try:
        with gzip.open(path, "rb") as file:
            while n_bytes <= _MOST_UNPACKED and (piece := file.read(_CHUNK)):
                n_bytes += len(piece)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InputError(f"{path}: not a whole gzip file ({error}). Copy it again.") from error
    if n_bytes > _MOST_UNPACKED:
        raise InputError(f"{path}: unpacks to more than {_MOST_UNPACKED / 2**30:g} GiB; no molecule is so large.")


def _atoms(gemmi: Any, path: Path, assembly: str) -> tuple[list[list[float]], list[float], list[bool], list[bool]]:
    """Return, for each atom, its place, its amplitude, and whether it is carbon and belongs to a nucleic acid.

    Raises
    ------
    InputError
        If an atom has no place or no scattering, or the assembly cannot be built.
    """
    try:
        model_file = gemmi.read_structure(str(path))
    except IndexError:  # gemmi's answer to an empty mmCIF file
        model_file = ()
    if not len(model_file):
        raise InputError(f"{path}: there is not a single atom in this file.")
    model_file.setup_entities()
    _build_assembly(gemmi, model_file, path, assembly)
    model_file.remove_waters()
    model_file.remove_alternative_conformations()
    positions: list[list[float]] = []
    amplitudes, carbon, nucleic = list[float](), list[bool](), list[bool]()
    explicit_hydrogens = model_file[0].has_hydrogen()
    for chain in model_file[0]:
        for residue in chain:
            is_nucleic = gemmi.find_tabulated_residue(residue.name).is_nucleic_acid()
            for atom in residue:
                factors = atom.element.c4322
                if factors is None:
                    raise InputError(
                        f"{path}: atom {atom.serial} is {atom.element.name}, and its scattering is not known; remove "
                        "it from the file."
                    )
                amplitude = sum(factors.a)
                if not explicit_hydrogens:
                    amplitude += IMPLICIT_HYDROGENS.get(atom.element.name, 0.0) * AMPLITUDE["H"]
                place = atom.pos.tolist()
                if not all(map(math.isfinite, place)):
                    raise InputError(f"{path}: atom {atom.serial} has no place: its coordinates are {place}.")
                if not (math.isfinite(atom.occ) and atom.occ >= 0):
                    raise InputError(f"{path}: atom {atom.serial} has the occupancy {atom.occ}, which is impossible.")
                positions.append(place)
                amplitudes.append(amplitude * atom.occ)
                carbon.append(atom.element.name == "C")
                nucleic.append(is_nucleic)
    return positions, amplitudes, carbon, nucleic


def _build_assembly(gemmi: Any, model_file: Any, path: Path, assembly: str) -> None:
    """Turn the chains into the assembly asked for, unless the file defines none."""
    known = {entry.name: entry for entry in model_file.assemblies}
    if assembly == "asu" or not known:
        return
    if assembly not in known:
        raise InputError(f"{path}: defines assemblies {', '.join(known)}, not {assembly!r}; or say asu.")
    n_copies = sum(len(generator.operators) for generator in known[assembly].generators)
    n_atoms = model_file[0].count_atom_sites()
    if n_copies * n_atoms > _MOST_ATOMS:
        raise InputError(f"{path}: assembly {assembly} has up to {n_copies * n_atoms} atoms; no molecule is so large.")
    try:
        model_file.transform_to_assembly(assembly, gemmi.HowToNameCopiedChain.AddNumber)
    except (RuntimeError, ValueError, LookupError) as error:
        raise InputError(
            f"{path}: assembly {assembly} cannot be built ({error}). Give {parameter('assembly', 'asu')} for the "
            "chains as they stand in the file."
        ) from error
