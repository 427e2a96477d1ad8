"""Judge traced filaments by length: the share of the true length that was found, and of the traced length that is
true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from vitripick.geometry import Filament, Filaments, FloatArray, angle_between

Numbers: TypeAlias = npt.NDArray[np.int64]
# Distance of samples in pixels of the micrograph; it is smaller if filaments are thin.
_STEPS_PER_WIDTH = 10
# One labelled filament continues another one where their ends are this close, in widths: dirt may lie between them.
_LONGEST_BRIDGE_WIDTHS = 6.0
# Over this length, in widths, a filament points where it ends.
_END_WIDTHS = 2.0


@dataclass(frozen=True)
class FilamentEvaluation:
    """Holds the result of a comparison of traced filaments with true ones; lengths are in pixels.

    Attributes
    ----------
    n_true, n_traced
        Filaments.
    true_length, traced_length
        Of all of them.
    found_length
        True length within the tolerance of a traced filament of the same direction.
    right_length
        Traced length within the tolerance of a true filament of the same direction.
    angle_error_degrees
        Median error of the direction where a traced filament is right; NaN if none is.
    offset
        Median distance of what is right from the true centre line.
    breaks
        Pieces beyond the first that true filaments were traced in, for each true filament that was found.
    false_joins
        True filaments beyond the first that a traced filament follows, for each traced filament. Where two lie upon
        each other, the traced one follows the one that explains more of it.
    bridges
        True filaments beyond the first that continue another one in line after a gap, for each traced filament: both
        were traced as one. They are not false joins, because labels often end where dirt lies on a filament.
    """

    n_true: int
    n_traced: int
    true_length: float
    traced_length: float
    found_length: float
    right_length: float
    angle_error_degrees: float
    offset: float
    breaks: float
    false_joins: float
    bridges: float = 0.0

    @property
    def recall(self) -> float:
        """Return the share of the true length that was found; 1 if there is none."""
        return self.found_length / self.true_length if self.true_length else 1.0

    @property
    def precision(self) -> float:
        """Return the share of the traced length that is right; 1 if there is none."""
        return self.right_length / self.traced_length if self.traced_length else 1.0

    @property
    def f1(self) -> float:
        """Return the harmonic mean of recall and precision."""
        both = self.recall + self.precision
        return 2 * self.recall * self.precision / both if both else 0.0

    def to_dict(self) -> dict[str, float | int | None]:
        """Return everything, ready for JSON; a number that is not known is None."""
        values = asdict(self) | {"recall": self.recall, "precision": self.precision, "f1": self.f1}
        return {name: None if isinstance(v, float) and np.isnan(v) else v for name, v in values.items()}

    def lines(self) -> list[str]:
        """Return two lines for people."""
        return [
            f"by length: F1 {self.f1:.3f}, recall {self.recall:.3f}, precision {self.precision:.3f} "
            f"({self.n_traced} traced, {self.n_true} labelled)",
            f"direction off by {self.angle_error_degrees:.2f} degrees and centre line by {self.offset:.2f} px "
            f"(medians), {self.breaks:.2f} breaks per filament, {self.false_joins:.2f} false joins, "
            f"{self.bridges:.2f} gaps bridged",
        ]


def evaluate_filaments(
    traced: Sequence[Filaments],
    true: Sequence[Filaments],
    *,
    width_px: float | None = None,
    tolerance_widths: float = 0.25,
    largest_angle_degrees: float = 20.0,
) -> FilamentEvaluation:
    """Compare traced filaments with true ones, micrograph by micrograph.

    Parameters
    ----------
    traced, true
        The same micrographs in the same order.
    width_px
        Width of the true filaments where they do not say it, in full-size pixels.
    tolerance_widths
        How far a traced centre line may lie beside the true one, in widths of the true one.
    largest_angle_degrees
        How far the directions may differ: a filament that crosses another does not find it.

    Raises
    ------
    ValueError
        If the numbers of micrographs differ, or a width is not known.
    """
    sums = np.zeros(4)
    errors, offsets = [np.empty(0)], [np.empty(0)]
    breaks = joins = bridges = n_found = n_true = n_traced = 0
    for picks, labels in zip(traced, true, strict=True):
        widths = np.array([one.width for one in labels], np.float64)
        if width_px is not None:
            widths = np.where(np.isfinite(widths), widths, width_px)
        if not np.isfinite(widths).all():
            raise ValueError("the width of the true filaments is not known; give width_px")
        n_true, n_traced = n_true + len(labels), n_traced + len(picks)
        sums[0] += labels.length
        sums[1] += picks.length
        if not (len(picks) and len(labels)):
            continue
        step = float(widths.min()) / _STEPS_PER_WIDTH
        a, b = _sampled(labels.filaments, step), _sampled(picks.filaments, step)
        limit, turn = tolerance_widths * widths, np.deg2rad(largest_angle_degrees)
        found, _, _, by = _near(a, b, limit[a.number], turn)
        right, error, offset, of = _near(b, a, limit[a.number], turn, of_others=True)
        sums[2] += a.length[found].sum()
        sums[3] += b.length[right].sum()
        errors.append(error[right])
        offsets.append(offset[right])
        shortest = float(widths.max())
        pieces = _explained(a, by, shortest)
        n_found += len(pieces)
        breaks += sum(len(others) - 1 for others in pieces.values())
        for followed in _explained(b, of, shortest).values():
            lines = [labels.filaments[number] for number in followed]
            more = len(lines) - 1
            gaps = min(more, _n_in_line(lines, shortest, turn))
            joins, bridges = joins + more - gaps, bridges + gaps
    error, offset = np.concatenate(errors), np.concatenate(offsets)
    return FilamentEvaluation(
        n_true,
        n_traced,
        float(sums[0]),
        float(sums[1]),
        float(sums[2]),
        float(sums[3]),
        float(np.rad2deg(np.median(error))) if len(error) else float("nan"),
        float(np.median(offset)) if len(offset) else float("nan"),
        breaks / n_found if n_found else 0.0,
        joins / n_traced if n_traced else 0.0,
        bridges / n_traced if n_traced else 0.0,
    )


@dataclass(frozen=True, eq=False)
class _Samples:
    at: FloatArray
    angle: FloatArray
    number: Numbers
    length: FloatArray


def _sampled(filaments: Sequence[Filament], step: float) -> _Samples:
    """Return points in the middle of equal pieces of each filament, with the length that each stands for."""
    at, angle, number, length = [], [], [], []
    for i, one in enumerate(filaments):
        n = max(1, round(one.length / step))
        places, angles = one.at((np.arange(n) + 0.5) * one.length / n)
        at.append(places)
        angle.append(angles)
        number.append(np.full(n, i))
        length.append(np.full(n, one.length / n))
    return _Samples(*(np.concatenate(parts) for parts in (at, angle, number, length)))


def _near(
    some: _Samples, others: _Samples, limit: FloatArray, turn: float, *, of_others: bool = False
) -> tuple[npt.NDArray[np.bool_], FloatArray, FloatArray, Numbers]:
    """Return which samples have another near them in their direction, its angle, and its distance across.

    The last array, (n, k), holds the numbers of all filaments that are near in that direction, else -1.
    """
    k = min(24, len(others.at))
    distance, index = cKDTree(others.at).query(some.at, k=k)
    distance, index = distance.reshape(len(some.at), k), index.reshape(len(some.at), k)
    off = angle_between(some.angle[:, None], others.angle[index])
    within = limit[index] if of_others else limit[:, None]
    fits = (off <= turn) & (distance <= within)
    best = np.where(fits, distance, np.inf).argmin(axis=1)
    row = np.arange(len(some.at))
    chosen = index[row, best]
    step, angle = some.at - others.at[chosen], others.angle[chosen]
    across = np.abs(step[:, 1] * np.cos(angle) - step[:, 0] * np.sin(angle))
    return fits[row, best], off[row, best], across, np.where(fits, others.number[index], -1)


def _explained(mine: _Samples, others: Numbers, shortest: float) -> dict[int, list[int]]:
    """Return the fewest others that explain each filament, those first that explain most.

    An other one counts if it explains at least `shortest` of the length that the ones before it do not explain.

    Parameters
    ----------
    mine
        The samples of the filaments, those of one filament one after the other.
    others : (n, k)
        The filaments that are near each sample; -1 for none.
    shortest
        In the unit of the lengths.
    """
    starts = np.flatnonzero(np.diff(mine.number, prepend=-1))
    explained: dict[int, list[int]] = {}
    for low, high in zip(starts, [*starts[1:], len(mine.number)], strict=True):
        near, left = others[low:high], mine.length[low:high].copy()
        candidates = [int(number) for number in np.unique(near) if number >= 0]
        covers = {number: (near == number).any(axis=1) for number in candidates}
        chosen: list[int] = []
        while candidates:
            best = max(candidates, key=lambda number: left[covers[number]].sum())
            if left[covers[best]].sum() < shortest:
                break
            left[covers[best]] = 0.0
            candidates.remove(best)
            chosen.append(best)
        if chosen:
            explained[int(mine.number[low])] = chosen
    return explained


def _n_in_line(filaments: Sequence[Filament], width: float, turn: float) -> int:
    """Return how many pairs of filaments continue each other in line, with a gap between their ends."""
    ends = [_ends(one, width) for one in filaments]
    n = 0
    for i, mine in enumerate(ends):
        for other in ends[i + 1 :]:
            n += any(_faces(a, b, width, turn) for a in mine for b in other)
    return n


def _ends(filament: Filament, width: float) -> list[tuple[FloatArray, FloatArray]]:
    """Return both ends, each with the unit vector by which the filament leaves there."""
    length = filament.length
    inner = min(_END_WIDTHS * width, length / 2)
    places, _ = filament.at([0.0, inner, length - inner, length])
    ends = []
    for tip, behind in ((places[0], places[1]), (places[3], places[2])):
        away = tip - behind
        ends.append((tip, away / max(float(np.hypot(*away)), 1e-9)))
    return ends


def _faces(a: tuple[FloatArray, FloatArray], b: tuple[FloatArray, FloatArray], width: float, turn: float) -> bool:
    """Return whether two ends point at each other over a gap."""
    step = b[0] - a[0]
    gap = float(np.hypot(*step))
    if gap > _LONGEST_BRIDGE_WIDTHS * width or float(a[1] @ b[1]) > -np.cos(turn):
        return False
    # Ends that nearly touch have no direction from one to the other, but may not lie side by side.
    along, across = float(step @ a[1]), abs(float(step[0] * a[1][1] - step[1] * a[1][0]))
    return along > -0.5 * width and across <= max(0.5 * width, np.sin(turn) * gap)
