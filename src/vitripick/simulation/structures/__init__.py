"""Hold molecules to simulate, and read the files that they come from.

`structure` holds the value that all other modules work with. `models` (mmCIF, PDB), `maps` (MRC) and `library` (npz,
the bundled molecules) read one kind of file each, `index` reads `index.csv`, `slab` finds the membrane in what was
read, and `reading` chooses the reader by the file's suffix.
"""

from vitripick.settings.simulate import KINDS, Kind
from vitripick.simulation.structures.library import bundled_structures, save_structure
from vitripick.simulation.structures.maps import structure_from_map
from vitripick.simulation.structures.reading import find_structures, read_structure
from vitripick.simulation.structures.structure import Structure, structure_from_points

__all__ = [
    "KINDS",
    "Kind",
    "Structure",
    "bundled_structures",
    "find_structures",
    "read_structure",
    "save_structure",
    "structure_from_map",
    "structure_from_points",
]
