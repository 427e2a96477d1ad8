"""Files in and out: one module for each kind, bytes to our objects and back."""

from vitripick.formats.convert import convert_picks
from vitripick.formats.micrographs import (
    MicrographFile,
    MicrographHeader,
    find_micrographs,
    output_stems,
    read_header,
    read_micrograph,
    write_mrc,
)
from vitripick.formats.mrc import read_mrc_volume
from vitripick.formats.optics import OpticsGroup
from vitripick.formats.pairing import Pairing, pair_labels
from vitripick.formats.particles_star import write_particles_star
from vitripick.formats.picks import holds_run, read_all_picks, read_picks, write_joined_picks, write_picks
from vitripick.formats.star import read_micrographs_star, write_coordinate_files_star
from vitripick.formats.table import FORMATS, PicksFormat

__all__ = [
    "FORMATS",
    "MicrographFile",
    "MicrographHeader",
    "OpticsGroup",
    "Pairing",
    "PicksFormat",
    "convert_picks",
    "find_micrographs",
    "holds_run",
    "output_stems",
    "pair_labels",
    "read_all_picks",
    "read_header",
    "read_micrograph",
    "read_micrographs_star",
    "read_mrc_volume",
    "read_picks",
    "write_coordinate_files_star",
    "write_joined_picks",
    "write_mrc",
    "write_particles_star",
    "write_picks",
]
