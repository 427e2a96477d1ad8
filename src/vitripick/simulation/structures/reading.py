"""Find structure files, and read one of any kind: the suffix chooses the reader."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vitripick.errors import InputError
from vitripick.settings.simulate import Kind
from vitripick.simulation.structures.index import index_entry
from vitripick.simulation.structures.library import LIBRARY_SUFFIX, bundled_structures, read_library
from vitripick.simulation.structures.maps import MAP_SUFFIXES, read_map
from vitripick.simulation.structures.models import MODEL_SUFFIXES, read_model
from vitripick.simulation.structures.structure import Structure

# A micrograph shows about one micrometre.
_LARGEST_ANGSTROM = 20_000.0
_SUFFIXES = (*MODEL_SUFFIXES, *MAP_SUFFIXES, LIBRARY_SUFFIX)


def find_structures(sources: Sequence[str | Path]) -> list[Path]:
    """Return the structure files for names, files and folders, sorted within a folder.

    Parameters
    ----------
    sources
        Names of bundled structures (`bundled_structures`), files, or folders (all structure files in them). A folder
        called like a bundled structure is `./NAME`.

    Raises
    ------
    InputError
        If there is no such file, folder or bundled structure, or a folder holds none.
    """
    bundled = bundled_structures()
    found: list[Path] = []
    for source in sources:
        path = Path(source)
        if str(source) in bundled:
            found.append(bundled[str(source)])
        elif path.is_dir():
            inside = sorted(p for p in path.iterdir() if _suffix(p) in _SUFFIXES)
            if not inside:
                raise InputError(
                    f"{path}: there is no structure in this folder (vitripick reads {', '.join(_SUFFIXES)})."
                )
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise InputError(
                f"{source}: neither a file or folder nor a bundled structure ({', '.join(sorted(bundled))})."
            )
    return found


def read_structure(
    path: str | Path,
    *,
    kind: Kind | None = None,
    assembly: str = "1",
) -> Structure:
    """Read one molecule.

    Parameters
    ----------
    path
        mmCIF or PDB (also `.gz`), a map in MRC, or an npz of the library.
    kind
        What the molecule is. By default an `index.csv` beside the file decides, or else the file of a saved
        structure. Otherwise a model with nucleotides is a nucleoprotein, and all else is soluble.
    assembly
        For mmCIF and PDB: the biological assembly to build, or `asu` for the chains as they are in the file. A file
        that defines no assembly is read as it is.

    Returns
    -------
    Structure

    Raises
    ------
    InputError
        If the file is missing or has another suffix, or holds no atoms or a single one. If its map holds NaN or
        nothing, or its row in `index.csv` has an unknown kind or no mass.
    UsageError
        If the molecule should be a membrane protein and no membrane fits it.
    """
    path = Path(path)
    suffix = _suffix(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such structure file.")
    entry = index_entry(path)
    kind = kind or entry.get("kind")
    mass_kda = entry.get("mw_kda")
    if suffix in MODEL_SUFFIXES:
        return _checked(read_model(path, _stem(path), kind=kind, assembly=assembly), path)
    if suffix not in MODEL_SUFFIXES and path.suffix.lower() == ".gz":
        raise InputError(f"{path}: only mmCIF and PDB are read packed; unpack it with gunzip, and give {path.stem}.")
    if suffix in MAP_SUFFIXES:
        return _checked(read_map(path, _stem(path), kind=kind or "soluble", mass_kda=mass_kda), path)
    if suffix == LIBRARY_SUFFIX:
        return _checked(read_library(path, kind=kind, mass_kda=mass_kda), path)
    raise InputError(
        f"{path}: this is not a structure file of a known kind; its suffix should be one of {', '.join(_SUFFIXES)}."
    )


def _checked(structure: Structure, path: Path) -> Structure:
    """Return the molecule, or raise `InputError` if its points, amplitudes or mass cannot be those of a molecule."""
    numbers = (structure.points, structure.net, [structure.mass_kda, structure.spread_angstrom])
    if not all(np.isfinite(values).all() for values in numbers) or not structure.net.sum(dtype=np.float64) > 0:
        raise InputError(f"{path}: points, amplitudes and mass of this molecule are not finite numbers above zero.")
    if structure.reach_angstrom > _LARGEST_ANGSTROM:
        raise InputError(
            f"{path}: some points lie {structure.reach_angstrom / 2:.3g} Å from the middle; no molecule is so large."
        )
    return structure


def _suffix(path: Path) -> str:
    """Return the suffix in lower case, without a `.gz` behind it."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix == ".gz" else suffix


def _stem(path: Path) -> str:
    """Return the file's name without its suffix, and without a `.gz` behind it."""
    return Path(path.stem).stem if path.suffix.lower() == ".gz" else path.stem
