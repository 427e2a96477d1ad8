"""Handle boxes, micrographs, IoU, matching and overlap removal: arrays only, no disk."""

from vitripick.geometry.alignment import Alignment
from vitripick.geometry.boxes import Boxes, FloatArray, concatenate_boxes
from vitripick.geometry.filaments import Filament, Filaments, Segments, angle_between, undirected
from vitripick.geometry.filters import estimated_size_px, keep_sizes
from vitripick.geometry.grey import grey_range
from vitripick.geometry.matching import Criterion, iou_of_pairs, match
from vitripick.geometry.micrograph import IS_JUNK, SMALLEST_PX, Image, Micrograph, why_unseen
from vitripick.geometry.overlap import remove_overlaps

__all__ = [
    "IS_JUNK",
    "SMALLEST_PX",
    "Alignment",
    "Boxes",
    "Criterion",
    "Filament",
    "Filaments",
    "FloatArray",
    "Image",
    "Micrograph",
    "Segments",
    "angle_between",
    "concatenate_boxes",
    "estimated_size_px",
    "grey_range",
    "iou_of_pairs",
    "keep_sizes",
    "match",
    "remove_overlaps",
    "undirected",
    "why_unseen",
]
