"""Cut picked particles out of their micrographs into one stack, for inspection or a first 2-D classification.

The steps are those of RELION's Extract by default: cut, scale down, normalise by the background, invert. CTF and the
fit of a ramp are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vitripick.atomic import check_file, write_text_atomically
from vitripick.errors import MicrographError, UsageError, parameter
from vitripick.formats import read_micrograph
from vitripick.formats.micrographs.stack import open_stack
from vitripick.formats.star.dialect import StarBlock, StarTable, format_star
from vitripick.formats.star.optics import OpticsGroup, warn_of_unknown_optics, with_given_optics
from vitripick.formats.star.particles import GROUP, optics_block, optics_groups
from vitripick.geometry import Boxes, Image
from vitripick.runs.folder import read_run_folder
from vitripick.runs.record import Record
from vitripick.settings.optics import OpticsSettings

_VERSION = "30001"
# In RELION, the background lies outside a circle of three quarters of the box by default.
_BACKGROUND_SHARE = 0.75


@dataclass(frozen=True)
class Extracted:
    """Says what `extract_particles` wrote.

    Attributes
    ----------
    stack, star
        The two files.
    n_particles
        Images in the stack.
    n_at_edge
        Picks that are left out because their box reaches beyond the micrograph.
    failures
        A sentence for each micrograph that could not be read.
    """

    stack: Path
    star: Path
    n_particles: int
    n_at_edge: int
    failures: tuple[str, ...]


def extract_particles(
    run_folder: str | Path,
    stack: str | Path,
    *,
    box_size_px: int,
    scaled_size_px: int | None = None,
    threshold: float | None = None,
    normalise: bool = True,
    invert: bool = True,
    max_particles: int | None = None,
    optics: OpticsSettings | None = None,
    on_done: Callable[[int, int, str], None] | None = None,
) -> Extracted:
    """Write the picked particles of a run as a stack (`.mrcs`) with a STAR beside it.

    Parameters
    ----------
    run_folder
        The output folder of `pick` or `watch`.
    stack
        The file to write; the STAR gets its name with the suffix `.star`.
    box_size_px
        Side of the square that is cut, in full-size pixels; even.
    scaled_size_px
        Side of the images that are written, if they are binned; even; the box's size by default.
    threshold
        Lowest confidence to take; the run's by default.
    normalise
        Whether to give the background (outside a circle of three quarters of the box) mean 0 and standard deviation 1.
    invert
        Whether to make particles white, as RELION expects them; they are dark in micrographs.
    max_particles
        Most particles to write. The most confident ones of each micrograph are taken, the same number from each.
    optics
        Values of the microscope, which go before what the run knows from a STAR.
    on_done
        Called with (done, total, name) after each micrograph.

    Raises
    ------
    UsageError
        If a size is odd, or the scaled one is larger.
    InputError
        If the folder is not a run folder.
    """
    stack = Path(stack)
    scaled = box_size_px if scaled_size_px is None else scaled_size_px
    _check_sizes(stack, box_size_px, scaled)
    check_file(stack)
    run = read_run_folder(run_folder)
    level = threshold if threshold is not None else run.threshold
    records = list(run.records.values())
    per_micrograph = None if max_particles is None else -(-max_particles // max(1, len(records)))
    star, failures, n_at_edge = stack.with_suffix(".star"), [], 0
    sizes = {record.pixel_size for record in records}
    image_pixel_size = next(iter(sizes)) if len(sizes) == 1 else None
    if image_pixel_size is not None:
        image_pixel_size *= box_size_px / scaled
    known = [with_given_optics(record.optics, optics or OpticsSettings()) for record in records]
    groups = optics_groups([Boxes.empty(pixel_size=record.pixel_size) for record in records], known)
    rows: list[list[str]] = []
    with open_stack(stack, scaled, pixel_size=image_pixel_size) as images:
        for done, (record, group) in enumerate(zip(records, groups, strict=True), start=1):
            picks = run.read_picks_of(record).above(0.0 if level is None else level)
            whole = picks.select(_inside(picks, box_size_px, record.shape))
            n_at_edge += len(picks) - len(whole)
            whole = whole.by_confidence().select(slice(per_micrograph)) if per_micrograph else whole
            if max_particles is not None:
                whole = whole.select(slice(max_particles - images.n_images))
            try:
                image = _image(record) if len(whole) else None
            except MicrographError as error:
                failures.append(str(error))
                image = None
            if image is not None:
                for x, y, confidence in zip(whole.x, whole.y, whole.confidence, strict=True):
                    particle = cut(image, x, y, box_size_px)
                    particle = scaled_down(particle, scaled)
                    particle = normalised(particle) if normalise else particle
                    images.append(-particle if invert else particle)
                    rows.append(_row(x, y, confidence, images.n_images, stack, record, group))
            if on_done is not None:
                on_done(done, len(records), record.name)
        n_particles = images.n_images
    _write_star(rows, groups, star, box_size_px, scaled)
    by = f"{parameter('pixel_size')} to a new run of picking"
    warn_of_unknown_optics(_used(rows, groups), star, pixel_size_by=by)
    return Extracted(stack, star, n_particles, n_at_edge, tuple(failures))


def cut(image: Image, x: float, y: float, size_px: int) -> Image:
    """Return a (size, size) square; the centre, truncated to whole pixels, is at [size / 2, size / 2] as in RELION."""
    left, top = int(x) - size_px // 2, int(y) - size_px // 2
    return image[top : top + size_px, left : left + size_px]


def scaled_down(image: Image, size_px: int) -> Image:
    """Return `image` at another size with the same grey values, by cropping its Fourier transform."""
    old = image.shape[0]
    if size_px == old:
        return np.asarray(image, dtype=np.float32)
    transform = np.fft.fftshift(np.fft.fft2(image))
    low = old // 2 - size_px // 2
    cropped = transform[low : low + size_px, low : low + size_px]
    small = np.fft.ifft2(np.fft.ifftshift(cropped)).real * (size_px / old) ** 2
    return np.asarray(small, dtype=np.float32)


def normalised(image: Image) -> Image:
    """Return `image` with mean 0 and standard deviation 1 in the background; a constant background only gets mean 0."""
    half = image.shape[0] / 2
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    background = image[np.hypot(rows - half, columns - half) > _BACKGROUND_SHARE * half]
    deviation = float(background.std(dtype=np.float64))
    centred = image - np.float32(background.mean(dtype=np.float64))
    return np.asarray(centred / np.float32(deviation) if deviation > 0 else centred, dtype=np.float32)


def _check_sizes(stack: Path, box_size_px: int, scaled_size_px: int) -> None:
    if stack.suffix != ".mrcs":
        raise UsageError(f"{stack}: a stack of particles for RELION ends in .mrcs.")
    for name, size in (("box", box_size_px), ("scaled box", scaled_size_px)):
        if size < 4 or size % 2:
            raise UsageError(f"the {name} should be an even number of pixels, 4 or more, not {size}.")
    if scaled_size_px > box_size_px:
        raise UsageError(f"the scaled box ({scaled_size_px} px) is larger than the box ({box_size_px} px).")


def _inside(picks: Boxes, size_px: int, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    left, top = np.trunc(picks.x) - size_px // 2, np.trunc(picks.y) - size_px // 2
    inside: npt.NDArray[np.bool_] = (
        (left >= 0) & (top >= 0) & (left + size_px <= shape[1]) & (top + size_px <= shape[0])
    )
    return inside


def _image(record: Record) -> Image:
    return read_micrograph(Path(record.path), name=record.name).image


def _row(
    x: float, y: float, confidence: float, number: int, stack: Path, record: Record, group: OpticsGroup
) -> list[str]:
    return [
        f"{x:.6f}",
        f"{y:.6f}",
        f"{number:06d}@{stack}",
        record.relion_name,
        f"{confidence:.6f}",
        str(group.group),
    ]


def _used(rows: list[list[str]], groups: list[OpticsGroup]) -> list[OpticsGroup]:
    """Return the groups that have particles."""
    numbers = {row[-1] for row in rows}
    return [group for group in groups if str(group.group) in numbers]


def _write_star(
    rows: list[list[str]], groups: list[OpticsGroup], star: Path, box_size_px: int, scaled_size_px: int
) -> None:
    labels = ["rlnCoordinateX", "rlnCoordinateY", "rlnImageName", "rlnMicrographName", "rlnAutopickFigureOfMerit"]
    optics = optics_block(
        groups, _used(rows, groups), {"rlnImageSize": str(scaled_size_px), "rlnImageDimensionality": "2"}
    )
    table = optics.table
    assert table is not None
    if "rlnMicrographPixelSize" in table:
        at = table.labels.index("rlnMicrographPixelSize")
        table.labels.append("rlnImagePixelSize")
        for row in table.rows:
            row.append(f"{float(row[at]) * box_size_px / scaled_size_px:.6f}")
    particles = StarBlock("particles", table=StarTable([*labels, GROUP], rows))
    write_text_atomically(star, format_star([optics, particles], version=_VERSION))
