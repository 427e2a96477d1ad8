"""Molecules as small npz files: read them, write them, and find those that come with vitripick."""

from __future__ import annotations

import zipfile
from importlib import resources
from pathlib import Path
from typing import Any, cast

import numpy as np
from scipy.spatial import cKDTree

from vitripick.atomic import atomic_path
from vitripick.errors import InputError
from vitripick.settings.simulate import Kind
from vitripick.simulation.structures.maps import structure_from_map
from vitripick.simulation.structures.slab import finish_structure
from vitripick.simulation.structures.structure import Slab, Structure, structure_from_points

LIBRARY_SUFFIX = ".npz"
BUNDLED = Path(str(resources.files("vitripick.simulation.structures") / "bundled"))
# A point as heavy as this (f(0) in Å) that stands for a residue is a nucleotide; the heaviest amino acid has 42.
_NUCLEOTIDE = 48.0


def bundled_structures() -> dict[str, Path]:
    """Return the structures that come with vitripick, by name (`bundled/index.csv` says where they come from)."""
    return {path.stem: path for path in sorted(BUNDLED.glob(f"*{LIBRARY_SUFFIX}"))}


def read_library(path: Path, *, kind: Kind | None, mass_kda: float | None) -> Structure:
    """Read a molecule from an npz file: a saved one, one of gross amplitudes, or a map.

    Parameters
    ----------
    path
        The file.
    kind, mass_kda
        What the molecule is and weighs; by default what the file says, or else soluble and what its amplitudes give.

    Raises
    ------
    InputError
        If the file is not such an npz, or holds no atoms or a single one.
    UsageError
        If the molecule should be a membrane protein and no membrane fits it.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            table: dict[str, Any] = {key: file[key] for key in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: no npz archive of numbers: {error}.") from error
    if "map" in table and "apix" in table:
        volume, voxel_size = table["map"].astype(np.float32), float(table["apix"])
        return structure_from_map(path.stem, volume, voxel_size, kind=kind or "soluble", mass_kda=mass_kda, path=path)
    if "net" in table:
        return finish_structure(_saved(path, table, kind, mass_kda), None, path)
    missing = {"xyz", "xyz_scale", "weight", "weight_scale"} - set(table)
    if missing:
        raise InputError(
            f"{path}: holds {', '.join(sorted(table)) or 'nothing'}; a structure has xyz, xyz_scale, weight and "
            "weight_scale, or map and apix."
        )
    points = table["xyz"].astype(np.float32) * table["xyz_scale"]
    amplitudes = table["weight"].astype(np.float32) * table["weight_scale"]
    if not amplitudes.sum() > 0:
        raise InputError(f"{path}: there is not a single atom in this file.")
    elements = table.get("element")
    if elements is not None:
        phosphorus = points[elements == 15]
        nucleic = np.zeros(len(points), bool)
        if len(phosphorus) > 10:  # fewer belong to a ligand
            distance, _ = cKDTree(phosphorus).query(points, distance_upper_bound=7.5)
            nucleic = np.isfinite(distance)
    else:
        nucleic = amplitudes > _NUCLEOTIDE
    structure = structure_from_points(
        path.stem,
        points,
        amplitudes,
        kind=kind or "soluble",
        mass_kda=mass_kda,
        nucleic=nucleic,
        spread_angstrom=1.0 if elements is not None else 2.7,
    )
    return finish_structure(structure, None if elements is None else elements == 6, path)


def save_structure(structure: Structure, path: str | Path, *, cell_angstrom: float | None = None) -> None:
    """Write a molecule to a small npz that `read_structure` reads in milliseconds; whole or not at all.

    Parameters
    ----------
    structure
        A molecule that came as atoms or residues.
    path
        A path that ends in `.npz`.
    cell_angstrom
        Join the points of each cube of this side into one; 5 Å keeps what a micrograph of 2 Å per pixel shows.

    Raises
    ------
    ValueError
        If the molecule came as a map.
    """
    if structure.volume is not None:
        raise ValueError(f"{structure.name} came as a map; keep the map instead")
    kept = structure if cell_angstrom is None else structure.simplified(cell_angstrom)
    net_scale = np.float32(np.abs(kept.net).max() / 32000)
    table: dict[str, Any] = {
        "xyz": np.rint(kept.points / np.float32(0.1)).astype(np.int16),
        "xyz_scale": np.float32(0.1),
        "net": np.rint(kept.net / net_scale).astype(np.int16),
        "net_scale": net_scale,
        "spread_angstrom": np.float32(kept.spread_angstrom),
        "mass_kda": np.float64(structure.mass_kda),
        "kind": np.str_(structure.kind),
    }
    if structure.slab is not None:
        table |= {
            "slab_axis": structure.slab.axis,
            "slab_middle": np.float64(structure.slab.middle),
            "slab_radius": np.float64(structure.slab.radius),
        }
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **table)


def _saved(path: Path, table: dict[str, Any], kind: Kind | None, mass_kda: float | None) -> Structure:
    """Return the molecule in the table of a file that `save_structure` wrote."""
    kind = kind or cast(Kind, str(table["kind"]))
    slab = None
    if "slab_axis" in table and kind == "membrane":
        slab = Slab(table["slab_axis"].astype(np.float64), float(table["slab_middle"]), float(table["slab_radius"]))
    return Structure(
        path.stem,
        kind,
        mass_kda or float(table["mass_kda"]),
        table["xyz"].astype(np.float32) * table["xyz_scale"],
        table["net"].astype(np.float32) * table["net_scale"],
        float(table["spread_angstrom"]),
        slab=slab,
    )
