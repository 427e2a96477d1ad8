"""Simulate training samples in memory: small fields at the scale of a network's input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitripick.geometry import Image
from vitripick.images import normalise_locally
from vitripick.simulation.micrograph import simulate_micrograph
from vitripick.simulation.scene_recipe import SceneRecipe
from vitripick.simulation.structures.structure import Structure

# Pickers prepare real micrographs with the same window (`Preparation.background_diameters`).
_BACKGROUND_DIAMETERS = 2.0


@dataclass(frozen=True, eq=False)
class SimulatedCrop:
    """Holds a sample for training.

    Attributes
    ----------
    image : (p, p), float32
        Normalised as pickers normalise micrographs: about zero mean and unit variance everywhere.
    labels : (n, 4), float32
        x, y, width, height in pixels of the crop, of the particles whose centre is inside.
    junk : (p, p), bool
        Mask of thick contaminants, clumps and filaments.
    structure
        The particle's name.
    diameter_px
        The molecule's diameter in pixels of the crop.
    pixel_size
        Å per pixel of the crop.
    snr
        Signal power under the particles over noise power.
    """

    image: Image
    labels: npt.NDArray[np.float32]
    junk: npt.NDArray[np.bool_]
    structure: str
    diameter_px: float
    pixel_size: float
    snr: float


def simulate_crops(
    recipe: SceneRecipe,
    structures: Sequence[Structure],
    *,
    working_diameter_px: float,
    crop_px: int = 256,
    scale_jitter: float = 0.0,
    seed: int = 1,
    first: int = 0,
    step: int = 1,
) -> Iterator[SimulatedCrop]:
    """Yield training samples without end; each is a separate field with its own random draws.

    All structures are equally likely, small or large. Crop i depends only on the seed and on i, so workers can share
    a stream: worker w of n takes `first=w, step=n`.

    Parameters
    ----------
    recipe
        Its `pixel_size` and `shape` are not used: the scale follows from the molecule.
    structures
        Molecules, from `read_structure`.
    working_diameter_px
        The diameter of the particle in the crop.
    crop_px
        Side of the crop.
    scale_jitter
        The diameter varies log-uniformly between 1 / (1 + jitter) and 1 + jitter of `working_diameter_px`.
    seed, first, step
        The crops of the stream of `seed` to yield: first, first + step, first + 2 step ……

    Yields
    ------
    SimulatedCrop
    """
    particles_of = [s for s in structures if s.kind != "filament"] or list(structures)
    index = first
    while True:
        rng = np.random.default_rng([seed, index])
        structure = particles_of[int(rng.integers(len(particles_of)))]
        span = np.log1p(scale_jitter)
        diameter_px = working_diameter_px * float(np.exp(rng.uniform(-span, span)))
        pixel_size = structure.diameter_angstrom / diameter_px
        simulated = simulate_micrograph(
            recipe, structures, rng, shape=(crop_px, crop_px), pixel_size=pixel_size, structure=structure
        )
        boxes = simulated.boxes
        labels = np.column_stack([boxes.x, boxes.y, boxes.width, boxes.height]).astype(np.float32)
        image = normalise_locally(simulated.image, sigma_px=_BACKGROUND_DIAMETERS * working_diameter_px)
        snr = simulated.parameters["snr"]
        yield SimulatedCrop(image, labels, simulated.junk, structure.name, diameter_px, pixel_size, snr)
        index += step
