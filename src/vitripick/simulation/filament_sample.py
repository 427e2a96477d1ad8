"""Simulate micrographs of one sample of filaments, with a given helical symmetry or one drawn by the seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vitripick.settings.simulate import SimulateSettings
from vitripick.simulation.filament_shapes import Helix, helix_of, random_helix
from vitripick.simulation.filaments import FilamentLayout, SimulatedFilaments, simulate_filaments
from vitripick.simulation.scene_recipe import SceneRecipe
from vitripick.simulation.structures.structure import Structure

# Larger molecules than this do not lie among filaments.
_LARGEST_DEBRIS_ANGSTROM = 350.0
# Added to the seed of a folder for its filament; and the smallest length of a field in widths.
_SEED_OF_HELIX, _FIELD_WIDTHS = 2**31, 16.0


def filaments_by(
    settings: SimulateSettings,
    recipe: SceneRecipe,
    structures: Sequence[Structure],
    rng: np.random.Generator,
    *,
    name: str | None = None,
) -> SimulatedFilaments:
    """Simulate one micrograph of filaments: of the helical symmetry that the settings give, else of one by the seed.

    Parameters
    ----------
    settings
        Of `vitripick simulate`.
    recipe
        As in `simulate_filaments`.
    structures
        With a rise, one of them is the subunit; without it, subunits are drawn, and these are debris.
    rng, name
        As in `simulate_filaments`.
    """
    layout = FilamentLayout(count=settings.n_filaments, length_widths=(10.0, 60.0), crossings=settings.crossings)
    if settings.rise_angstrom is None:
        small = [one for one in structures if one.diameter_angstrom < _LARGEST_DEBRIS_ANGSTROM]
        helix = _helix_of_seed(settings.seed, recipe)
        return simulate_filaments(recipe, helix, rng, layout=layout, structures=small, name=name)
    subunit = structures[int(rng.integers(len(structures)))].simple(4.0)
    helix = helix_of(
        subunit,
        rise_angstrom=settings.rise_angstrom,
        twist_degrees=settings.twist_degrees,
        radius_angstrom=settings.radius_angstrom,
        n_starts=settings.n_starts,
    )
    return simulate_filaments(recipe, helix, rng, layout=layout, name=name)


def _helix_of_seed(seed: int, recipe: SceneRecipe) -> Helix:
    """Return the same filament for every micrograph of a seed, narrow enough that a field holds many widths."""
    rng = np.random.default_rng([seed, _SEED_OF_HELIX])
    finest = recipe.pixel_size if isinstance(recipe.pixel_size, float) else min(recipe.pixel_size)
    widest = min(recipe.shape) * finest / _FIELD_WIDTHS
    drawn = [random_helix(rng) for _ in range(40)]
    fitting = [one for one in drawn if one.width_angstrom <= widest]
    return fitting[0] if fitting else min(drawn, key=lambda one: one.width_angstrom)
