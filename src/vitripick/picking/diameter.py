"""How large the particle is, from the network itself: it is shown some micrographs as if the particle had this or that
diameter, and where it is surest and agrees with what was assumed, that is the diameter.

A network that was trained on particles of one size in its pixels (and on some scale jitter around that) says for each
pick how large it sees the particle. Shown at a scale that makes the particle too large it says so, and the other way
round: the true diameter is where that ratio falls through 1 while the assumed diameter grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from vitripick.errors import UsageError
from vitripick.geometry import FloatArray, Image
from vitripick.images import Preparation, prepare
from vitripick.models.run import FLOOR_CONFIDENCE, detect
from vitripick.settings import Settings

if TYPE_CHECKING:
    from vitripick.models import Network

# Assumed diameters: in Å where the pixel size is known, else as shares of the long side.
SMALLEST_ANGSTROM, LARGEST_ANGSTROM = 60.0, 600.0
_SMALLEST_SHARE, _LARGEST_SHARE = 1 / 80, 1 / 4
# Fewer pixels than this across a particle show none.
_SMALLEST_PX = 6.0
# Half an octave apart: the next one is never more than 19 % off, inside of the jitter that networks are trained with.
_STEP = 2**0.5
# The middle of a micrograph, in working pixels: small diameters make large images.
CROP_PX = 1024
# How far the size seen may be from the one assumed, as a standard deviation of its logarithm, to count in full.
_AGREES = 0.15
# Less than this share of the area taken by sure picks is noise.
_LEAST_RESPONSE = 0.01
# Diameters this far apart, in logarithms, are not of one kind of particle.
_SAME_KIND = np.log(1.3)
# As a share: measured, see benchmarks/survey.py.
_LEAST_UNCERTAINTY = 0.05


class DiameterOn(Settings):
    """What was found on one micrograph: a diameter, or None where nothing stood out; and how strong the response is."""

    micrograph: str
    diameter: float | None
    response: float


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
    micrographs
        What was found on each.
    """

    unit: Literal["angstrom", "px"]
    diameter: float
    low: float
    high: float
    mixed: bool = False
    micrographs: tuple[DiameterOn, ...] = ()

    def in_words(self) -> list[str]:
        """Lines for people."""
        silent = sum(one.diameter is None for one in self.micrographs)
        line = (
            f"diameter {in_unit(self.diameter, self.unit)}, estimated (between {in_unit(self.low, self.unit)} and "
            f"{in_unit(self.high, self.unit)}) on {_count(len(self.micrographs) - silent)}"
        )
        lines = [line + (f"; nothing stands out on {silent} more" if silent else "")]
        if self.mixed:
            each = ", ".join(
                f"{one.micrograph} {'nothing' if one.diameter is None else in_unit(one.diameter, self.unit)}"
                for one in self.micrographs
            )
            lines.append(
                f"note: these micrographs do not agree, as those of mixed samples would not: {each}. All are picked "
                f"with {in_unit(self.diameter, self.unit)}; give each sample an --out and a diameter of its own."
            )
        return lines


@dataclass(frozen=True, eq=False)
class Sweep:
    """What a network made of one micrograph at each assumed diameter.

    Attributes
    ----------
    diameter : (n,), float64
        Assumed, in one unit for all sweeps; rising.
    response : (n,), float64
        The share of the area that sure picks of about the assumed size take, from 0 to about 1.
    log_ratio : (n,), float64
        Natural logarithm of the size seen over the size assumed, averaged over picks, the surest counting most.
    """

    diameter: FloatArray
    response: FloatArray
    log_ratio: FloatArray


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
        low, high = max(long * _SMALLEST_SHARE, _SMALLEST_PX), min(long * _LARGEST_SHARE, short / 2)
    else:
        low = max(SMALLEST_ANGSTROM, _SMALLEST_PX * pixel_size)
        high = min(LARGEST_ANGSTROM, short * pixel_size / 3)
    n = max(1, round(np.log(max(high / low, 1)) / np.log(_STEP)) + 1)
    return np.geomspace(low, max(low, high), n)


def sweep(
    image: Image,
    network: Network,
    preparation: Preparation,
    diameters: FloatArray,
    *,
    pixel_size: float | None = None,
) -> Sweep:
    """Show the network the middle of a micrograph at each assumed diameter.

    Parameters
    ----------
    image : (rows, columns), float32
        The full-size micrograph.
    network, preparation
        Of a model with `scale_by="particle"`.
    diameters : (n,)
        In Å where a pixel size is given, else in pixels.
    pixel_size
        Å per pixel.
    """
    seen = [_look(image, network, preparation, float(d) / (pixel_size or 1.0)) for d in diameters]
    response, log_ratio = (np.array(values, np.float64) for values in zip(*seen, strict=True))
    return Sweep(np.asarray(diameters, np.float64), response, log_ratio)


def _look(image: Image, network: Network, preparation: Preparation, diameter_px: float) -> tuple[float, float]:
    """Response and mean logarithmic ratio at one assumed diameter."""
    working_px = preparation.working_diameter_px
    prepared = prepare(_middle(image, CROP_PX * diameter_px / working_px), preparation, diameter_px=diameter_px)
    if not prepared.image.any():  # constant
        return 0.0, 0.0
    found = detect(network, prepared.image, floor=FLOOR_CONFIDENCE)
    weight = found.confidence**2
    if not len(weight):
        return 0.0, 0.0
    log_ratio = np.log(np.sqrt(found.width * found.height) / working_px)
    taken = (weight * np.exp(-0.5 * (log_ratio / _AGREES) ** 2)).sum() * working_px**2
    return float(taken / prepared.image.size), float((weight * log_ratio).sum() / weight.sum())


def _middle(image: Image, side: float) -> Image:
    rows, columns = (min(length, max(1, round(side))) for length in image.shape)
    top, left = (image.shape[0] - rows) // 2, (image.shape[1] - columns) // 2
    return np.ascontiguousarray(image[top : top + rows, left : left + columns])


def combine(sweeps: dict[str, Sweep], *, unit: Literal["angstrom", "px"]) -> DiameterEstimate:
    """One diameter from the sweeps of several micrographs, all at the same assumed diameters.

    Raises
    ------
    UsageError
        If nothing stands out.
    """
    together = _standing_out(_pooled(list(sweeps.values())))
    if together is None:
        tried = next(iter(sweeps.values())).diameter
        raise UsageError(
            f"no diameter was given, and none stands out: the network is sure of nothing on {_count(len(sweeps))} when "
            f"the particle is taken to be {in_unit(tried[0], unit)} to {in_unit(tried[-1], unit)} wide. Give "
            "--diameter-angstrom or --diameter-px."
        )
    diameter = together[0]
    each = {name: _standing_out(seen) for name, seen in sweeps.items()}
    known = np.array([one[0] for one in each.values() if one is not None])
    near = known[np.abs(np.log(known / diameter)) < _SAME_KIND]
    apart = [
        name
        for name, one in each.items()
        if one is not None
        and abs(np.log(one[0] / diameter)) >= _SAME_KIND
        and _outweighs(one[1], sweeps[name], diameter)
    ]
    # The median of what agrees, so that no single micrograph decides.
    diameter = rounded(float(np.median(near))) if len(near) else rounded(diameter)
    spread = max(float(np.std(np.log(near))) if len(near) else 0.0, _LEAST_UNCERTAINTY)
    return DiameterEstimate(
        unit=unit,
        diameter=diameter,
        low=rounded(diameter * np.exp(-spread)),
        high=rounded(diameter * np.exp(spread)),
        mixed=bool(apart),
        micrographs=tuple(
            DiameterOn(micrograph=name, diameter=None, response=0.0)
            if one is None
            else DiameterOn(micrograph=name, diameter=rounded(one[0]), response=round(one[1], 4))
            for name, one in each.items()
        ),
    )


def _pooled(sweeps: Sequence[Sweep]) -> Sweep:
    """The mean response, and the ratio where they respond."""
    response = np.mean([seen.response for seen in sweeps], axis=0)
    total = np.sum([seen.response * seen.log_ratio for seen in sweeps], axis=0)
    log_ratio = np.divide(total, len(sweeps) * response, out=np.zeros_like(total), where=response > 0)
    return Sweep(sweeps[0].diameter, response, log_ratio)


def _standing_out(seen: Sweep) -> tuple[float, float] | None:
    """(diameter, response) where the network agrees with what was assumed and responds most; None if nowhere."""
    best = max(_crossings(seen), key=lambda found: found[1], default=None)
    return None if best is None or best[1] < _LEAST_RESPONSE else best


def _crossings(seen: Sweep) -> list[tuple[float, float]]:
    """Where the ratio of seen to assumed falls through 1: (diameter, response), between points of the sweep."""
    found = []
    for i in range(len(seen.diameter) - 1):
        here, there = seen.log_ratio[i : i + 2]
        if here >= 0 > there and seen.response[i] > 0 and seen.response[i + 1] > 0:
            share = here / (here - there)
            step = seen.diameter[i + 1] / seen.diameter[i]
            response = float(np.interp(share, [0, 1], seen.response[i : i + 2]))
            found.append((float(seen.diameter[i] * step**share), response))
    return found


def _outweighs(response: float, seen: Sweep, diameter: float) -> bool:
    """Whether a micrograph responds more to a diameter of its own than to the one that all share."""
    return response > float(np.interp(np.log(diameter), np.log(seen.diameter), seen.response))


def rounded(value: float) -> float:
    """To three figures: more would promise what no estimate holds."""
    return float(f"{value:.3g}")


def in_unit(value: float, unit: str) -> str:
    """Such as `131 Å`."""
    return f"{value:.3g} {'Å' if unit == 'angstrom' else 'px'}"


def _count(n: int) -> str:
    return "1 micrograph" if n == 1 else f"{n} micrographs"
