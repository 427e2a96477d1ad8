"""List particles of all micrographs in one order, and draw them as sheets of small squares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vitripick.errors import UsageError, VitripickError
from vitripick.web.picksets import PickSets
from vitripick.web.previews import Filter, Previews, encode_jpeg
from vitripick.web.project import Entry, Project

# A user looks at the first hundreds; reading the picks of more micrographs would take too long.
_MOST_MICROGRAPHS, _MOST_PARTICLES = 1000, 2000
_COLUMNS = 8
_MOST_ON_SHEET, _MOST_SIDE_PX = 64, 256
# The square shows this many boxes, as the montage of one micrograph does.
_BOXES = 1.3

Particle = tuple[Entry, float, float, float]


class Montage:
    """Holds the surest and the least sure particles of a project."""

    def __init__(self, project: Project, pick_sets: PickSets, previews: Previews) -> None:
        self._project, self._pick_sets, self._previews = project, pick_sets, previews

    def ranking(self, pick_set: str, *, best: bool) -> dict[str, Any]:
        """Return the picks within the limits, of all micrographs but excluded ones, in falling or rising confidence.

        Returns
        -------
        dict
            `particles`: rows of micrograph id, x and y in full-size pixels, and confidence, at most 2,000;
            `n_particles` of all that were read; `n_read` and `n_picked` micrographs, where `n_read` is at most 1,000,
            spread evenly over the list.
        """
        picked = self._pick_sets.micrographs(pick_set)
        entries = [e for e in self._project.entries.values() if e.id in picked and e.flag != "excluded"]
        step = max(1, math.ceil(len(entries) / _MOST_MICROGRAPHS))
        rows: list[tuple[str, float, float, float]] = []
        n_read = 0
        for entry in entries[::step]:
            try:
                picks = self._pick_sets.kept(pick_set, entry)
            except VitripickError as error:  # the list shows the error
                entry.error = str(error)
                continue
            n_read += 1
            if picks is not None:
                confidence = np.nan_to_num(picks.confidence, nan=1.0)
                rows += [
                    (entry.id, round(float(x), 2), round(float(y), 2), round(float(c), 4))
                    for (x, y), c in zip(picks.centres, confidence, strict=True)
                ]
        rows.sort(key=lambda row: -row[3] if best else row[3])
        return {
            "particles": rows[:_MOST_PARTICLES],
            "n_particles": len(rows),
            "n_read": n_read,
            "n_picked": len(entries),
        }

    def sheet(self, particles: Sequence[Particle], filtering: Filter, *, side_px: int) -> bytes:
        """Return a JPEG with a square of `side_px` for each particle, eight in a row; outside a micrograph it is grey.

        Raises
        ------
        UsageError
            If there are none or too many particles, or the squares are too large.
        """
        if not (0 < len(particles) <= _MOST_ON_SHEET and 8 <= side_px <= _MOST_SIDE_PX):
            raise UsageError(f"a sheet has 1 to {_MOST_ON_SHEET} squares of 8 to {_MOST_SIDE_PX} px.")
        rows = math.ceil(len(particles) / _COLUMNS)
        sheet = np.full((rows * side_px, min(len(particles), _COLUMNS) * side_px), 128, np.uint8)
        shown: dict[str, npt.NDArray[np.uint8]] = {}
        for i, (entry, x, y, _) in enumerate(particles):
            if entry.id not in shown:
                data = np.frombuffer(self._previews.whole(entry, filtering), np.uint8)
                shown[entry.id] = np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)
            picture = shown[entry.id]
            scale = picture.shape[1] / self._project.header(entry).shape[1]
            zoom = side_px / (self._project.box_size_px(entry) * _BOXES * scale)
            # The middle of the picture's first pixel is (0, 0), and of the square's, too.
            left, top = ((v + 0.5) * scale - 0.5 for v in (x, y))
            middle = (side_px - 1) / 2
            move = np.array([[zoom, 0, middle - zoom * left], [0, zoom, middle - zoom * top]], np.float64)
            square = cv2.warpAffine(
                picture,
                move,
                (side_px, side_px),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=(128,),
            )
            row, column = divmod(i, _COLUMNS)
            sheet[row * side_px : (row + 1) * side_px, column * side_px : (column + 1) * side_px] = square
        return encode_jpeg(sheet)
