"""Boxes, micrographs, IoU, matching, overlap removal: arrays only, no disk."""

from vitripick.geometry.boxes import Boxes, FloatArray, concatenate_boxes
from vitripick.geometry.matching import Criterion, iou_of_pairs, match
from vitripick.geometry.micrograph import Image, Micrograph
from vitripick.geometry.overlap import remove_overlaps

__all__ = [
    "Boxes",
    "Criterion",
    "FloatArray",
    "Image",
    "Micrograph",
    "concatenate_boxes",
    "iou_of_pairs",
    "match",
    "remove_overlaps",
]
