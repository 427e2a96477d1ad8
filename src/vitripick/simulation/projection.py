"""Project molecules: splat points into the image, and cut maps through their Fourier transform.

In the weak-phase limit an image shows the sum of the potential along the beam. So rotated points can be projected into
the image plane exactly, which is much faster than with a volume. Projected potential is in V Å throughout.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from vitripick.geometry import Image
from vitripick.simulation.poses import Rotations
from vitripick.simulation.scattering import VOLT_ANGSTROM_SQUARED_PER_ANGSTROM
from vitripick.simulation.structures.structure import Points, Structure

Field = npt.NDArray[np.float32]
# Points splatted at a time: 16 MB of coordinates, whatever the number of particles.
_CHUNK = 500_000
# In images coarser than this, the voxels of a map are splatted as points, which shows as much detail and is faster.
_SLICE_BELOW_VOXELS = 1.2
# Variance of the bilinear kernel that a point is splatted with, px^2.
_BILINEAR_VARIANCE = 1 / 6


@dataclass(frozen=True, eq=False)
class Particles:
    """Holds copies of one molecule in a field.

    Attributes
    ----------
    structure
        The molecule.
    rotations : (m, 3, 3), float64
        The molecule's x, y, z into the micrograph's x, y and along the beam.
    x, y : (m,), float64
        Where the molecule's origin projects to, in pixels of the field.
    """

    structure: Structure
    rotations: Rotations
    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.x)

    def select(self, which: npt.NDArray[np.bool_]) -> Particles:
        """Return the copies of a mask."""
        return Particles(self.structure, self.rotations[which], self.x[which], self.y[which])


def project(structure: Structure, rotation: npt.NDArray[np.float64], *, pixel_size: float, size_px: int) -> Field:
    """Return the projected potential of one molecule in the middle of a square image.

    Parameters
    ----------
    structure
        The molecule.
    rotation : (3, 3)
        Its first two rows give image x and y.
    pixel_size
        Å per pixel.
    size_px
        Side of the image; the molecule's origin lies at (size_px - 1) / 2.

    Returns
    -------
    (size_px, size_px), float32
        V Å, less the ice displaced.
    """
    middle = np.array([(size_px - 1) / 2])
    return project_all(
        [Particles(structure, rotation[None], middle, middle)], (size_px, size_px), pixel_size=pixel_size
    )


def project_all(particles: list[Particles], shape: tuple[int, int], *, pixel_size: float) -> Field:
    """Return the projected potential of all particles of a field, each where it lies.

    Parameters
    ----------
    particles
        Any number of groups; parts beyond the field are cut off.
    shape
        (rows, columns) of the field.
    pixel_size
        Å per pixel.

    Returns
    -------
    (rows, columns), float32
        V Å.
    """
    total = np.zeros(shape, np.float32)
    clouds: dict[float, list[Particles]] = {}
    for group in particles:
        if not len(group):
            continue
        voxel_size = group.structure.voxel_size
        if voxel_size is not None and pixel_size < _SLICE_BELOW_VOXELS * voxel_size:
            _add_slices(total, group, pixel_size)
        else:
            # Groups with the same blur, to a fifth of a pixel, share one splat.
            clouds.setdefault(round(5 * group.structure.spread_angstrom / pixel_size) / 5, []).append(group)
    for sigma_px, groups in clouds.items():
        total += _blur(_splat_groups(groups, shape, pixel_size), sigma_px)
    return total


def splat(
    x: npt.NDArray[np.float32], y: npt.NDArray[np.float32], weights: npt.NDArray[np.float32], shape: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """Return an image of weights, each shared among the four pixels around its point.

    What lies outside is lost.

    Parameters
    ----------
    x, y, weights : (n,)
        Columns, rows and what to add there.
    shape
        (rows, columns) of the image.

    Returns
    -------
    (rows, columns), float64
    """
    rows, columns = shape
    # Points half outside go to a rim of one pixel.
    wide = columns + 2
    inside = (x > -1) & (x < columns) & (y > -1) & (y < rows)
    x, y, weights = x[inside], y[inside], weights[inside]
    left, top = np.floor(x), np.floor(y)
    right_share, bottom_share = x - left, y - top
    first = (top.astype(np.int64) + 1) * wide + left.astype(np.int64) + 1
    image = np.zeros((rows + 2) * wide)
    for step, share in (
        (0, (1 - right_share) * (1 - bottom_share)),
        (1, right_share * (1 - bottom_share)),
        (wide, (1 - right_share) * bottom_share),
        (wide + 1, right_share * bottom_share),
    ):
        image += np.bincount(first + step, weights * share, minlength=len(image))
    return image.reshape(rows + 2, wide)[1:-1, 1:-1]


def _splat_groups(groups: list[Particles], shape: tuple[int, int], pixel_size: float) -> Field:
    """Return the projected potential of groups as points, not blurred yet."""
    total = np.zeros(shape, np.float64)
    waiting: list[tuple[Points, npt.NDArray[np.float32]]] = []
    n_waiting = 0
    for group in groups:
        points, net = group.structure.merged(pixel_size)
        per_chunk = max(1, _CHUNK // len(points))
        flat = (group.rotations[:, :2] / pixel_size).astype(np.float32)
        for first in range(0, len(group), per_chunk):
            some = slice(first, first + per_chunk)
            # (m, 2, n): every point of every particle in the image plane.
            placed = flat[some] @ points.T
            placed[:, 0] += group.x[some, None].astype(np.float32)
            placed[:, 1] += group.y[some, None].astype(np.float32)
            waiting.append((placed.transpose(1, 0, 2).reshape(2, -1), np.tile(net, len(placed))))
            n_waiting += waiting[-1][1].size
            if n_waiting >= _CHUNK:
                total += _splat_clouds(waiting, shape)
                waiting, n_waiting = [], 0
    if waiting:
        total += _splat_clouds(waiting, shape)
    return (total * (VOLT_ANGSTROM_SQUARED_PER_ANGSTROM / pixel_size**2)).astype(np.float32)


def _splat_clouds(
    clouds: list[tuple[Points, npt.NDArray[np.float32]]], shape: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """Return an image with several clouds of points splatted into it."""
    at = np.concatenate([cloud for cloud, _ in clouds], axis=1)
    return splat(at[0], at[1], np.concatenate([weights for _, weights in clouds]), shape)


def _blur(image: Image, sigma_px: float) -> Field:
    """Return a splatted image with the Gaussian that its points stand for, less the blur of the splat itself."""
    left = sigma_px**2 - _BILINEAR_VARIANCE
    if left < 0.04:  # less than a fifth of a pixel: nothing to see
        return image
    return np.asarray(cv2.GaussianBlur(image, (0, 0), float(np.sqrt(left)), borderType=cv2.BORDER_CONSTANT), np.float32)


def _add_slices(total: Field, group: Particles, pixel_size: float) -> None:
    """Add the projections of a map to a field, each where its particle lies."""
    transform = fourier_volume(group.structure, pixel_size)
    rows, columns = total.shape
    for rotation, x, y in zip(group.rotations, group.x, group.y, strict=True):
        at_x, at_y = int(np.floor(x)), int(np.floor(y))
        image = transform.slice(rotation, pixel_size=pixel_size, shift_px=(x - at_x, y - at_y))
        half = image.shape[0] // 2
        left, top = at_x - half, at_y - half
        to_left, to_top = max(left, 0), max(top, 0)
        right, bottom = min(left + image.shape[1], columns), min(top + image.shape[0], rows)
        if right > to_left and bottom > to_top:
            total[to_top:bottom, to_left:right] += image[to_top - top : bottom - top, to_left - left : right - left]


@dataclass(frozen=True, eq=False)
class FourierVolume:
    """Holds the Fourier transform of a map, ready to be cut through its middle (the projection-slice theorem).

    Attributes
    ----------
    real, imaginary : (n, n, n), float32
        Spline coefficients of the transform, frequency 0 in the middle, axes z, y, x; cropped to what its images can
        carry.
    frequency_step
        Cycles per Å between neighbouring values.
    side_angstrom
        Side of the map; a slice is a third wider.
    """

    real: npt.NDArray[np.float32]
    imaginary: npt.NDArray[np.float32]
    frequency_step: float
    side_angstrom: float

    def slice(
        self, rotation: npt.NDArray[np.float64], *, pixel_size: float, shift_px: tuple[float, float] = (0.0, 0.0)
    ) -> Field:
        """Return the projection along the beam.

        Parameters
        ----------
        rotation : (3, 3)
            Its first two rows give image x and y.
        pixel_size
            Å per pixel of the projection.
        shift_px
            Moves the molecule's origin from pixel (n // 2, n // 2) along x and y.

        Returns
        -------
        (n, n), float32
            V Å.
        """
        n = fft.next_fast_len(int(np.ceil(1.3 * self.side_angstrom / pixel_size)) + 2)
        ky, kx = np.broadcast_arrays(fft.fftfreq(n)[:, None], fft.rfftfreq(n)[None, :])
        # The plane of the image, in the molecule's frame: k = R^T (kx, ky, 0).
        steps = 1 / (pixel_size * self.frequency_step)
        middle = self.real.shape[0] // 2
        at = [(rotation[0, a] * kx + rotation[1, a] * ky) * steps + middle for a in (2, 1, 0)]
        real = ndimage.map_coordinates(self.real, at, order=3, mode="constant", prefilter=False)
        imaginary = ndimage.map_coordinates(self.imaginary, at, order=3, mode="constant", prefilter=False)
        turn = np.exp(-2j * np.pi * (kx * (shift_px[0] + n // 2) + ky * (shift_px[1] + n // 2)))
        # Only the sphere inside the cube: its corners and its one-sided last plane would pull the image aside.
        turn *= (kx * kx + ky * ky) * steps**2 < (middle - 1) ** 2
        turn *= VOLT_ANGSTROM_SQUARED_PER_ANGSTROM / pixel_size**2
        flat: Field = fft.irfft2((real + 1j * imaginary) * turn, s=(n, n)).astype(np.float32)
        return flat


def fourier_volume(structure: Structure, pixel_size: float) -> FourierVolume:
    """Return the transform of a molecule's map for images of a pixel size; the last 16 are kept.

    Raises
    ------
    ValueError
        If the molecule has no map.
    """
    # The pixel size is rounded down to a third of an octave, so that images of nearly one scale share a transform.
    return _fourier_volume(structure, 2.0 ** (np.floor(3 * np.log2(pixel_size)) / 3))


@lru_cache(maxsize=16)
def _fourier_volume(structure: Structure, finest_pixel: float) -> FourierVolume:
    if structure.volume is None or structure.voxel_size is None:
        raise ValueError(f"{structure.name} came as points; it has no map to cut through")
    n = structure.volume.shape[0]
    # Twice the size, so that a cubic spline between the values is good to a part in a thousand.
    side = fft.next_fast_len(2 * n)
    padded = np.zeros((side,) * 3, np.float32)
    inner = slice(side // 2 - n // 2, side // 2 - n // 2 + n)
    padded[inner, inner, inner] = structure.volume
    values = fft.fftshift(fft.fftn(fft.ifftshift(padded), workers=1))
    step = 1 / (side * structure.voxel_size)
    keep = min(side // 2, int(np.ceil(0.5 * np.sqrt(2) / finest_pixel / step)) + 1)
    kept = slice(side // 2 - keep, side // 2 + keep + (0 if keep == side // 2 else 1))
    values = values[kept, kept, kept]
    return FourierVolume(
        ndimage.spline_filter(values.real, order=3, output=np.float32, mode="constant"),
        ndimage.spline_filter(values.imag, order=3, output=np.float32, mode="constant"),
        step,
        n * structure.voxel_size,
    )
