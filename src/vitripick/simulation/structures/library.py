"""Read and write molecules as small npz files, and find those that come with vitripick."""

from __future__ import annotations

import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from importlib import resources
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from vitripick.atomic import atomic_path
from vitripick.errors import InputError
from vitripick.settings.simulate import Kind
from vitripick.simulation.structures.maps import structure_from_map
from vitripick.simulation.structures.slab import finish_structure
from vitripick.simulation.structures.structure import Slab, Structure, structure_from_points

LIBRARY_SUFFIX = ".npz"
BUNDLED = Path(str(resources.files("vitripick.simulation.structures") / "bundled"))
# A point for a residue that is as heavy as this (f(0) in Å) is a nucleotide; the heaviest amino acid has 42.
_NUCLEOTIDE = 48.0
# The largest structure that comes with vitripick has 0.2 MB, and a map of 512³ voxels 0.5 GiB.
_MOST_BYTES = 1 << 30
# zipfile and numpy raise these on damaged files.
_DAMAGE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    TypeError,
    SyntaxError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
    OverflowError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    tokenize.TokenError,
)


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
    table = _Table(path)
    if "map" in table and "apix" in table:
        volume, voxel_size = table.array("map", None).astype(np.float32), table.above_zero("apix")
        return structure_from_map(path.stem, volume, voxel_size, kind=kind or "soluble", mass_kda=mass_kda, path=path)
    if "net" in table:
        return finish_structure(_saved(path, table, kind, mass_kda), None, path)
    missing = [key for key in ("xyz", "xyz_scale", "weight", "weight_scale") if key not in table]
    if missing:
        raise InputError(
            f"{path}: holds {', '.join(table.names()) or 'nothing'}; a structure has xyz, xyz_scale, weight and "
            "weight_scale, or map and apix."
        )
    points = table.scaled("xyz", "xyz_scale", (None, 3))
    amplitudes = table.scaled("weight", "weight_scale", (len(points),))
    if not amplitudes.sum() > 0:
        raise InputError(f"{path}: there is not a single atom in this file.")
    elements = table.array("element", (len(points),)) if "element" in table else None
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


def _saved(path: Path, table: _Table, kind: Kind | None, mass_kda: float | None) -> Structure:
    """Return the molecule in the table of a file that `save_structure` wrote."""
    kind = kind or table.kind()
    points = table.scaled("xyz", "xyz_scale", (None, 3))
    slab = None
    if "slab_axis" in table and kind == "membrane":
        axis = table.array("slab_axis", (3,)).astype(np.float64)
        if not 0.99 < float(np.linalg.norm(axis)) < 1.01:
            raise InputError(f"{path}: slab_axis should be a direction of length 1.")
        slab = Slab(axis, float(table.array("slab_middle", ())), table.above_zero("slab_radius"))
    return Structure(
        path.stem,
        kind,
        mass_kda or table.above_zero("mass_kda"),
        points,
        table.scaled("net", "net_scale", (len(points),)),
        table.above_zero("spread_angstrom"),
        slab=slab,
    )


class _Table:
    """Holds the arrays of an npz file, and checks each one before it is used.

    Every method raises `InputError` if the array is missing or is not what a structure needs.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with zipfile.ZipFile(path) as archive:
                members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
                if sum(member.file_size for member in members) > _MOST_BYTES:
                    raise InputError(f"{path}: unpacks to more than {_MOST_BYTES >> 20} MiB; no structure is so large.")
                self._arrays = {member.filename.removesuffix(".npy"): _array(archive, member) for member in members}
        except _DAMAGE as error:
            raise InputError(
                f"{path}: no npz archive of numbers ({str(error) or type(error).__name__}); it is empty, cut short "
                "or of another kind."
            ) from error

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def names(self) -> list[str]:
        """Return the names of the arrays, sorted."""
        return sorted(self._arrays)

    def array(self, name: str, shape: tuple[int | None, ...] | None) -> npt.NDArray[Any]:
        """Return finite numbers of this shape; None stands for any length of one axis, or for any shape."""
        if name not in self._arrays:
            raise InputError(f"{self._path}: holds {', '.join(self.names()) or 'nothing'}, but no {name}.")
        found = self._arrays[name]
        if found.dtype.kind not in "iuf" or not np.isfinite(found).all():
            raise InputError(f"{self._path}: {name} should hold finite numbers only.")
        fits = shape is None or (
            found.ndim == len(shape)
            and all(want is None or have == want for have, want in zip(found.shape, shape, strict=True))
        )
        if not fits or found.size == 0:
            raise InputError(f"{self._path}: {name} has the shape {found.shape}, which a structure cannot have.")
        return found

    def above_zero(self, name: str) -> float:
        """Return one number above zero."""
        value = float(self.array(name, ()))
        if not value > 0:
            raise InputError(f"{self._path}: {name} should be above zero, but it is {value:g}.")
        return value

    def scaled(self, name: str, scale: str, shape: tuple[int | None, ...]) -> npt.NDArray[np.float32]:
        """Return an array of whole numbers times its scale."""
        self.above_zero(scale)
        with np.errstate(over="ignore"):
            found: npt.NDArray[np.float32] = self.array(name, shape).astype(np.float32) * self._arrays[scale]
        if not np.isfinite(found).all():
            raise InputError(f"{self._path}: {name} times {scale} is beyond all numbers.")
        return found

    def kind(self) -> Kind:
        """Return the kind of the molecule."""
        found = str(self._arrays["kind"]) if "kind" in self else ""
        if found not in get_args(Kind):
            raise InputError(f"{self._path}: kind should be one of {', '.join(get_args(Kind))}, but it is {found!r}.")
        return cast(Kind, found)


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> npt.NDArray[Any]:
    """Read one array; its header is compared with the member's length, because numpy allocates what a header says."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file)
    if math.prod(shape) * dtype.itemsize > member.file_size:
        raise ValueError(f"{member.filename} is shorter than its header says")
    with archive.open(member) as file:
        found: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return found
