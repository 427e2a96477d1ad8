"""Write an MRC stack of particle images, image by image, whole or not at all."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from vitripick.atomic import atomic_path
from vitripick.formats.micrographs.mrc import HEADER_BYTES, write_mrc
from vitripick.geometry import Image

# These are byte offsets in the header (MRC2014) of the number of sections, and of statistics.
_NZ, _DMIN, _RMS = 8, 76, 216


class StackWriter:
    """Takes images of one size, one after the other; `open_stack` returns it."""

    def __init__(self, path: Path, size_px: int) -> None:
        self.n_images = 0
        self._size_px = size_px
        self._file = path.open("r+b")
        self._file.seek(HEADER_BYTES)
        self._sum = self._sum_of_squares = 0.0
        self._lowest, self._highest = math.inf, -math.inf

    def append(self, image: Image) -> None:
        """Add one image of (size, size), float32."""
        if image.shape != (self._size_px, self._size_px):
            raise ValueError(f"an image of {image.shape} in a stack of {self._size_px} x {self._size_px}")
        self._file.write(np.ascontiguousarray(image, dtype="<f4").tobytes())
        self.n_images += 1
        self._sum += float(image.sum(dtype=np.float64))
        self._sum_of_squares += float(np.square(image, dtype=np.float64).sum())
        self._lowest = min(self._lowest, float(image.min()))
        self._highest = max(self._highest, float(image.max()))

    def close(self) -> None:
        """Write what the header says about all images together."""
        n_pixels = max(1, self.n_images * self._size_px**2)
        mean = self._sum / n_pixels
        deviation = math.sqrt(max(0.0, self._sum_of_squares / n_pixels - mean**2))
        empty = self.n_images == 0
        self._file.seek(_NZ)
        self._file.write(struct.pack("<i", self.n_images))
        self._file.seek(_DMIN)
        self._file.write(struct.pack("<3f", 0 if empty else self._lowest, 0 if empty else self._highest, mean))
        self._file.seek(_RMS)
        self._file.write(struct.pack("<f", deviation))
        self._file.close()


@contextmanager
def open_stack(path: str | Path, size_px: int, *, pixel_size: float | None = None) -> Iterator[StackWriter]:
    """Yield a stack for square images of `size_px` (float32, little-endian), and keep it if the block ends well."""
    with atomic_path(path) as temporary:
        # When the file grows, only counts and statistics change in the header, so mrcfile makes it for one image.
        seed = temporary.with_name(temporary.name + ".seed.mrc")
        try:
            write_mrc(seed, np.zeros((size_px, size_px), np.float32), pixel_size=pixel_size)
            header = bytearray(seed.read_bytes()[:HEADER_BYTES])
        finally:
            seed.unlink(missing_ok=True)
        # MRC2014 marks a stack of images by space group 0 and one section a volume.
        struct.pack_into("<i", header, 36, 1)
        struct.pack_into("<i", header, 88, 0)
        temporary.write_bytes(header)
        writer = StackWriter(temporary, size_px)
        try:
            yield writer
        finally:
            writer.close()
