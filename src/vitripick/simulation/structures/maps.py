"""Make molecules from density maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from vitripick.errors import InputError
from vitripick.formats import read_mrc_volume
from vitripick.settings.simulate import Kind
from vitripick.simulation.scattering import PROTEIN_AMPLITUDE_PER_DALTON, displaced_share
from vitripick.simulation.structures.slab import finish_structure
from vitripick.simulation.structures.structure import Points, Structure

_SMALLEST_VOXEL, _LARGEST_VOXEL = 0.05, 100.0  # Å
MAP_SUFFIXES = (".mrc", ".map", ".ccp4")


def read_map(path: Path, name: str, *, kind: Kind, mass_kda: float | None) -> Structure:
    """Read a molecule from a map in MRC; see `structure_from_map`.

    Raises
    ------
    InputError
        If the file cannot be read, its header gives no pixel size, or it is not a map of a molecule.
    UsageError
        If the molecule should be a membrane protein and no membrane fits it.
    """
    volume, voxel_size = read_mrc_volume(path)
    if voxel_size is None:
        raise InputError(f"{path}: the map's header says no pixel size; set it (its cell size) first.")
    return structure_from_map(name, volume, voxel_size, kind=kind, mass_kda=mass_kda, path=path)


def structure_from_map(
    name: str,
    volume: npt.NDArray[np.float32],
    voxel_size: float,
    *,
    kind: Kind = "soluble",
    mass_kda: float | None = None,
    path: Path | None = None,
) -> Structure:
    """Make a molecule from a density map on any scale: mask the solvent off, and set the integral by the mass.

    Parameters
    ----------
    name
        Name of the molecule.
    volume : (nz, ny, nx), float32
        Density, positive inside the molecule.
    voxel_size
        Å per voxel.
    kind
        What the molecule is.
    mass_kda
        Its mass; by default what the volume above a quarter of its maximum holds at 0.81 dalton per Å^3.
    path
        The file that messages name.

    Raises
    ------
    InputError
        If the map is a single section, its voxels have an impossible size, or it holds NaN or infinities, or nothing
        above zero.
    UsageError
        If the molecule should be a membrane protein and no membrane fits it.
    """
    where = path or name
    if volume.ndim != 3 or 1 in volume.shape:
        raise InputError(f"{where}: a single section, as a micrograph has, is not a map of a molecule; give a volume.")
    if not _SMALLEST_VOXEL <= voxel_size <= _LARGEST_VOXEL:
        raise InputError(
            f"{where}: {voxel_size:.3g} Å per voxel is not a pixel size of a map; correct its header first."
        )
    n_bad = int(np.count_nonzero(~np.isfinite(volume)))
    if n_bad:
        raise InputError(f"{where}: {n_bad} of the map's voxels are NaN or infinite; mend or mask them first.")
    top = float(np.percentile(volume, 99.99))
    if not top > 0:
        raise InputError(f"{where}: this map holds no positive density; if it is inverted, change its sign first.")
    if not (top > 1e-20 and float(np.abs(volume).max()) < 1e20):
        raise InputError(
            f"{where}: the map's values go from {volume.min():.3g} to {volume.max():.3g}, which is not the density "
            "of a "
            "molecule."
        )
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
    points, net = _filled_voxels(cube, voxel_size)
    net = net * np.float32(net_total / net.sum(dtype=np.float64))  # the faintest voxels are not points
    structure = Structure(name, kind, mass_kda, points, net, voxel_size / 2, cube, voxel_size)
    # A map that already holds its micelle (there are few, and their names say so) needs no second one.
    return structure if "micelle" in name else finish_structure(structure, None, where)


def _centred_cube(volume: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the filled part of a volume, padded to a cube with its centre of mass in the middle voxel."""
    filled = np.nonzero(volume > 0)
    centre = [float(np.average(axis, weights=volume[filled])) for axis in filled]
    reach = max(int(max(axis.max() - c, c - axis.min())) + 2 for axis, c in zip(filled, centre, strict=True))
    cube = np.zeros((2 * reach + 1,) * 3, np.float32)
    # Move by whole voxels first, then by the sub-voxel rest, so that the origin is the centre itself.
    whole = [round(c) for c in centre]
    at = tuple(index - w + reach for index, w in zip(filled, whole, strict=True))
    cube[at] = volume[filled]
    rest = [w - c for w, c in zip(whole, centre, strict=True)]
    shifted: npt.NDArray[np.float32] = np.clip(ndimage.shift(cube, rest, order=1), 0, None).astype(np.float32)
    return shifted * np.float32(volume.sum(dtype=np.float64) / shifted.sum(dtype=np.float64))


def _filled_voxels(cube: npt.NDArray[np.float32], voxel_size: float) -> tuple[Points, npt.NDArray[np.float32]]:
    """Return the voxels of a cube that hold something, as points in Å from its middle voxel, and their values."""
    z, y, x = np.nonzero(cube > 0.05 * cube.max())
    points = (np.column_stack([x, y, z]) - cube.shape[0] // 2) * voxel_size
    return points.astype(np.float32), cube[z, y, x]
