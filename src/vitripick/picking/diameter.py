"""Estimate the particle's diameter with the network: it sees some micrographs at one assumed diameter after another.

Two of its answers show which assumed diameter is right.

- How sure it is. It was trained on particles of one size in its pixels, with some jitter. If it sees particles at about
  that size, its surest picks are surest. That holds over a stretch of diameters, and the middle is the estimate.
- How large it sees the particle. If the assumed diameter is too small, it sees the particle larger than assumed, and
  the other way round. The estimate is the diameter at which that ratio falls through 1.

This is one file because a sweep and the conclusions from it must be read together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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

# Assumed diameters are in Å if the pixel size is known, else shares of the long side.
# They cover particles of 60 to 600 Å with some room on both sides, because an estimate lies between tried diameters.
SMALLEST_ANGSTROM, LARGEST_ANGSTROM = 50.0, 700.0
_SMALLEST_SHARE, _LARGEST_SHARE = 1 / 80, 1 / 4
# Diameters are half an octave apart, so the nearest one is at most 19 % off, within the jitter of the training.
_STEP = 2**0.5
# Small diameters make large images, so only the middle of a micrograph is used. Its side, in working pixels:
CROP_PX = 768
# Around a given diameter a smaller part must do, because a run of one micrograph waits for it.
CROP_NEAR_PX = 512
# Engines compile a network for each size of image, which takes longer than to run it on a few images. So sides are
# filled up to multiples of this.
_SIDE_PX = 256
# The surest picks are this share of the places that a particle could take, and at least this number.
_SUREST, _AT_LEAST = 1 / 100, 8
# If the surest picks are more likely false than true, they do not show the diameter.
_SURE = 0.5
# Where the network reaches this share of its highest sureness, it counts as equally sure.
_STRETCH = 0.85
# If diameters differ by more than this, in logarithms, they belong to different kinds of particle.
_SAME_KIND = float(np.log(1.4))
# Estimates are wrong by less than this factor, so a given diameter is kept unless the estimate differs by more.
_FITS = float(np.log(1.25))
# This number of half octaves is tried on each side of a given diameter.
_AROUND = 3
# Dark particles make the network at least this sure on most micrographs: 0.77 to 0.98 on the labelled sets of
# docs/picking.md. Their inverted copies, in which particles are white, reach 0.16 to 0.52.
_POOR = 0.7
# Inverted micrographs are picked if they make it that sure, and surer than as they are by this.
_SURER = 0.2
# Estimates on real micrographs are wrong by this share of the diameter (docs/benchmarks/general.md).
_LEAST_UNCERTAINTY = 0.05


Contrast = Literal["dark", "white", "perhaps white"]


class DiameterOn(Settings):
    """Says what was found on one micrograph: a diameter (None if none stood out), and how sure the surest picks are."""

    micrograph: str
    diameter: float | None
    sureness: float


class DiameterEstimate(Settings):
    """Holds the diameter that a survey found.

    Attributes
    ----------
    unit
        Unit of all diameters here; pixels if a pixel size is not known.
    diameter
        The estimate.
    low, high
        Ends of its uncertainty.
    mixed
        Whether micrographs disagree by more than samples of one kind of particle would.
    given
        The diameter that was given, if any.
    micrographs
        What was found on each.
    contrast
        `dark` particles, as networks know them; `white` ones, for which micrographs were inverted; `perhaps white` if
        more stands out after inverting, but not enough to do so.
    doubted_pixel_size
        The pixel size, in Å, with which no diameter in Å stands out, although one in pixels does.
    """

    unit: Literal["angstrom", "px"]
    diameter: float
    low: float
    high: float
    mixed: bool = False
    given: float | None = None
    micrographs: tuple[DiameterOn, ...] = ()
    contrast: Contrast = "dark"
    doubted_pixel_size: float | None = None

    @property
    def n_silent(self) -> int:
        """Return the number of micrographs on which nothing stood out."""
        return sum(one.diameter is None for one in self.micrographs)

    @property
    def looks_like_two_samples(self) -> bool:
        """Return whether fewer than two thirds of the micrographs with a diameter agree with any one of them."""
        known = np.log([one.diameter for one in self.micrographs if one.diameter is not None])
        if len(known) < 2:
            return False
        n_agree = (np.abs(known[:, None] - known[None, :]) <= _SAME_KIND).sum(axis=1).max()
        return bool(n_agree < len(known) * 2 / 3)

    def by_micrograph(self) -> str:
        """Return the diameter on each micrograph, for a message."""
        return ", ".join(
            f"{one.micrograph} {'nothing' if one.diameter is None else in_unit(one.diameter, self.unit)}"
            for one in self.micrographs
        )

    @property
    def contradicts(self) -> bool:
        """Return whether micrographs agree on a diameter that clearly differs from the given one."""
        if self.given is None or self.mixed or self.n_silent > len(self.micrographs) / 2:
            return False
        return abs(float(np.log(self.diameter / self.given))) > _FITS

    def summary_lines(self, *, earlier: str = "") -> list[str]:
        """Return lines for the user.

        Parameters
        ----------
        earlier
            Words that say where an earlier call found it; empty if it was found just now.
        """
        if self.given is not None and not self.contradicts:
            return self._doubts()
        where = f"on {count('micrograph', len(self.micrographs) - self.n_silent)}"
        where += f"; nothing stands out on {self.n_silent} more" if self.n_silent else ""
        lines = [
            f"diameter {in_unit(self.diameter, self.unit)}, found by itself (between {in_unit(self.low, self.unit)} "
            f"and {in_unit(self.high, self.unit)}) {earlier or where}"
        ]
        if self.given is not None:
            lines[0] += f", instead of the {in_unit(self.given, self.unit)} that were given"
            lines.append(
                f"note: to pick with {in_unit(self.given, self.unit)} nevertheless, keep the diameter "
                f"({parameter('keep_diameter', True)})."
            )
        if self.mixed:
            lines.append(
                "note: these micrographs do not agree; they may come from different samples: "
                f"{self.by_micrograph()}. All are picked with {in_unit(self.diameter, self.unit)}; give each sample an "
                f"{parameter('out')} and a diameter of its own."
            )
        return lines + self._doubts()

    def _doubts(self) -> list[str]:
        """Return lines about faults of the micrographs or their headers."""
        lines = []
        if self.contrast == "white":
            lines.append(
                "the particles look white here: nearly nothing stands out until the contrast is inverted, so "
                f"the contrast is inverted (to prevent it: {parameter('invert', False)})"
            )
        if self.contrast == "perhaps white":
            lines.append(
                "note: the particles may be white here: more stands out after the contrast is inverted; try "
                f"{parameter('invert', True)}."
            )
        if self.doubted_pixel_size is not None:
            lines.append(
                f"note: with {self.doubted_pixel_size:.4g} Å per pixel, no diameter between {SMALLEST_ANGSTROM:g} and "
                f"{LARGEST_ANGSTROM:g} Å stands out, but one in pixels does. If the pixel size is wrong, give "
                f"{parameter('pixel_size')}."
            )
        return lines


@dataclass(frozen=True, eq=False)
class Sweep:
    """Holds what a network saw on one micrograph at each assumed diameter.

    Attributes
    ----------
    diameter : (n,), float64
        Assumed diameters, in one unit for all sweeps; rising.
    sureness : (n,), float64
        Mean confidence of the surest picks, one for each hundred places that a particle could take.
    log_ratio : (n,), float64
        Natural logarithm of the seen size over the assumed size, averaged over picks; sure picks count more.
    weight : (n,), float64
        Weight of that average: the sum of the squared confidences.
    """

    diameter: FloatArray
    sureness: FloatArray
    log_ratio: FloatArray
    weight: FloatArray


def diameters_to_try(shape: tuple[int, int], pixel_size: float | None) -> FloatArray:
    """Return log-spaced diameters, in Å if the pixel size is known, else in pixels.

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
    """Return log-spaced diameters from about a third of a given one to three times it, in its unit."""
    return np.asarray(diameter * _STEP ** np.arange(-_AROUND, _AROUND + 1.0))


def sweep(
    image: Image,
    model: LoadedModel,
    diameters: FloatArray,
    *,
    pixel_size: float | None = None,
    crop_px: int | None = None,
    invert: bool = False,
    jobs: int = 1,
) -> Sweep:
    """Run the network on the middle of a micrograph at each assumed diameter, and return what it saw.

    Parameters
    ----------
    image : (rows, columns), float32
        The full-size micrograph.
    model
        A model on an engine, with `scale_by="particle"`.
    diameters : (n,)
        Assumed diameters, in Å if a pixel size is given, else in pixels.
    pixel_size
        Å per pixel.
    crop_px
        Side of the middle, in working pixels; `CROP_PX` by default.
    invert
        Invert the contrast.
    jobs
        Diameters to look at at once. What is seen does not depend on it.
    """
    side = CROP_PX if crop_px is None else crop_px
    scale = pixel_size or 1.0
    with ThreadPoolExecutor(jobs, thread_name_prefix="sweep") as pool:
        seen = list(pool.map(lambda d: _look(image, model, float(d) / scale, side, invert), diameters))
    return Sweep(np.asarray(diameters, np.float64), *np.array(seen, np.float64).T)


def _look(
    image: Image, model: LoadedModel, diameter_px: float, crop_px: int, invert: bool
) -> tuple[float, float, float]:
    """Return sureness, mean logarithmic ratio and its weight at one assumed diameter."""
    if diameter_px < SMALLEST_PX:
        return 0.0, 0.0, 0.0
    preparation, working_px = model.card.preparation, model.card.preparation.working_diameter_px
    middle = _middle(image, crop_px * diameter_px / working_px)
    prepared = prepare(middle, preparation, diameter_px=diameter_px, invert=invert)
    if not prepared.image.any():  # constant
        return 0.0, 0.0, 0.0
    floor = model.card.uncalibrated(FLOOR_CONFIDENCE)
    found = inside(detect(model.network, fill_up(prepared.image, _SIDE_PX), floor=floor), prepared.image.shape)
    log_ratio = np.log(np.sqrt(found.width * found.height) / working_px)
    return summed_up(model.card.calibrated(found.confidence), log_ratio, prepared.image.size / working_px**2)


def summed_up(confidence: FloatArray, log_ratio: FloatArray, n_places: float) -> tuple[float, float, float]:
    """Return sureness, mean logarithmic ratio and its weight, from picks of an area with room for `n_places`."""
    n = max(_AT_LEAST, round(_SUREST * n_places))
    weight = confidence**2
    total = float(weight.sum())
    surest = np.sort(confidence)[::-1][:n]
    return float(surest.sum()) / n, float((weight * log_ratio).sum()) / total if total else 0.0, total


def _middle(image: Image, side: float) -> Image:
    rows, columns = (min(length, max(1, round(side))) for length in image.shape)
    top, left = (image.shape[0] - rows) // 2, (image.shape[1] - columns) // 2
    return image[top : top + rows, left : left + columns]  # a view: to copy it takes as long as to downscale it


def combine(
    sweeps: dict[str, Sweep], *, unit: Literal["angstrom", "px"], given: float | None = None
) -> DiameterEstimate:
    """Return one diameter from the sweeps of several micrographs, all at the same assumed diameters.

    Parameters
    ----------
    sweeps
        Sweeps by micrograph.
    unit
        Unit of all diameters.
    given
        The diameter that was given; it is the estimate if nothing stands out.

    Raises
    ------
    UsageError
        If nothing stands out and no diameter was given. A diameter at an end of those tried does not stand out,
        because the next ones beyond it might fit better.
    """
    each = {name: _standing_out(seen) if _is_sure(seen) else None for name, seen in sweeps.items()}
    # Many empty micrographs would outweigh the others, so they do not count.
    counted = [sweeps[name] for name, one in each.items() if one is not None]
    if counted and _is_at_an_end(_pooled(counted)):
        each, counted = dict.fromkeys(sweeps), []
    on_each = tuple(
        DiameterOn(
            micrograph=name,
            diameter=None if one is None else _rounded(one.log_diameter),
            sureness=round(float(sweeps[name].sureness.max()), 3),
        )
        for name, one in each.items()
    )
    if not counted and given is not None:
        return DiameterEstimate(unit=unit, diameter=given, low=given, high=given, given=given, micrographs=on_each)
    if not counted:
        tried = next(iter(sweeps.values())).diameter
        raise UsageError(
            f"no diameter was given, and none stands out: the network is not sure of anything on "
            f"{count('micrograph', len(sweeps))}, for any diameter between "
            f"{in_unit(tried[0], unit)} and {in_unit(tried[-1], unit)}, nor in inverted contrast. Is the pixel size "
            f"right? Give {parameter('diameter_angstrom')} or {parameter('diameter_px')}."
        )
    together = _standing_out(_pooled(counted))
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
    """Holds natural logarithms: of the diameter, and of the factor by which its two estimates disagree."""

    log_diameter: float
    uncertainty: float


def stands_out(sweeps: Mapping[str, Sweep]) -> bool:
    """Return whether the network is sure at some diameter that is not an end of those tried."""
    counted = [seen for seen in sweeps.values() if _is_sure(seen)]
    return bool(counted) and not _is_at_an_end(_pooled(counted))


def is_poor(sweeps: Mapping[str, Sweep]) -> bool:
    """Return whether the network is less sure on these micrographs than dark particles make it."""
    return _typical(sweeps) < _POOR


def contrast_of(as_they_are: Mapping[str, Sweep], inverted: Mapping[str, Sweep]) -> Contrast:
    """Return whether particles are dark or white, from what the network sees before and after inverting."""
    before, after = _typical(as_they_are), _typical(inverted)
    if after < before + _SURER:
        return "dark"
    if after >= _POOR:
        return "white"
    return "perhaps white" if after >= _SURE else "dark"


def _typical(sweeps: Mapping[str, Sweep]) -> float:
    """Return the median over micrographs of how sure the network is at its best diameter."""
    return float(np.median([seen.sureness.max() for seen in sweeps.values()])) if sweeps else 0.0


def _is_at_an_end(seen: Sweep) -> bool:
    """Return whether the network is surest at the smallest or the largest of the diameters that were tried.

    It does not count if the particles that it sees there are nearer to the next diameter: a clear particle makes it as
    sure at twice its diameter as at the right one.
    """
    best, last = int(np.argmax(seen.sureness)), len(seen.diameter) - 1
    if last < 2 or best not in (0, last):
        return False
    inwards = 1.0 if best == 0 else -1.0
    return bool(inwards * seen.log_ratio[best] < np.log(_STEP) / 2)


def _is_sure(seen: Sweep) -> bool:
    return bool(seen.sureness.max() >= _SURE)


def _standing_out(seen: Sweep) -> _Found:
    """Return the diameter at which the network is surest and agrees with what was assumed."""
    best = int(np.argmax(seen.sureness))
    log_d = np.log(seen.diameter)
    low, high = (_edge(log_d, seen.sureness, best, step) for step in (-1, 1))
    middle = (low + high) / 2
    # The ratio may fall through 1 at several places; the one nearest to the middle counts.
    crossings = [found for found in _falls_through_zero(log_d, seen.log_ratio) if low <= found[0] <= high]
    if not crossings:
        return _Found(middle, (high - low) / 4)
    crossing, slope = min(crossings, key=lambda found: abs(found[0] - middle))
    # If the network measures sizes, the ratio falls as fast as the assumed diameter grows, at a slope of -1.
    # A flat slope means that it repeats the size of its training; then both estimates count equally.
    share = 0.5 + 0.5 * min(1.0, -slope)
    return _Found(share * crossing + (1 - share) * middle, abs(middle - crossing) / 2)


def _edge(log_d: FloatArray, sureness: FloatArray, best: int, step: int) -> float:
    """Return where sureness has fallen to a share of its peak, going from the peak in steps of -1 or 1."""
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
    """Return (x, slope) at each place where `y` falls from 0 or above to below 0."""
    slopes = np.diff(y) / np.diff(x)
    return [(float(x[i] - y[i] / slopes[i]), float(slopes[i])) for i in range(len(slopes)) if y[i] >= 0 > y[i + 1]]


def _pooled(sweeps: Sequence[Sweep]) -> Sweep:
    weight = np.sum([seen.weight for seen in sweeps], axis=0)
    total = np.sum([seen.weight * seen.log_ratio for seen in sweeps], axis=0)
    log_ratio = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    return Sweep(sweeps[0].diameter, np.mean([seen.sureness for seen in sweeps], axis=0), log_ratio, weight)


def _rounded(log_diameter: float) -> float:
    """Return the diameter with three digits, because no estimate is more precise."""
    return float(f"{np.exp(log_diameter):.3g}")


def in_unit(value: float, unit: str) -> str:
    """Return text such as `131 Å`."""
    return f"{value:.3g} {'Å' if unit == 'angstrom' else 'px'}"
