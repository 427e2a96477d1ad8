"""The micrograph that the benchmarks of speed work on.

It imports no torch, because Linux counts the memory of a process into the peak of each process that it starts.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vitripick.formats import read_micrograph
from vitripick.geometry import Image

_FOLDER = Path(__file__).parents[2] / "examples/betagal_full_size/micrographs"


def example_image(shape: str) -> Image:
    """Return the example at full size, repeated and cut to `shape`, such as "4096x4096" (rows x columns)."""
    rows, columns = map(int, shape.split("x"))
    image = read_micrograph(next(_FOLDER.glob("*.jpg"))).image
    return np.tile(image, (-(-rows // image.shape[0]), -(-columns // image.shape[1])))[:rows, :columns]
