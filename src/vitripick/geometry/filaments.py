"""Define `Filaments`, which say where filaments run in a micrograph: polylines with a width, resampled to segments."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from vitripick.geometry.boxes import FloatArray


@dataclass(frozen=True, eq=False)
class Filament:
    """Holds one filament: its centre line as a polyline, in pixels of the full-size micrograph.

    Attributes
    ----------
    points : (n, 2), float64
        x and y of the vertices, two or more, from one end to the other.
    width
        Diameter of the filament; NaN where it is not known.
    confidence
        The model's confidence, 0-1; NaN for a label.
    """

    points: FloatArray
    width: float = float("nan")
    confidence: float = float("nan")

    def __post_init__(self) -> None:
        points = self.points
        if points.dtype != np.float64 or points.ndim != 2 or points.shape[1] != 2 or len(points) < 2:
            raise ValueError(f"Filament.points must be float64 of shape (n, 2) with n > 1, got {points!r}")

    @classmethod
    def through(
        cls, points: npt.ArrayLike, *, width: float = float("nan"), confidence: float = float("nan")
    ) -> Filament:
        """Return a filament through these points; a point that repeats the one before it is left out.

        Raises
        ------
        ValueError
            If fewer than two different points are left.
        """
        table = np.asarray(points, np.float64).reshape(-1, 2)
        moves = np.append(True, np.any(np.diff(table, axis=0) != 0, axis=1))
        return cls(np.ascontiguousarray(table[moves[: len(table)]]), float(width), float(confidence))

    @property
    def track(self) -> FloatArray:
        """Return how far along the centre line each vertex lies from the first one, (n,)."""
        steps = np.hypot(*np.diff(self.points, axis=0).T)
        return np.concatenate([[0.0], np.cumsum(steps)])

    @property
    def length(self) -> float:
        """Return the length of the centre line."""
        return float(self.track[-1])

    def at(self, track: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return the places, (m, 2), and directions, (m,) rad, at distances along the centre line.

        The direction is that of the polyline around the place, from x towards y: half a turn more is the same
        filament, so it lies in (-pi/2, pi/2]. At a vertex it is the mean of both sides.
        """
        wanted = np.asarray(track, np.float64)
        along, points = self.track, self.points
        places = np.column_stack([np.interp(wanted, along, points[:, axis]) for axis in (0, 1)])
        # A chord as long as a hundredth of the filament and at least a pixel: it turns smoothly at vertices.
        reach = min(max(0.5, 0.005 * along[-1]), 0.5 * along[-1])
        low, high = np.clip(wanted - reach, 0, along[-1]), np.clip(wanted + reach, 0, along[-1])
        chord = [np.interp(high, along, points[:, axis]) - np.interp(low, along, points[:, axis]) for axis in (0, 1)]
        return places, undirected(np.arctan2(chord[1], chord[0]))

    def bend(self, step: float) -> float:
        """Return how much the centre line turns in `step` pixels of its length, rad, on average."""
        pieces = max(1, round(self.length / step))
        if pieces < 2:
            return 0.0
        places, _ = self.at(np.linspace(0, self.length, pieces + 1))
        headings = np.unwrap(np.arctan2(*np.diff(places, axis=0).T[::-1]))
        return float(np.abs(np.diff(headings)).mean() * step * pieces / self.length)

    def resampled(self, spacing: float) -> Filament:
        """Return the filament with a vertex every `spacing`, from its first point on; the last point stays, too."""
        track = np.append(np.arange(0, self.length - 1e-6 * spacing, spacing), self.length)
        return dataclasses.replace(self, points=self.at(track)[0])

    def within(self, low: tuple[float, float], high: tuple[float, float]) -> list[Filament]:
        """Return the parts of the filament in a rectangle, from its first end on.

        Parameters
        ----------
        low, high
            Smallest and largest x and y.
        """
        parts: list[list[FloatArray]] = []
        for first, last in pairwise(self.points):
            step = last - first
            cuts = [0.0, 1.0]
            for axis in (0, 1):
                if step[axis] != 0:
                    cuts += [float((limit[axis] - first[axis]) / step[axis]) for limit in (low, high)]
            shares = sorted({share for share in cuts if 0 <= share <= 1})
            for begin, end in pairwise(shares):
                middle = first + (begin + end) / 2 * step
                if not all(low[axis] <= middle[axis] <= high[axis] for axis in (0, 1)):
                    continue
                from_ = first if begin == 0 else first + begin * step
                to = last if end == 1 else first + end * step
                if parts and np.array_equal(parts[-1][-1], from_):
                    parts[-1].append(to)
                else:
                    parts.append([from_, to])
        return [dataclasses.replace(self, points=np.array(part)) for part in parts]

    def scaled(self, scale: float) -> Filament:
        """Return the filament in the pixels of an image with `scale` pixels per pixel of this one."""
        return Filament((self.points + 0.5) * scale - 0.5, self.width * scale, self.confidence)


@dataclass(frozen=True, eq=False)
class Segments:
    """Holds the segments of the filaments of one micrograph, as helical processing takes them.

    Attributes
    ----------
    x, y : (n,), float64
        Centres.
    filament : (n,), int64
        Number of the filament, from 1.
    angle : (n,), float64
        Direction of the filament, rad from x towards y, in (-pi/2, pi/2].
    track : (n,), float64
        Distance along the filament from its first end.
    width, confidence : (n,), float64
        Those of the filament.
    """

    x: FloatArray
    y: FloatArray
    filament: npt.NDArray[np.int64]
    angle: FloatArray
    track: FloatArray
    width: FloatArray
    confidence: FloatArray

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, eq=False)
class Filaments:
    """Holds the filaments of one micrograph. `x` runs along columns and `y` along rows, as in `Boxes`.

    Attributes
    ----------
    filaments
        In any order; formats number them from 1.
    micrograph
        The micrograph's identity, as in `Boxes`.
    shape
        (rows, columns) of the full-size micrograph, where known.
    pixel_size
        Å per pixel, where known.

    Examples
    --------
    >>> rods = Filaments([Filament.through([(10, 20), (110, 20)], width=24)])
    >>> rods.segments(spacing=40).x
    array([ 20.,  60., 100.])
    """

    filaments: Sequence[Filament] = field(default_factory=list)
    micrograph: str | None = None
    shape: tuple[int, int] | None = None
    pixel_size: float | None = None

    def __len__(self) -> int:
        return len(self.filaments)

    def __iter__(self) -> Iterator[Filament]:
        return iter(self.filaments)

    @property
    def length(self) -> float:
        """Return the length of all filaments together, in pixels."""
        return float(sum(one.length for one in self.filaments))

    def above(self, threshold: float) -> Filaments:
        """Return those of at least this confidence; labels, which have none, stay."""
        kept = [one for one in self.filaments if not one.confidence < threshold]
        return dataclasses.replace(self, filaments=kept)

    def with_width(self, width: float) -> Filaments:
        """Return the filaments with another width, in pixels."""
        return dataclasses.replace(self, filaments=[dataclasses.replace(one, width=width) for one in self.filaments])

    def scaled(self, scale: float) -> Filaments:
        """Return the filaments in the pixels of an image with `scale` pixels per pixel of this one."""
        shape = None if self.shape is None else (round(self.shape[0] * scale), round(self.shape[1] * scale))
        pixel_size = None if self.pixel_size is None else self.pixel_size / scale
        return Filaments([one.scaled(scale) for one in self.filaments], self.micrograph, shape, pixel_size)

    def flipped(self, rows: int) -> Filaments:
        """Return the filaments with y counted from the last of `rows` rows."""
        turned = [
            dataclasses.replace(one, points=np.column_stack([one.points[:, 0], rows - 1 - one.points[:, 1]]))
            for one in self.filaments
        ]
        return dataclasses.replace(self, filaments=turned)

    def segments(self, *, spacing: float) -> Segments:
        """Cut every filament into segments whose centres are `spacing` pixels apart along the centre line.

        What is left of the length is shared by both ends, so no segment lies right at an end. A filament shorter than
        two steps has one segment at least, in its middle.

        Raises
        ------
        ValueError
            If the spacing is not above 0.
        """
        if not (np.isfinite(spacing) and spacing > 0):
            raise ValueError(f"the spacing should be a number above 0, but it is {spacing}")
        places, angles, tracks = ([np.empty((0, 2))], [np.empty(0)], [np.empty(0)])
        numbers: list[npt.NDArray[np.int64]] = [np.empty(0, np.int64)]
        for number, one in enumerate(self.filaments, start=1):
            length = one.length
            steps = int(np.floor(length / spacing + 1e-9))
            # Half a step stays free at each end where there is room for it.
            steps = max(steps - 1, 0) if steps * spacing > length - 1e-6 * spacing else steps
            track = (length - steps * spacing) / 2 + spacing * np.arange(steps + 1)
            at, angle = one.at(track)
            places.append(at)
            angles.append(angle)
            tracks.append(np.asarray(track, np.float64))
            numbers.append(np.full(len(track), number, np.int64))
        filament = np.concatenate(numbers)
        widths = np.array([one.width for one in self.filaments], np.float64)
        confidences = np.array([one.confidence for one in self.filaments], np.float64)
        at = np.concatenate(places)
        return Segments(
            np.ascontiguousarray(at[:, 0]),
            np.ascontiguousarray(at[:, 1]),
            filament,
            np.concatenate(angles),
            np.concatenate(tracks),
            widths[filament - 1],
            confidences[filament - 1],
        )


def undirected(angle: npt.ArrayLike) -> FloatArray:
    """Return angles of lines without a direction, in (-pi/2, pi/2]."""
    angles = np.asarray(angle, np.float64)
    return np.asarray(np.pi / 2 - np.mod(np.pi / 2 - angles, np.pi))


def angle_between(first: npt.ArrayLike, second: npt.ArrayLike) -> FloatArray:
    """Return the angle between lines without a direction, 0 to pi/2."""
    return np.abs(undirected(np.asarray(first, np.float64) - np.asarray(second, np.float64)))
