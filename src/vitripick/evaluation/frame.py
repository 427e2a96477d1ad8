"""Notice labels that lie in another frame than the micrographs: mirrored, x for y, corners, or another binning.

Labels are compared with maps of the micrographs, as they are and under each other reading. A map is high where picks
lie (`seen_by_picks`), or where spots of the labels' size are dark (`images.spot_maps`). A reading's fit is the map's
mean at the labels, in standard deviations of what the same labels give at random shifts. So crowded particles and ice
count the same for all readings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from vitripick.errors import parameter
from vitripick.geometry import Boxes, FloatArray, Image

# Another reading is right if it fits at least this well and this many times better than the given one.
# Dark particles have a light surrounding, so labels between particles fit with the other sign; then a smaller fit
# suffices. docs/evaluation.md has the fits of all labelled sets.
_FIT, _TIMES, _TIMES_OTHER_SIGN = 12.0, 2.2, 1.5
# A reading that brings more than this share of the labels outside is ignored.
_INSIDE = 0.9
# Labels of a larger image reach beyond this one. Unless this share of them does, they are not divided.
_OUTSIDE = 0.1
_SCALES = (2.0, 4.0, 8.0, 1 / 2, 1 / 4, 1 / 8)
# Pixels of a map that a particle spans. Centres are then known to a sixth of a particle, which is enough.
_WORKING_PX = 8.0
_LONGEST_MAP_PX = 2400
_N_SHIFTS = 100
# With fewer labels than this in all, no conclusion is drawn.
_FEWEST = 10


_Indices: TypeAlias = npt.NDArray[np.intp]
_Read = Callable[[FloatArray, FloatArray, tuple[int, int]], tuple[FloatArray, FloatArray]]


@dataclass(frozen=True)
class Reading:
    """Describes another reading of labels.

    Attributes
    ----------
    words
        The reading in words.
    options
        The options of `convert` that read them so.
    read
        Function that turns x, y and the micrograph's (rows, columns) into the other x and y.
    """

    words: str
    options: dict[str, bool | float]
    read: _Read

    def apply(self, labels: Boxes, shape: tuple[int, int]) -> Boxes:
        """Return the labels as this reading places them; their sizes follow a scale."""
        x, y = self.read(labels.x, labels.y, shape)
        factor = float(self.options.get("scale", 1.0))
        return dataclasses.replace(labels, x=x, y=y, width=labels.width * factor, height=labels.height * factor)

    @property
    def typed(self) -> str:
        """Return the options as the caller writes them."""
        return " ".join(parameter(name, value) for name, value in self.options.items())


@dataclass(frozen=True)
class FrameHint:
    """Says that labels fit far better under another reading.

    Attributes
    ----------
    reading
        The other reading.
    fit, fit_as_given
        How well labels fit, in standard deviations of random places.
    """

    reading: Reading
    fit: float
    fit_as_given: float

    def __str__(self) -> str:
        given = round(self.fit_as_given)
        return self.text(f"{self.fit:.0f} instead of {given} standard deviations above random places")

    def text(self, figures: str) -> str:
        """Return a sentence that says how much better the labels fit, and what to do."""
        return (
            f"the labels fit the micrographs far better {self.reading.words} ({figures}). If so, mend them with "
            f"`vitripick convert`: {self.reading.typed}."
        )


@dataclass(frozen=True, eq=False)
class Seen:
    """Holds the labels of a micrograph and its maps.

    Attributes
    ----------
    labels
        The given labels, in full-size pixels.
    shape
        (rows, columns) of the full-size micrograph.
    maps
        Arrays (h, w), float32, each from edge to edge of the micrograph at a scale of its own. They show the same on
        every micrograph, such as spots of one diameter; None where a micrograph cannot show it.
    """

    labels: Boxes
    shape: tuple[int, int]
    maps: Sequence[Image | None]


def seen_by_picks(labels: Boxes, picks: Boxes, shape: tuple[int, int], *, diameter_px: float) -> Seen:
    """Return a map of a micrograph from its picks, with a soft spot at each."""
    factor = min(_WORKING_PX / diameter_px, _LONGEST_MAP_PX / max(shape))
    rows, columns = (max(1, round(length * factor)) for length in shape)
    spots = np.zeros((rows, columns), np.float32)
    row, column, inside = _places(picks.x, picks.y, shape, spots.shape)
    np.add.at(spots, (row[inside], column[inside]), 1.0)
    return Seen(labels, shape, [cv2.GaussianBlur(spots, (0, 0), max(0.5, factor * diameter_px / 4))])  # type: ignore[list-item]


def check_frame(seen: Sequence[Seen], *, half_box_px: float | None) -> FrameHint | None:
    """Return another reading of the labels, if they fit far better under it; None if they fit as they are.

    Parameters
    ----------
    seen
        Micrographs with labels.
    half_box_px
        Half of a label's box, the way from its corner to its centre, in full-size pixels; None if it is not known.

    Notes
    -----
    None is returned with fewer than ten labels, or if no reading fits clearly better.
    """
    if sum(len(one.labels) for one in seen) < _FEWEST:
        return None
    fits = fits_of_readings(seen, half_box_px=half_box_px)
    given = fits.pop(0)[1]
    reading, fit = max(fits, key=lambda found: abs(found[1]))
    times = _TIMES if fit * given > 0 else _TIMES_OTHER_SIGN
    if abs(fit) < max(_FIT, times * abs(given)):
        return None
    return FrameHint(reading, abs(fit), float(np.sign(fit)) * given)  # light particles have fits below zero


def fits_of_readings(seen: Sequence[Seen], *, half_box_px: float | None) -> list[tuple[Reading, float]]:
    """Return each reading and how well all micrographs fit it; the first is as given."""
    fits = []
    n_inside = sum(len(one.labels.inside(one.shape)) for one in seen)
    may_divide = n_inside <= (1 - _OUTSIDE) * sum(len(one.labels) for one in seen)
    for reading in _readings(half_box_px):
        if float(reading.options.get("scale", 1.0)) < 1 and not may_divide:
            continue
        each = [
            _fits(one, *reading.read(one.labels.x, one.labels.y, one.shape), lenient=not reading.options)
            for one in seen
        ]
        # What suits the particles is the same on all micrographs, so the map is chosen for all of them together.
        together = [sum(of_map) / np.sqrt(len(of_map)) for of_map in zip_longest(*each, fillvalue=0.0)]
        fits.append((reading, float(max(together, key=abs, default=0.0))))
    return fits


def _readings(half_box_px: float | None) -> list[Reading]:
    def scaled(factor: float) -> _Read:
        return lambda x, y, shape: ((x + 0.5) * factor - 0.5, (y + 0.5) * factor - 0.5)

    def moved(by: float) -> _Read:
        return lambda x, y, shape: (x + by, y + by)

    readings = [
        Reading("as they are", {}, lambda x, y, shape: (x, y)),
        Reading("with y flipped", {"flip_y": True}, lambda x, y, shape: (x, shape[0] - 1 - y)),
        Reading("with x and y swapped", {"swap_xy": True}, lambda x, y, shape: (y, x)),
        *(Reading(f"times {f:g}", {"scale": f}, scaled(f)) for f in _SCALES if f > 1),
        *(Reading(f"divided by {1 / f:g}", {"scale": f}, scaled(f)) for f in _SCALES if f < 1),
    ]
    if half_box_px is not None:
        half = float(f"{half_box_px:.4g}")
        readings += [
            Reading("as corners of boxes, not as centres", {"move_px": half}, moved(half)),
            Reading("as centres, not as corners of boxes", {"move_px": -half}, moved(-half)),
        ]
    return readings


def _fits(seen: Seen, x: FloatArray, y: FloatArray, *, lenient: bool) -> list[float]:
    """Return the fit to each map, in standard deviations; 0 for a reading that leads outside."""
    fits = []
    for spots in seen.maps:
        fits.append(0.0)
        if spots is None:
            continue
        row, column, inside = _places(x, y, seen.shape, spots.shape)
        if not inside.any() or (not lenient and inside.mean() < _INSIDE):
            continue
        row, column = row[inside], column[inside]
        deviation = float(spots.std())
        if deviation == 0:
            continue
        # One crystal of ice must not outweigh all particles.
        clipped = np.clip((spots - spots.mean()) / deviation, -3, 3)
        height, width = clipped.shape
        generator = np.random.default_rng(0)
        # The smallest shift is one particle, because a smaller one is still close to the given place.
        least = int(_WORKING_PX)
        down = generator.integers(least, max(least + 1, height - least), _N_SHIFTS)[:, None]
        right = generator.integers(least, max(least + 1, width - least), _N_SHIFTS)[:, None]
        shifted = clipped[(row + down) % height, (column + right) % width].mean(axis=1)
        spread = float(shifted.std())
        if spread > 0:
            fits[-1] = float((clipped[row, column].mean() - shifted.mean()) / spread)
    return fits


def _places(
    x: FloatArray, y: FloatArray, shape: tuple[int, int], map_shape: tuple[int, ...]
) -> tuple[_Indices, _Indices, npt.NDArray[np.bool_]]:
    """Return row and column of each centre in a map, and whether it lies inside."""
    row = np.floor((y + 0.5) * map_shape[0] / shape[0])
    column = np.floor((x + 0.5) * map_shape[1] / shape[1])
    inside = (row >= 0) & (row < map_shape[0]) & (column >= 0) & (column < map_shape[1])
    return row.astype(np.intp), column.astype(np.intp), inside
