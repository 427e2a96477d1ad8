"""Transform images to polar Fourier coefficients, in which a turn in the plane is only a phase.

The transform of an image on rings around frequency 0 is expanded in angular harmonics. The correlation with a turned
reference is then one inverse transform over the harmonics for all angles at once (Cong, Kovacs & Wriggers 2003,
J. Struct. Biol. 144, 51-60). A shift is a phase factor on the rings.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import fft, sparse

Images: TypeAlias = npt.NDArray[np.float32]
Spectra: TypeAlias = npt.NDArray[np.complex64]
Reals: TypeAlias = npt.NDArray[np.float64]

# The transform is made twice as fine as the image's own, so that cubic interpolation is good to a part in a thousand.
_OVERSAMPLING = 2
_IMAGES_AT_ONCE = 256


@dataclass(frozen=True)
class PolarGrid:
    """Holds the rings and angles on which the transforms of square images are sampled.

    Attributes
    ----------
    size_px
        Side of the images; the middle of one is pixel [size / 2, size / 2].
    n_rings
        Rings have radii of 1, 2 … n cycles a side.
    n_angles
        Samples of a whole turn; even.
    """

    size_px: int
    n_rings: int
    n_angles: int

    @property
    def n_harmonics(self) -> int:
        """Return the number of angular harmonics from 0 upwards; those below 0 follow, because images are real."""
        return self.n_angles // 2 + 1

    @cached_property
    def weights(self) -> npt.NDArray[np.float32]:
        """Return the area of each ring, (rings,): sums of power over rings are then sums over pixels."""
        rings = np.arange(1, self.n_rings + 1)
        return np.asarray(2 * np.pi * rings / self.size_px**2, np.float32)

    def samples(self, images: Images) -> Spectra:
        """Return the transforms of (n, size, size) images on half of each ring: (n, rings, angles / 2)."""
        parts = [self._samples(images[i : i + _IMAGES_AT_ONCE]) for i in range(0, len(images), _IMAGES_AT_ONCE)]
        return np.concatenate(parts) if parts else np.empty((0, self.n_rings, self.n_angles // 2), np.complex64)

    def _samples(self, images: Images) -> Spectra:
        n, size = len(images), self.size_px
        fine = _OVERSAMPLING * size
        padded = np.zeros((n, fine, fine), np.float32)
        low = fine // 2 - size // 2
        padded[:, low : low + size, low : low + size] = images
        spectra = fft.fft2(fft.ifftshift(padded, axes=(1, 2)), workers=1).reshape(n, -1)
        found = (self._interpolation @ spectra.T).T
        return np.ascontiguousarray(found.reshape(n, self.n_rings, self.n_angles // 2), np.complex64)

    def harmonics(self, samples: Spectra) -> Spectra:
        """Return the angular harmonics of half rings, (harmonics, n, rings)."""
        # The transform of a real image takes the conjugate value half a turn on.
        whole = np.concatenate([samples, samples.conj()], axis=-1)
        found = fft.fft(whole, axis=-1, workers=1)[..., : self.n_harmonics] / np.float32(self.n_angles)
        return np.ascontiguousarray(np.moveaxis(found, -1, 0))

    def moves(self, places: Reals) -> Spectra:
        """Return the factors that move images by (m, 2) places, x and y in pixels: (m, rings, angles / 2)."""
        cycles = self.frequencies @ np.asarray(places, np.float64).T
        return np.asarray(np.moveaxis(np.exp(-2j * np.pi * cycles), -1, 0), np.complex64)

    @cached_property
    def frequencies(self) -> Reals:
        """Return x and y of each sample, (rings, angles / 2, 2), in cycles a pixel."""
        angles = 2 * np.pi * np.arange(self.n_angles // 2) / self.n_angles
        rings = np.arange(1, self.n_rings + 1) / self.size_px
        return np.asarray(rings[:, None, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1))

    @cached_property
    def _interpolation(self) -> sparse.csr_array:
        """Return the matrix of cubic interpolation (Keys 1981, IEEE Trans. ASSP 29, 1153-1160) from grid to samples."""
        fine = _OVERSAMPLING * self.size_px
        at = self.frequencies.reshape(-1, 2) * fine
        first = np.floor(at).astype(np.intp) - 1
        columns, values = [], []
        for step_x in range(4):
            for step_y in range(4):
                x, y = first[:, 0] + step_x, first[:, 1] + step_y
                columns.append((y % fine) * fine + x % fine)
                values.append(_cubic(at[:, 0] - x) * _cubic(at[:, 1] - y))
        rows = np.tile(np.arange(len(at)), 16)
        places = (rows, np.concatenate(columns))
        matrix = sparse.csr_array((np.concatenate(values), places), shape=(len(at), fine * fine))
        return matrix.astype(np.complex64)


def _cubic(distance: Reals) -> Reals:
    d = np.abs(distance)
    near = 1.5 * d**3 - 2.5 * d**2 + 1
    far = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    return np.asarray(np.where(d <= 1, near, np.where(d < 2, far, 0.0)))
