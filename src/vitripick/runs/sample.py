"""Look at some micrographs that are spread over a run: at which diameters particles stand out, and what is picked."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias, TypeVar

from vitripick.errors import InputError, ResourceError, VitripickError
from vitripick.formats import MicrographFile
from vitripick.geometry import Micrograph
from vitripick.models import LoadedModel, ModelCard
from vitripick.models.engines import available_cores
from vitripick.picking.diameter import (
    CROP_NEAR_PX,
    DiameterEstimate,
    Sweep,
    combine,
    contrast_of,
    diameters_around,
    diameters_to_try,
    is_poor,
    stands_out,
    sweep,
)
from vitripick.picking.one import Look, resolve_diameter_px
from vitripick.picking.threshold import ThresholdChoice, choose_threshold
from vitripick.runs.jobs import in_order
from vitripick.settings.pick import PickSettings

N_SURVEYED = 5
# If a micrograph cannot be read, the next ones of its part of the run are tried, up to this number in all.
_TRIES = 3
# A diameter that differs from the given one by more than this, in logarithms, must stand out among all diameters.
_FAR = math.log(2.0)

T = TypeVar("T")
_Unit: TypeAlias = Literal["angstrom", "px"]
Opener = Callable[[MicrographFile], Micrograph]
Looker = Callable[[MicrographFile, PickSettings], Look]


def spread_over(files: Sequence[MicrographFile], n: int = N_SURVEYED) -> list[list[MicrographFile]]:
    """Return one list for each of `n` parts of the run: its middle file, and others to try if that is damaged.

    Examples
    --------
    >>> from pathlib import Path
    >>> files = [MicrographFile(str(i), Path()) for i in range(100)]
    >>> [part[0].name for part in spread_over(files)]
    ['10', '30', '50', '70', '90']
    """
    n = min(n, len(files))
    bounds = [len(files) * i // n for i in range(n + 1)]
    parts = []
    for low, high in pairwise(bounds):
        middle = (low + high) // 2
        parts.append([*files[middle:high], *files[low:middle]][:_TRIES])
    return parts


@dataclass(frozen=True)
class _Swept:
    """Holds what the network saw at assumed diameters, the given one (in the same unit), and a doubted pixel size."""

    sweeps: dict[str, Sweep]
    unit: _Unit
    given: float | None = None
    doubted_pixel_size: float | None = None

    def estimate(self) -> DiameterEstimate:
        found = combine(self.sweeps, unit=self.unit, given=self.given)
        return found.model_copy(update={"doubted_pixel_size": self.doubted_pixel_size})


class Sample:
    """Holds micrographs spread over a run, and asks the network about several of them at once.

    Parameters
    ----------
    files
        All micrographs of the run.
    for_sweep
        Function that returns the model ready to run, for the search for a diameter.
    opened
        Function that opens a micrograph.
    look
        Function that looks at a whole micrograph.
    jobs
        Micrographs to look at at once.
    """

    def __init__(
        self,
        files: Sequence[MicrographFile],
        for_sweep: Callable[[], LoadedModel],
        opened: Opener,
        look: Looker,
        jobs: int,
    ) -> None:
        self._parts = spread_over(files)
        self._for_sweep, self._opened, self._look, self._jobs = for_sweep, opened, look, jobs
        # Cores that fewer micrographs than cores would leave idle look at several diameters of one.
        self._sweeps = max(1, available_cores() // jobs)
        self._errors: list[str] = []

    def diameter(self, settings: PickSettings) -> DiameterEstimate:
        """Return the diameter seen near the given one; among all, if none is given or nothing is seen near it.

        If little stands out, the micrographs are looked at a second time with the contrast inverted.
        """
        seen = self._swept(settings, invert=bool(settings.invert))
        if settings.invert is not None or not is_poor(seen.sweeps):
            return seen.estimate()
        inverted = self._swept(settings, invert=True)
        contrast = contrast_of(seen.sweeps, inverted.sweeps)
        return (inverted if contrast == "white" else seen).estimate().model_copy(update={"contrast": contrast})

    def _swept(self, settings: PickSettings, *, invert: bool) -> _Swept:
        if settings.diameter_angstrom is not None:
            return self._near(settings.diameter_angstrom, "angstrom", invert)
        if settings.diameter_px is not None:
            return self._near(settings.diameter_px, "px", invert)
        return self._anywhere(invert=invert)

    def _anywhere(self, unit: _Unit | None = None, given: float | None = None, *, invert: bool) -> _Swept:
        ready = self._for_sweep()
        # If one of them has no pixel size, the only unit that they share is pixels.
        sizes = self._of_each(lambda m: (m.shape, m.pixel_size))
        if not sizes:
            raise InputError(f"none of the micrographs that were tried can be read; the first one: {self._errors[0]}")
        in_angstrom = unit != "px" and all(pixel_size for _, pixel_size in sizes)

        def sweeps(in_angstrom: bool) -> dict[str, Sweep]:
            ranges = [diameters_to_try(shape, pixel_size if in_angstrom else None) for shape, pixel_size in sizes]
            diameters = max(ranges, key=len)

            def look(micrograph: Micrograph) -> tuple[str, Sweep]:
                pixel_size = micrograph.pixel_size if in_angstrom else None
                return micrograph.name, sweep(
                    micrograph.image, ready, diameters, pixel_size=pixel_size, invert=invert, jobs=self._sweeps
                )

            return dict(self._of_each(look))

        seen = sweeps(in_angstrom)
        if not in_angstrom or stands_out(seen):
            return _Swept(seen, "angstrom" if in_angstrom else "px", given)
        # The pixel size may be wrong, as 1 Å in the header of binned micrographs is. Pixels do not depend on it.
        in_pixels = sweeps(False)
        if not stands_out(in_pixels):
            return _Swept(seen, "angstrom", given)
        pixel_size = statistics.median(pixel_size or math.nan for _, pixel_size in sizes)
        return _Swept(in_pixels, "px", None if given is None else given / pixel_size, pixel_size)

    def _near(self, given: float, unit: _Unit, invert: bool) -> _Swept:
        ready, diameters = self._for_sweep(), diameters_around(given)

        def look(micrograph: Micrograph) -> tuple[str, Sweep]:
            given_px = resolve_diameter_px(micrograph, ready, PickSettings.model_validate({f"diameter_{unit}": given}))
            assert given_px is not None  # one was given
            pixel_size = given / given_px
            return micrograph.name, sweep(
                micrograph.image,
                ready,
                diameters,
                pixel_size=pixel_size,
                crop_px=CROP_NEAR_PX,
                invert=invert,
                jobs=self._sweeps,
            )

        seen = _Swept(dict(self._of_each(look)), unit, given)
        near = seen.estimate()
        # The given diameter may be in nm, or of binned micrographs. Then nothing, or only the ends of the range, fits.
        is_silent = near.n_silent == len(near.micrographs) > 0
        is_far = abs(math.log(near.diameter / given)) > _FAR
        return self._anywhere(unit, given, invert=invert) if is_silent or is_far else seen

    def threshold(self, settings: PickSettings, card: ModelCard) -> ThresholdChoice:
        """Return the threshold that suits the picks on these micrographs; the settings know the diameter."""
        found = self._of_each_file(lambda file: self._look(file, settings).picks)
        return choose_threshold(found, card, aim=settings.aim)

    def _of_each(self, ask: Callable[[Micrograph], T]) -> list[T]:
        return self._of_each_file(lambda file: ask(self._opened(file)))

    def _of_each_file(self, ask: Callable[[MicrographFile], T]) -> list[T]:
        """Return what `ask` gives for one micrograph of each part, in their order."""

        def answer(part: list[MicrographFile]) -> T | None:
            for file in part:
                try:
                    return ask(file)
                except ResourceError:
                    raise
                except VitripickError as error:
                    self._errors.append(str(error))
            return None

        return [given for given in in_order(self._parts, [answer] * self._jobs) if given is not None]
