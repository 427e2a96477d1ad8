"""Read molecules: mmCIF and PDB files, maps in MRC, the library's npz files, and folders of any of these."""

from __future__ import annotations

import csv
import dataclasses
import math
import zipfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from vitripick.atomic import atomic_path
from vitripick.errors import InputError, UsageError
from vitripick.formats import read_mrc_volume
from vitripick.simulation.membrane import find_slab
from vitripick.simulation.projection import points_of_volume
from vitripick.simulation.scattering import (
    AMPLITUDE,
    IMPLICIT_HYDROGENS,
    PROTEIN_AMPLITUDE_PER_DALTON,
    displaced_share,
)
from vitripick.simulation.structure import KINDS, Kind, Slab, Structure, structure_from_points

_MODELS = (".cif", ".mmcif", ".pdb", ".ent")
_MAPS = (".mrc", ".map", ".ccp4")
SUFFIXES = (*_MODELS, *_MAPS, ".npz")
# A point as heavy as this (f(0) in Å) that stands for a residue is a nucleotide; the heaviest amino acid has 42.
_NUCLEOTIDE = 48.0
_BUNDLED = Path(str(resources.files("vitripick.simulation") / "structures"))


def find_structures(sources: Sequence[str | Path]) -> list[Path]:
    """The structure files that names, files and folders stand for, sorted within a folder.

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
    found: list[Path] = []
    for source in sources:
        path = Path(source)
        if str(source) in bundled_structures():
            found.append(bundled_structures()[str(source)])
        elif path.is_dir():
            inside = sorted(p for p in path.iterdir() if _suffix(p) in SUFFIXES)
            if not inside:
                raise InputError(f"{path}: no structure in this folder (we read {', '.join(SUFFIXES)}).")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise InputError(
                f"{source}: neither a file or folder nor a bundled structure "
                f"({', '.join(sorted(bundled_structures()))})."
            )
    return found


def bundled_structures() -> dict[str, Path]:
    """The structures that come with vitripick, by name (their provenance is in `structures/index.csv`)."""
    return {path.stem: path for path in sorted(_BUNDLED.glob("*.npz"))}


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
        What it is; by default what an `index.csv` beside the file says, or else a saved structure itself;
        nucleoprotein where a model has nucleotides, and soluble otherwise.
    assembly
        For mmCIF and PDB: the biological assembly to build, or `asu` for the chains as they stand in the file. A
        file that defines no assembly is taken as it stands.

    Returns
    -------
    Structure

    Raises
    ------
    InputError
        If the file is missing, is none of these, holds no atoms or a single one, its map holds NaN or nothing, or its
        row in `index.csv` no known kind or no mass.
    UsageError
        If it is to be a membrane protein and no membrane finds a place in it.
    """
    path = Path(path)
    suffix = _suffix(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such structure file.")
    entry = index_entry(path)
    kind = kind or entry.get("kind")
    mass = entry.get("mw_kda")
    if suffix in _MODELS:
        return _read_model(path, kind, assembly)
    if suffix in _MAPS:
        volume, voxel_size = read_mrc_volume(path)
        if voxel_size is None:
            raise InputError(f"{path}: the map's header says no pixel size; set it (its cell size) first.")
        return structure_from_map(_stem(path), volume, voxel_size, kind=kind or "soluble", mass_kda=mass, path=path)
    if suffix == ".npz":
        return _read_library(path, kind, mass)
    raise InputError(f"{path}: no structure file that we know; its suffix should be one of {', '.join(SUFFIXES)}.")


def structure_from_map(
    name: str,
    volume: npt.NDArray[np.float32],
    voxel_size: float,
    *,
    kind: Kind = "soluble",
    mass_kda: float | None = None,
    path: Path | None = None,
) -> Structure:
    """A molecule from a density map on any scale: solvent masked off, its integral set by the mass.

    Parameters
    ----------
    name
        Of the molecule.
    volume : (nz, ny, nx), float32
        Density, positive inside the molecule.
    voxel_size
        Å.
    kind
        What it is.
    mass_kda
        By default what the volume above a quarter of its maximum holds at 0.81 dalton per Å^3.
    path
        For messages.

    Raises
    ------
    InputError
        If the map is a single section, or holds NaN or infinities, or nothing above zero.
    """
    where = path or name
    if volume.ndim != 3 or 1 in volume.shape:
        raise InputError(f"{where}: a single section, as a micrograph has, is no map of a molecule; give a volume.")
    n_bad = int(np.count_nonzero(~np.isfinite(volume)))
    if n_bad:
        raise InputError(f"{where}: {n_bad} of the map's voxels are NaN or infinite; mend or mask them first.")
    top = float(np.percentile(volume, 99.99))
    if not top > 0:
        raise InputError(f"{where}: this map holds no positive density; if it is inverted, change its sign first.")
    if mass_kda is None:
        mass_kda = float(np.count_nonzero(volume > 0.25 * top)) * voxel_size**3 * 0.81 / 1000
    # Noise in the solvent would be drawn around every particle: keep the largest connected body and a shell around it.
    labels, n_bodies = ndimage.label(volume > 0.15 * top)
    if n_bodies > 1:
        sizes = np.bincount(labels.ravel())[1:]
        labels = labels == 1 + int(sizes.argmax())
    body = ndimage.binary_dilation(labels > 0, iterations=max(1, round(6.0 / voxel_size)))
    clean = np.where(body, np.clip(volume, 0, None), 0).astype(np.float32)
    net_total = mass_kda * 1000 * PROTEIN_AMPLITUDE_PER_DALTON * (1 - displaced_share(nucleic=kind == "nucleoprotein"))
    clean *= np.float32(net_total / clean.sum(dtype=np.float64))
    cube = _centred_cube(clean)
    points, net = points_of_volume(cube, voxel_size)
    net = net * np.float32(net_total / net.sum(dtype=np.float64))  # the faintest voxels are no points
    structure = Structure(name, kind, mass_kda, points, net, voxel_size / 2, cube, voxel_size)
    # A map with its micelle in it (they are few, and say so) needs no second one.
    return structure if "micelle" in name else _with_slab(structure, None, where)


def _centred_cube(volume: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Crop to what is not empty and pad to a cube with the centre of mass in its middle voxel."""
    filled = np.nonzero(volume > 0)
    centre = [float(np.average(axis, weights=volume[filled])) for axis in filled]
    reach = max(int(max(axis.max() - c, c - axis.min())) + 2 for axis, c in zip(filled, centre, strict=True))
    cube = np.zeros((2 * reach + 1,) * 3, np.float32)
    # Whole voxels first, then the rest as a sub-voxel shift, so that the origin is the centre itself.
    whole = [round(c) for c in centre]
    at = tuple(index - w + reach for index, w in zip(filled, whole, strict=True))
    cube[at] = volume[filled]
    rest = [w - c for w, c in zip(whole, centre, strict=True)]
    shifted: npt.NDArray[np.float32] = np.clip(ndimage.shift(cube, rest, order=1), 0, None).astype(np.float32)
    return shifted * np.float32(volume.sum(dtype=np.float64) / shifted.sum(dtype=np.float64))


def _read_model(path: Path, kind: Kind | None, assembly: str) -> Structure:
    try:
        import gemmi  # only those who bring their own models need it
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
    structure = structure_from_points(_stem(path), points, np.array(amplitudes), kind=kind, nucleic=is_nucleic_atom)
    return _with_slab(structure, np.array(carbon), path)


def _with_slab(structure: Structure, carbon: npt.NDArray[np.bool_] | None, where: Path | str) -> Structure:
    """The molecule with its membrane if it has one; all that is read passes here."""
    if not np.ptp(structure.points, axis=0).any():
        raise InputError(
            f"{where}: a single atom, or all of them in one place, is no structure; give a whole molecule."
        )
    if structure.kind != "membrane" or structure.slab is not None:
        return structure
    try:
        return dataclasses.replace(structure, slab=find_slab(structure.points, carbon))
    except ValueError as error:
        raise UsageError(f"{where}: cannot be a membrane protein: {error}; give it another kind.") from error


def _read_library(path: Path, kind: Kind | None, mass_kda: float | None) -> Structure:
    try:
        with np.load(path, allow_pickle=False) as file:
            table: dict[str, Any] = {key: file[key] for key in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: no npz archive of numbers: {error}.") from error
    if "map" in table and "apix" in table:
        volume, voxel_size = table["map"].astype(np.float32), float(table["apix"])
        return structure_from_map(path.stem, volume, voxel_size, kind=kind or "soluble", mass_kda=mass_kda, path=path)
    if "net" in table:
        return _with_slab(_saved(path, table, kind, mass_kda), None, path)
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
        if len(phosphorus) > 10:  # less is a ligand
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
    return _with_slab(structure, None if elements is None else elements == 6, path)


def save_structure(structure: Structure, path: str | Path, *, cell_angstrom: float | None = None) -> None:
    """Keep a molecule as a small npz that `read_structure` reads in milliseconds; whole or not at all.

    Parameters
    ----------
    structure
        One that came as atoms or residues.
    path
        Ends in `.npz`.
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


class IndexEntry(TypedDict, total=False):
    """What an `index.csv` says of a structure file."""

    kind: Kind
    mw_kda: float


def index_entry(path: Path) -> IndexEntry:
    """What an `index.csv` beside a structure file says of it; nothing for bundled ones, which say it themselves.

    Raises
    ------
    InputError
        If the kind is unknown, or the mass no number above 0.
    """
    index = path.parent / "index.csv"
    if path.parent == _BUNDLED or not index.is_file():
        return {}
    entry: IndexEntry = {}
    with index.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        row = next((row for row in rows if row.get("file") == path.name), {})
        where = f"{index}, line {rows.line_num}"
    if row.get("kind"):
        if row["kind"] not in KINDS:
            raise InputError(f"{where}: {row['kind']!r} is no kind of structure; write one of {', '.join(KINDS)}.")
        entry["kind"] = cast(Kind, row["kind"])
    if row.get("mw_kda"):
        try:
            entry["mw_kda"] = float(row["mw_kda"])
        except ValueError:
            entry["mw_kda"] = math.nan
        if not 0 < entry["mw_kda"] < math.inf:
            raise InputError(f"{where}: mw_kda should be the mass in kDa, a number above 0, not {row['mw_kda']!r}.")
    return entry


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix == ".gz" else suffix


def _stem(path: Path) -> str:
    return Path(path.stem).stem if path.suffix.lower() == ".gz" else path.stem
