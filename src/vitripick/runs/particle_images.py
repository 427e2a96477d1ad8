"""Cut the picks of a run out of their micrographs, all at one scale, for a look at many of them together.

`extract` writes particle images for other programs, one box in one place. Here the box follows the particle's
diameter, and picks near the border are there, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vitripick.classes.contrast import Contrast, phase_flipped
from vitripick.errors import InputError, parameter
from vitripick.formats import read_micrograph
from vitripick.geometry import Boxes, Image
from vitripick.runs.extract import normalised, scaled_down
from vitripick.runs.folder import RunFolder
from vitripick.runs.record import Record

# The box has this many diameters. Its corners show the background beside the particle, and a particle that was picked
# off its middle is still inside.
BOX_DIAMETERS = 1.6
# Side of the images at most.
IMAGE_PX = 64
_LEAST_PX = 16
# Contrast transfer spreads a particle, so phases are flipped in boxes of twice the size.
_ROOM = 2
# Of a microscope whose STAR does not say it.
_USUAL_AMPLITUDE_CONTRAST = 0.1


@dataclass(frozen=True, eq=False)
class ParticleImages:
    """Holds the images of some picks of one micrograph.

    Attributes
    ----------
    record
        Of the micrograph.
    picks
        Those that the images show.
    images : (n, size, size), float32
        Particles bright, the background of mean 0 and standard deviation 1; phases flipped where the record has a
        defocus.
    off_px : (n, 2), float64
        The pick lies here, x and y from the middle of its image, in full-size pixels: boxes start at whole pixels.
    scale
        Full-size pixels of a pixel of the images.
    """

    record: Record
    picks: Boxes
    images: Image
    off_px: np.ndarray
    scale: float


class ParticleCutter:
    """Knows how large the particles of a run are, and cuts them out.

    Parameters
    ----------
    run
        The run folder.
    diameter_px
        Of the particle, in full-size pixels; the run's by default.
    threshold
        Lowest confidence to take; the run's by default.

    Raises
    ------
    InputError
        If the diameter is not known, or so small that nothing could be seen.
    """

    def __init__(self, run: RunFolder, *, diameter_px: float | None = None, threshold: float | None = None) -> None:
        self.run = run
        self.threshold = threshold if threshold is not None else run.threshold or 0.0
        diameter = diameter_px if diameter_px is not None else run.diameter_px
        if diameter is None:
            raise InputError(
                f"{run.folder}: no record here says how large the particle is; give {parameter('diameter_px')}."
            )
        sizes = [record.pixel_size for record in run.records.values()]
        known = [size for size in sizes if size is not None]
        # Micrographs of several pixel sizes show the particle at several sizes.
        self._usual_pixel_size = float(np.median(known)) if known and len(known) == len(sizes) else None
        self.diameter_px = float(diameter)
        self.size_px = min(IMAGE_PX, _even(BOX_DIAMETERS * diameter))
        if self.size_px < _LEAST_PX:
            raise InputError(
                f"{run.folder}: the particle has {diameter:.3g} px, and classes need {_LEAST_PX / BOX_DIAMETERS:.0f} "
                "or more; take micrographs that are binned less."
            )

    def box_px(self, record: Record) -> int:
        """Return the side of the box to cut from one micrograph, in its full-size pixels."""
        diameter = self.diameter_px
        if self._usual_pixel_size is not None and record.pixel_size is not None:
            diameter *= self._usual_pixel_size / record.pixel_size
        return max(self.size_px, _even(BOX_DIAMETERS * diameter))

    def picks_of(self, record: Record) -> Boxes:
        """Return the picks of a micrograph that count."""
        return self.run.read_picks_of(record).above(self.threshold)

    def cut(self, record: Record, picks: Boxes) -> ParticleImages:
        """Return the images of picks of one micrograph.

        Raises
        ------
        MicrographError
            If the micrograph cannot be read.
        """
        image = read_micrograph(Path(record.path), name=record.name).image
        box, contrast = self.box_px(record), contrast_of(record)
        found = np.empty((len(picks), self.size_px, self.size_px), np.float32)
        for i, (x, y) in enumerate(picks.centres):
            if contrast is None or record.pixel_size is None:
                small = scaled_down(_square(image, int(x), int(y), box), self.size_px)
            else:
                large = scaled_down(_square(image, int(x), int(y), _ROOM * box), _ROOM * self.size_px)
                flipped = phase_flipped(large - large.mean(), record.pixel_size * box / self.size_px, contrast)
                low = (_ROOM - 1) * self.size_px // 2
                small = flipped[low : low + self.size_px, low : low + self.size_px]
            found[i] = -normalised(small)
        off = picks.centres - np.trunc(picks.centres)
        return ParticleImages(record, picks, found, off, box / self.size_px)


def contrast_of(record: Record) -> Contrast | None:
    """Return the contrast transfer of a micrograph; None if its STAR said too little about it."""
    defocus, optics = record.defocus, record.optics
    if defocus is None or optics is None or record.pixel_size is None:
        return None
    if optics.voltage_kv is None or optics.spherical_aberration_mm is None:
        return None
    amplitude = optics.amplitude_contrast
    return Contrast(
        defocus.u_angstrom,
        defocus.v_angstrom,
        defocus.angle_degrees,
        optics.voltage_kv,
        optics.spherical_aberration_mm,
        _USUAL_AMPLITUDE_CONTRAST if amplitude is None else amplitude,
        defocus.phase_shift_degrees,
    )


def _even(size: float) -> int:
    return 2 * max(1, round(size / 2))


def _square(image: Image, x: int, y: int, size: int) -> Image:
    """Return a (size, size) square with (x, y) at [size / 2, size / 2]; beyond the border lies the mean of the rest."""
    top, left = y - size // 2, x - size // 2
    rows, columns = slice(max(top, 0), max(top + size, 0)), slice(max(left, 0), max(left + size, 0))
    seen = image[rows, columns]
    if seen.shape == (size, size):
        return np.asarray(seen, np.float32)
    square = np.full((size, size), seen.mean() if seen.size else 0.0, np.float32)
    at_row, at_column = rows.start - top, columns.start - left
    square[at_row : at_row + seen.shape[0], at_column : at_column + seen.shape[1]] = seen
    return square
