"""Micrographs made to order, with the true particle positions.

molecule → projected potential → placement → ice → lens → dose → camera → file: each step is a function of its own
module and can be called alone (docs/simulation.md walks through them). Nothing here needs torch.
"""

from vitripick.simulation.crops import SimulatedCrop, simulate_crops
from vitripick.simulation.folder import SimulationSummary, simulate_folder
from vitripick.simulation.micrograph import Simulated, simulate_micrograph
from vitripick.simulation.reading import (
    bundled_structures,
    find_structures,
    read_structure,
    save_structure,
    structure_from_map,
)
from vitripick.simulation.recipe import Recipe, load_recipe, recipe_names
from vitripick.simulation.structure import Structure, structure_from_points

__all__ = [
    "Recipe",
    "Simulated",
    "SimulatedCrop",
    "SimulationSummary",
    "Structure",
    "bundled_structures",
    "find_structures",
    "load_recipe",
    "read_structure",
    "recipe_names",
    "save_structure",
    "simulate_crops",
    "simulate_folder",
    "simulate_micrograph",
    "structure_from_map",
    "structure_from_points",
]
