"""Read and write filaments in the formats of RELION, EMAN, CBOX, cryoSPARC and CSV."""

from vitripick.formats.filaments.files import FILAMENT_FORMATS, read_filaments, write_filaments

__all__ = ["FILAMENT_FORMATS", "read_filaments", "write_filaments"]
