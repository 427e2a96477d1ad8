"""Read what a person said about a micrograph besides its labels: areas to ignore, and whether labels are complete.

A folder of areas has one JSON file per micrograph, at the place of its label file:

    {"complete": false, "ignored": [[[x, y], [x, y], [x, y]]], "rejected": [[x, y]]}

`complete` (true by default) says that every particle is labelled, so that what is not labelled is background
whatever `TrainSettings.unlabelled` says about the others. The ignored areas are polygons in full-size pixels; nothing
in them is taught or counted. At the rejected places a person looked and saw no particle, whatever a model thinks.
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import numpy.typing as npt

from vitripick.errors import FormatError, InputError
from vitripick.formats import pair_labels, read_all_picks
from vitripick.formats.folders import walk
from vitripick.formats.names.pairing import match_names
from vitripick.formats.passed_by import PassedBy, say_passed_by
from vitripick.geometry import Boxes, FloatArray
from vitripick.images.prepare import Prepared
from vitripick.json_toml import read_json_object
from vitripick.text import listed

log = logging.getLogger("vitripick")


@dataclass(frozen=True, eq=False)
class Areas:
    """Holds the areas of one micrograph, and whether its labels are complete.

    Attributes
    ----------
    complete
        Whether every particle is labelled; None if that is not known.
    ignored
        Polygons, (n, 2) each, in full-size pixels.
    rejected : (n, 2), float64
        Places that are known to be no particle, in full-size pixels.
    """

    complete: bool | None = True
    ignored: tuple[FloatArray, ...] = ()
    rejected: FloatArray = field(default_factory=lambda: np.empty((0, 2)))

    def with_rejected(self, places: FloatArray) -> Areas:
        """Return the areas with more rejected places, (n, 2)."""
        return dataclasses.replace(self, rejected=np.concatenate([self.rejected, places]))

    def with_ignored(self, boxes: Boxes) -> Areas:
        """Return the areas with these boxes to ignore, too."""
        half = np.column_stack([boxes.width, boxes.height])[:, None] / 2
        corners = boxes.centres[:, None] + half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        return dataclasses.replace(self, ignored=(*self.ignored, *corners))


def read_areas(folder: str | Path | None, micrographs: list[str]) -> dict[str, Areas]:
    """Return the areas by micrograph; one without a file is complete. Files that belong to no micrograph are logged.

    Raises
    ------
    InputError
        If there is no such folder.
    FormatError
        If a file cannot be read as areas.
    """
    if folder is None:
        return {}
    if not Path(folder).is_dir():
        raise InputError(f"{folder}: there is no such folder of areas (one JSON file per micrograph; docs/label.md).")
    unused: list[PassedBy] = []
    found_below = [below.inside + one.name for below in walk(str(folder), passed_by=unused) for one in below.files]
    paths = sorted(Path(folder, name) for name in found_below if name.endswith(".json"))
    say_passed_by(unused)
    names = [str(PurePosixPath(path.relative_to(folder).as_posix()).with_suffix("")) for path in paths]
    found = match_names(micrographs, names)
    for i in sorted(set(range(len(paths))) - set(found.values())):
        log.warning("%s: areas of no labelled micrograph; they are not used", paths[i])
    return {name: _read(paths[i]) for name, i in found.items()}


def read_ignored(path: str | Path | None, micrographs: list[str], *, diameter_px: float) -> dict[str, Boxes]:
    """Return the boxes to ignore by micrograph, from labels in any format; those that belong to no micrograph are
    logged.

    A box without a size is as large as a particle's label.

    Raises
    ------
    InputError, FormatError
        If they cannot be read.
    """
    if path is None:
        return {}
    pairing = pair_labels(micrographs, read_all_picks(path, keep_coordinates=True))
    if strangers := pairing.unmatched_labels:
        log.warning("%s: boxes of no labelled micrograph, not used: %d (%s)", path, len(strangers), listed(strangers))
    return {name: boxes.sized(diameter_px) for name, boxes in pairing.pairs.items()}


def ignored_pixels(areas: Areas | None, prepared: Prepared) -> npt.NDArray[np.bool_] | None:
    """Return a mask of what to ignore, (h, w), bool: ignored polygons and the border without an image; None if
    nothing."""
    polygons = () if areas is None else areas.ignored
    if not polygons and not any(prepared.border):
        return None
    shape = prepared.image.shape[0], prepared.image.shape[1]
    inside = np.zeros(shape, np.uint8)
    for polygon in polygons:
        x, y = prepared.to_working(polygon[:, 0], polygon[:, 1])
        cv2.fillPoly(inside, [np.column_stack([x, y]).round().astype(np.int32)], 1)
    return inside.astype(bool) | prepared.border.mask(shape)


def _read(path: Path) -> Areas:
    try:
        content = read_json_object(path)
        ignored = tuple(np.array(points, dtype=np.float64).reshape(-1, 2) for points in content.get("ignored", ()))
        if not all(len(polygon) >= 3 and np.isfinite(polygon).all() for polygon in ignored):
            raise ValueError("a polygon needs three points or more, of finite numbers")
        rejected = np.array(content.get("rejected", ()), dtype=np.float64).reshape(-1, 2)
        if not np.isfinite(rejected).all():
            raise ValueError("a rejected place needs finite numbers")
        return Areas(bool(content.get("complete", True)), ignored, rejected)
    except (ValueError, TypeError, OverflowError) as error:
        raise FormatError(f"{path}: this file should say which areas to ignore (docs/label.md): {error}.") from error
