"""Read and write files: one module for each kind, bytes to our objects and back."""

from vitripick.formats.micrographs.files import read_header, read_micrograph
from vitripick.formats.micrographs.finding import MicrographFile, find_micrographs, output_stems
from vitripick.formats.micrographs.image_file import MicrographHeader
from vitripick.formats.micrographs.mrc import read_mrc_volume, write_mrc
from vitripick.formats.names.pairing import Pairing, pair_labels
from vitripick.formats.picks.files import read_all_picks, read_picks, write_joined_picks, write_picks
from vitripick.formats.picks.recentre import recentre, recentre_in_micrographs
from vitripick.formats.picks.table import FORMATS, PicksFormat
from vitripick.formats.star.files import read_micrographs_star, write_coordinate_files_star
from vitripick.formats.star.optics import OpticsGroup
from vitripick.formats.star.particles import write_particles_star

__all__ = [
    "FORMATS",
    "MicrographFile",
    "MicrographHeader",
    "OpticsGroup",
    "Pairing",
    "PicksFormat",
    "find_micrographs",
    "output_stems",
    "pair_labels",
    "read_all_picks",
    "read_header",
    "read_micrograph",
    "read_micrographs_star",
    "read_mrc_volume",
    "read_picks",
    "recentre",
    "recentre_in_micrographs",
    "write_coordinate_files_star",
    "write_joined_picks",
    "write_mrc",
    "write_particles_star",
    "write_picks",
]
