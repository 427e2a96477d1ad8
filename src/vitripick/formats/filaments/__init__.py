"""Read and write filaments: RELION, EMAN, CBOX, cryoSPARC, CSV."""

from vitripick.formats.filaments.files import FILAMENT_FORMATS, read_filaments, write_filaments

__all__ = ["FILAMENT_FORMATS", "read_filaments", "write_filaments"]
