"""How large the particle is, from the network itself: it is shown some micrographs as if the particle had this or that
diameter, and two of its answers tell which of them is right.

- How sure it is: it was trained on particles of one size in its pixels, with some jitter around that. Where they are
  shown at about that size, its surest picks are surest: over a stretch of diameters, whose middle is the estimate.
- How large it sees the particle: larger than assumed where too small a diameter was assumed, and the other way round.
  The estimate is where that ratio falls through 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from vitripick.errors import UsageError, parameter
from vitripick.geometry import SMALLEST_PX, FloatArray, Image
from vitripick.images import prepare
from vitripick.models.run import FLOOR_CONFIDENCE, detect, fill_up
from vitripick.models.stitch import inside
from vitripick.settings import Settings
from vitripick.text import count

if TYPE_CHECKING:
    from vitripick.models import LoadedModel

# Assumed diameters: in Å where the pixel size is known, else as shares of the long side.
# Particles of 60 to 600 Å, and some room on both sides, because an estimate lies between diameters that were tried.
SMALLEST_ANGSTROM, LARGEST_ANGSTROM = 50.0, 700.0
_SMALLEST_SHARE, _LARGEST_SHARE = 1 / 80, 1 / 4
# Half an octave apart: the next one is never more than 19 % off, inside of the jitter that networks are trained with.
_STEP = 2**0.5
# The middle of a micrograph, in working pixels: small diameters make large images.
CROP_PX = 768
# Around a given diameter less must do: a run of one micrograph waits for it.
CROP_NEAR_PX = 512
# Engines compile a network for each size of image, which takes them longer than a few images do. So sides are filled up
# to multiples of this.
_SIDE_PX = 256
# The surest picks: one for so many places, and at least so many picks.
_SUREST, _AT_LEAST = 1 / 100, 8
# As long as the surest picks are less likely true than false, there is nothing to go by.
_SURE = 0.5
# The network is about as sure as at its surest.
_STRETCH = 0.85
# Diameters further apart than this, in logarithms, are not of one kind of particle.
_SAME_KIND = float(np.log(1.4))
# A given diameter is kept unless the estimate differs by more than this factor, which is more than estimates miss by.
_FITS = float(np.log(1.25))
# Half octaves to try to each side of a given diameter.
_AROUND = 3
# As a share of the diameter: what estimates on real micrographs miss by (docs/benchmarks.md).
_LEAST_UNCERTAINTY = 0.05


class DiameterOn(Settings):
    """What was found on one micrograph: a diameter, None where none stood out; how sure the surest picks get."""

    micrograph: str
    diameter: float | None
    sureness: float


class DiameterEstimate(Settings):
    """The diameter that a survey found.

    Attributes
    ----------
    unit
        Of all diameters here; pixels where a pixel size is not known.
    diameter
        The estimate.
    low, high
        Its uncertainty.
    mixed
        Whether micrographs disagree by more than a sampling of one kind of particle would.
    given
        The diameter that was given, if any.
    micrographs
        What was found on each.
    """

    unit: Literal["angstrom", "px"]
    diameter: float
    low: float
    high: float
    mixed: bool = False
    given: float | None = None
    micrographs: tuple[DiameterOn, ...] = ()

    @property
    def n_silent(self) -> int:
        """Micrographs on which nothing stood out."""
        return sum(one.diameter is None for one in self.micrographs)

    @property
    def contradicts(self) -> bool:
        """Whether micrographs agree on a diameter that is clearly another than the given one."""
        if self.given is None or self.mixed or self.n_silent > len(self.micrographs) / 2:
            return False
        return abs(float(np.log(self.diameter / self.given))) > _FITS

    def summary_lines(self) -> list[str]:
        """Lines for people."""
        if self.given is not None and not self.contradicts:
            return []
        line = (
            f"diameter {in_unit(self.diameter, self.unit)}, estimated (between {in_unit(self.low, self.unit)} and "
            f"{in_unit(self.high, self.unit)}) on {count('micrograph', len(self.micrographs) - self.n_silent)}"
        )
        lines = [line + (f"; nothing stands out on {self.n_silent} more" if self.n_silent else "")]
        if self.given is not None:
            lines[0] += f", instead of the {in_unit(self.given, self.unit)} that were given"
            lines.append(
                f"note: to pick with {in_unit(self.given, self.unit)} all the same, keep the diameter "
                f"({parameter('keep_diameter', True)})."
            )
        if self.mixed:
            each = ", ".join(
                f"{one.micrograph} {'nothing' if one.diameter is None else in_unit(one.diameter, self.unit)}"
                for one in self.micrographs
            )
            lines.append(
                f"note: these micrographs do not agree, as those of mixed samples would not: {each}. All are picked "
                f"with {in_unit(self.diameter, self.unit)}; give each sample an {parameter('out')} and a "
                "diameter of its own."
            )
        return lines


@dataclass(frozen=True, eq=False)
class Sweep:
    """What a network made of one micrograph at each assumed diameter.

    Attributes
    ----------
    diameter : (n,), float64
        Assumed, in one unit for all sweeps; rising.
    sureness : (n,), float64
        Mean confidence of the surest picks, of one in each hundred places that a particle could take.
    log_ratio : (n,), float64
        Natural logarithm of the size seen over the size assumed, averaged over picks, the surest counting most.
    weight : (n,), float64
        What that average rests on: the sum of the squared confidences.
    """

    diameter: FloatArray
    sureness: FloatArray
    log_ratio: FloatArray
    weight: FloatArray


def diameters_to_try(shape: tuple[int, int], pixel_size: float | None) -> FloatArray:
    """Log-spaced diameters, in Å where the pixel size is known, else in pixels.

    Parameters
    ----------
    shape
        (rows, columns) of the full-size micrograph.
    pixel_size
        Å per pixel.
    """
    long, short = max(shape), min(shape)
    if pixel_size is None:
        low, high = max(long * _SMALLEST_SHARE, SMALLEST_PX), min(long * _LARGEST_SHARE, short / 2)
    else:
        low = max(SMALLEST_ANGSTROM, SMALLEST_PX * pixel_size)
        high = min(LARGEST_ANGSTROM, short * pixel_size / 3)
    n = max(1, round(np.log(max(high / low, 1)) / np.log(_STEP)) + 1)
    return np.geomspace(low, max(low, high), n)


def diameters_around(diameter: float) -> FloatArray:
    """Log-spaced diameters from about a third of a given one to three times it, in its unit."""
    return np.asarray(diameter * _STEP ** np.arange(-_AROUND, _AROUND + 1.0))


def sweep(
    image: Image,
    model: LoadedModel,
    diameters: FloatArray,
    *,
    pixel_size: float | None = None,
    crop_px: int | None = None,
) -> Sweep:
    """Show the network the middle of a micrograph at each assumed diameter.

    Parameters
    ----------
    image : (rows, columns), float32
        The full-size micrograph.
    model
        On an engine; one with `scale_by="particle"`.
    diameters : (n,)
        In Å where a pixel size is given, else in pixels.
    pixel_size
        Å per pixel.
    crop_px
        How much of it, in working pixels; `CROP_PX` by default.
    """
    side = CROP_PX if crop_px is None else crop_px
    seen = np.array([_look(image, model, float(d) / (pixel_size or 1.0), side) for d in diameters], np.float64)
    return Sweep(np.asarray(diameters, np.float64), *seen.T)


def _look(image: Image, model: LoadedModel, diameter_px: float, crop_px: int) -> tuple[float, float, float]:
    """Sureness, mean logarithmic ratio and its weight at one assumed diameter."""
    if diameter_px < SMALLEST_PX:
        return 0.0, 0.0, 0.0
    preparation, working_px = model.card.preparation, model.card.preparation.working_diameter_px
    prepared = prepare(_middle(image, crop_px * diameter_px / working_px), preparation, diameter_px=diameter_px)
    if not prepared.image.any():  # constant
        return 0.0, 0.0, 0.0
    floor = model.card.uncalibrated(FLOOR_CONFIDENCE)
    found = inside(detect(model.network, fill_up(prepared.image, _SIDE_PX), floor=floor), prepared.image.shape)
    log_ratio = np.log(np.sqrt(found.width * found.height) / working_px)
    return summed_up(model.card.calibrated(found.confidence), log_ratio, prepared.image.size / working_px**2)


def summed_up(confidence: FloatArray, log_ratio: FloatArray, n_places: float) -> tuple[float, float, float]:
    """Sureness, mean logarithmic ratio and its weight, from the picks of an area in which `n_places` would fit."""
    n = max(_AT_LEAST, round(_SUREST * n_places))
    weight = confidence**2
    total = float(weight.sum())
    surest = np.sort(confidence)[::-1][:n]
    return float(surest.sum()) / n, float((weight * log_ratio).sum()) / total if total else 0.0, total


def _middle(image: Image, side: float) -> Image:
    rows, columns = (min(length, max(1, round(side))) for length in image.shape)
    top, left = (image.shape[0] - rows) // 2, (image.shape[1] - columns) // 2
    return np.ascontiguousarray(image[top : top + rows, left : left + columns])


def combine(
    sweeps: dict[str, Sweep], *, unit: Literal["angstrom", "px"], given: float | None = None
) -> DiameterEstimate:
    """One diameter from the sweeps of several micrographs, all at the same assumed diameters.

    Parameters
    ----------
    sweeps
        By micrograph.
    unit
        Of all diameters.
    given
        The diameter that was given; it is the estimate if nothing stands out.

    Raises
    ------
    UsageError
        If nothing stands out and no diameter was given.
    """
    each = {name: _standing_out(seen) if _is_sure(seen) else None for name, seen in sweeps.items()}
    # Empty micrographs have no say, or many of them would outvote the others.
    telling = [sweeps[name] for name, one in each.items() if one is not None]
    on_each = tuple(
        DiameterOn(
            micrograph=name,
            diameter=None if one is None else _rounded(one.log_diameter),
            sureness=round(float(sweeps[name].sureness.max()), 3),
        )
        for name, one in each.items()
    )
    if not telling and given is not None:
        return DiameterEstimate(unit=unit, diameter=given, low=given, high=given, given=given, micrographs=on_each)
    if not telling:
        tried = next(iter(sweeps.values())).diameter
        raise UsageError(
            f"no diameter was given, and none stands out: the network is not sure of anything on "
            f"{count('micrograph', len(sweeps))}, whatever the particle is taken to be between "
            f"{in_unit(tried[0], unit)} and {in_unit(tried[-1], unit)}. Give {parameter('diameter_angstrom')} or "
            f"{parameter('diameter_px')}."
        )
    together = _standing_out(_pooled(telling))
    found = [one.log_diameter for one in each.values() if one is not None]
    known = [log_diameter for log_diameter in found if abs(log_diameter - together.log_diameter) <= _SAME_KIND]
    spread = max(_LEAST_UNCERTAINTY, together.uncertainty, float(np.std(known)) if known else 0.0)
    return DiameterEstimate(
        unit=unit,
        diameter=_rounded(together.log_diameter),
        low=_rounded(together.log_diameter - spread),
        high=_rounded(together.log_diameter + spread),
        mixed=len(known) < len(found),
        given=given,
        micrographs=on_each,
    )


@dataclass(frozen=True)
class _Found:
    """Natural logarithms: of the diameter, and of the factor by which its two witnesses disagree."""

    log_diameter: float
    uncertainty: float


def _is_sure(seen: Sweep) -> bool:
    return bool(seen.sureness.max() >= _SURE)


def _standing_out(seen: Sweep) -> _Found:
    """Where the network is surest and agrees with what was assumed."""
    best = int(np.argmax(seen.sureness))
    log_d = np.log(seen.diameter)
    low, high = (_edge(log_d, seen.sureness, best, step) for step in (-1, 1))
    middle = (low + high) / 2
    # Of several places where the ratio falls through 1, the one nearest to the middle.
    crossings = [found for found in _falls_through_zero(log_d, seen.log_ratio) if low <= found[0] <= high]
    if not crossings:
        return _Found(middle, (high - low) / 4)
    crossing, slope = min(crossings, key=lambda found: abs(found[0] - middle))
    # A network that measures sizes sees them fall as fast as what is assumed grows, at a slope of -1. The flatter, the
    # more it says what it was trained on; then both count alike.
    share = 0.5 + 0.5 * min(1.0, -slope)
    return _Found(share * crossing + (1 - share) * middle, abs(middle - crossing) / 2)


def _edge(log_d: FloatArray, sureness: FloatArray, best: int, step: int) -> float:
    """Where sureness has fallen to a share of its peak, going from there in steps of -1 or 1."""
    level = _STRETCH * sureness[best]
    here = best
    while 0 <= here + step < len(sureness):
        there = here + step
        if sureness[there] < level:
            share = (sureness[here] - level) / (sureness[here] - sureness[there])
            return float(log_d[here] + share * (log_d[there] - log_d[here]))
        here = there
    return float(log_d[here])


def _falls_through_zero(x: FloatArray, y: FloatArray) -> list[tuple[float, float]]:
    """(x, slope) wherever `y` goes from 0 or above to below."""
    slopes = np.diff(y) / np.diff(x)
    return [(float(x[i] - y[i] / slopes[i]), float(slopes[i])) for i in range(len(slopes)) if y[i] >= 0 > y[i + 1]]


def _pooled(sweeps: Sequence[Sweep]) -> Sweep:
    weight = np.sum([seen.weight for seen in sweeps], axis=0)
    total = np.sum([seen.weight * seen.log_ratio for seen in sweeps], axis=0)
    log_ratio = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    return Sweep(sweeps[0].diameter, np.mean([seen.sureness for seen in sweeps], axis=0), log_ratio, weight)


def _rounded(log_diameter: float) -> float:
    """To three figures: more would promise what no estimate holds."""
    return float(f"{np.exp(log_diameter):.3g}")


def in_unit(value: float, unit: str) -> str:
    """Such as `131 Å`."""
    return f"{value:.3g} {'Å' if unit == 'angstrom' else 'px'}"
