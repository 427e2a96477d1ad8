"""Simulate negative stain: particles dry on a carbon film, in a layer of heavy-metal salt that gathers around them.

The protein itself is light where it keeps the stain out, and lies in a dark halo. Stain is too strong for the
weak-phase approximation, so it goes through the lens as a wave.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vitripick.geometry import Image
from vitripick.simulation.bodies import slow_field
from vitripick.simulation.ice import carbon_spectrum, mean_free_path_angstrom, random_field
from vitripick.simulation.optics import Optics, frequencies, wave_intensity
from vitripick.simulation.projection import project_all
from vitripick.simulation.scattering import (
    VOLT_ANGSTROM_SQUARED_PER_ANGSTROM,
    interaction_constant,
    protein_net_density,
)
from vitripick.simulation.scene import Scene
from vitripick.simulation.scene_recipe import StainRecipe, draw

# Mean inner potentials in V: dried uranyl salt by its composition and density (about 4 g/cm3), dried protein as carbon
# of its density. The free path is relative to that of ice: eight times the density, and heavier atoms.
_STAIN_POTENTIAL = 15.0
_PROTEIN_POTENTIAL = 6.5
_STAIN_FREE_PATH = 0.12
# Carbon film under everything, Å.
_FILM_ANGSTROM = (50.0, 200.0)


def stained_intensity(
    scene: Scene, optics: Optics, recipe: StainRecipe, rng: np.random.Generator
) -> tuple[Image, dict[str, Any]]:
    """Return the intensity behind a stained scene, relative to the beam, over the padded field, and what was drawn.

    The scene's bare discs join its junk.

    Parameters
    ----------
    scene
        Its particles and debris keep the stain out; their heights do not matter.
    optics
        How the micrograph is taken.
    recipe
        The stain.
    rng
        Source of all randomness.
    """
    field = scene.field
    shape, pixel_size = field.padded, field.pixel_size
    diameter_px = scene.particles[0].structure.diameter_angstrom / pixel_size
    potential = project_all([*scene.particles, *scene.debris], shape, pixel_size=pixel_size)
    # Protein's own thickness, from its net potential in ice.
    protein = np.maximum(potential, 0) / np.float32(VOLT_ANGSTROM_SQUARED_PER_ANGSTROM * protein_net_density())
    layer = draw(rng, recipe.layer_angstrom, log=True)
    depth, reach = draw(rng, recipe.pool_depth), draw(rng, recipe.pool_reach)
    # Stain is as high as the protein next to it, and becomes thinner over a part of a diameter.
    sigma = max(0.7, reach * diameter_px)
    pool = cv2.GaussianBlur(cv2.dilate(protein, _disc(sigma)), (0, 0), sigma)
    stain = (
        np.float32(layer) * (1 + np.float32(0.3) * slow_field(shape, 4 * diameter_px, rng)) + np.float32(depth) * pool
    )
    grain = draw(rng, recipe.grain)
    grain_px = max(0.6, rng.uniform(5, 15) / pixel_size)
    stain = np.maximum(stain, 0) * np.maximum(0, 1 + np.float32(grain) * slow_field(shape, 2 * grain_px, rng))
    n_discs = round(draw(rng, recipe.bare_discs) * field.area_share)
    bare = _bare_discs(scene, rng, n_discs, diameter_px)
    # The volume of protein or of a disc holds no stain.
    stain = np.maximum(stain - protein, 0) * (1 - bare)
    film = np.float32(rng.uniform(*_FILM_ANGSTROM))
    sigma_e = np.float32(interaction_constant(optics.voltage_kv))
    carbon = random_field(shape, carbon_spectrum(*frequencies(shape, pixel_size)), pixel_size, rng) * np.sqrt(film)
    phase = (np.float32(_STAIN_POTENTIAL) * stain + np.float32(_PROTEIN_POTENTIAL) * protein + carbon) * sigma_e
    loss = stain / np.float32(_STAIN_FREE_PATH * mean_free_path_angstrom(optics.voltage_kv))
    drawn = {"layer_angstrom": layer, "pool_depth": depth, "pool_reach": reach, "grain": grain, "bare_discs": n_discs}
    return wave_intensity(phase, loss, pixel_size, optics), drawn


def _bare_discs(scene: Scene, rng: np.random.Generator, n: int, diameter_px: float) -> Image:
    """Return where bubbles and beads keep the stain out, 0-1 over the padded field; they lie beside the particles."""
    rows, columns = scene.field.padded
    bare = np.zeros((rows, columns), np.float32)
    molecules = scene.particles[0]
    for _ in range(n):
        radius = diameter_px * float(np.exp(rng.uniform(np.log(0.4), np.log(1.5))))
        x, y = rng.uniform(0, columns), rng.uniform(0, rows)
        near = np.hypot(molecules.x - x, molecules.y - y) < radius + 0.6 * diameter_px
        if near.any():
            continue
        cv2.circle(bare, (round(x), round(y)), max(1, round(radius)), 1.0, -1)
    scene.junk[bare > 0] = True
    return np.asarray(cv2.GaussianBlur(bare, (0, 0), max(0.7, 0.03 * diameter_px)), np.float32)


def _disc(radius_px: float) -> npt.NDArray[np.uint8]:
    side = 2 * max(1, round(radius_px)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)
