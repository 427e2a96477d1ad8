"""The options of a `simulate` call, each once: the command line and its help follow from this class."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vitripick.settings import Settings
from vitripick.simulation.scene_recipe import Shape
from vitripick.simulation.structures.structure import Kind


class SimulateSettings(Settings):
    """Which micrographs `simulate_folder` makes, besides what the scene recipe says."""

    n_micrographs: int = Field(default=4, ge=1, description="How many micrographs to simulate.")
    seed: int = Field(default=1, ge=0, description="The same seed gives the same files.")
    pixel_size: float | None = Field(
        default=None, gt=0, lt=100, description="Å per pixel, instead of the scene recipe's."
    )
    shape: Shape | None = Field(default=None, description="Rows and columns, instead of the scene recipe's.")
    kind: Kind | None = Field(
        default=None, description="What the structures are: soluble, membrane, nucleoprotein, virus, filament."
    )
    assembly: str = Field(default="1", description="Biological assembly of mmCIF and PDB files, or asu.")
    prefix: str = Field(
        default="simulated",
        description="Micrographs are called PREFIX_0001 and so on; grid1/mic puts them in subfolders.",
    )
    dtype: Literal["float32", "float16"] = Field(default="float32", description="Numbers in the MRC files.")
    overlays: bool = Field(default=False, description="Draw a PNG of every micrograph with its particles.")
