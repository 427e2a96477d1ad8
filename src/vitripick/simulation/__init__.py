"""Simulate micrographs, with the true positions of their particles.

molecule → projected potential → placement → ice → lens → dose → camera → file: each step is a function in its own
module, and can be called alone (docs/simulation.md describes them). Nothing here needs torch.
"""

from vitripick.settings.simulate import SimulateSettings
from vitripick.simulation.crops import SimulatedCrop, simulate_crops
from vitripick.simulation.folder import SimulationSummary, simulate_folder
from vitripick.simulation.micrograph import Simulated, simulate_micrograph
from vitripick.simulation.scene_recipe import SceneRecipe, load_scene_recipe, scene_recipe_names
from vitripick.simulation.structures import (
    Structure,
    bundled_structures,
    find_structures,
    read_structure,
    save_structure,
    structure_from_map,
    structure_from_points,
)

__all__ = [
    "SceneRecipe",
    "SimulateSettings",
    "Simulated",
    "SimulatedCrop",
    "SimulationSummary",
    "Structure",
    "bundled_structures",
    "find_structures",
    "load_scene_recipe",
    "read_structure",
    "save_structure",
    "scene_recipe_names",
    "simulate_crops",
    "simulate_folder",
    "simulate_micrograph",
    "structure_from_map",
    "structure_from_points",
]
