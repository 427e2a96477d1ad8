"""Denoise many micrographs into a folder; a second call goes on where the first one stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitripick.atomic import check_folder
from vitripick.errors import MicrographError, UsageError, parameter
from vitripick.formats import find_micrographs, output_stems, read_header, read_micrograph, write_mrc
from vitripick.models.denoiser import denoise

# Names of denoised files end with this.
ENDING = "_denoised.mrc"
HEADER_LABEL = "Denoised by vitripick: to look at, not to process"


@dataclass
class DenoiseSummary:
    """Holds what `denoise_many` wrote.

    Attributes
    ----------
    out
        The folder.
    files
        Denoised micrographs, those that were there already included.
    n_skipped
        How many were there already.
    failures
        Name and error of each micrograph that could not be read.
    """

    out: Path
    files: list[str] = field(default_factory=list)
    n_skipped: int = 0
    failures: list[dict[str, str]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return {"out": str(self.out), "files": self.files, "n_skipped": self.n_skipped, "failures": self.failures}


def denoise_many(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    pixel_size: float | None = None,
    include: Sequence[str] = (),
    on_done: Callable[[int, int, str], None] | None = None,
) -> DenoiseSummary:
    """Write each micrograph as OUT/STEM_denoised.mrc, full size; one that was made of the same file stays.

    Parameters
    ----------
    inputs, include
        As in `find_micrographs`.
    out
        The folder.
    pixel_size
        Å per pixel, where headers have none or a wrong one.
    on_done
        Called with (done, total, name).

    Raises
    ------
    InputError
        If the inputs name no micrograph.
    UsageError
        If the folder cannot be written to, or the pixel size is impossible.
    """
    if pixel_size is not None and not 0 < pixel_size < 1000:
        raise UsageError(f"{parameter('pixel_size')} must be a positive number of Å, not {pixel_size}.")
    out = Path(out)
    check_folder(out)
    files = find_micrographs(inputs, leave_out=[out], include=include)
    stems = output_stems(files)
    summary = DenoiseSummary(out)
    for number, file in enumerate(files, start=1):
        target = out / f"{stems[file.name]}{ENDING}"
        try:
            wanted = pixel_size or file.pixel_size or read_header(file.path).pixel_size
            if _is_made(target, file.path, wanted):
                summary.n_skipped += 1
            else:
                one = read_micrograph(file.path, name=file.name, pixel_size=wanted)
                image = denoise(one.image, pixel_size=one.pixel_size)
                write_mrc(target, image, pixel_size=one.pixel_size, label=HEADER_LABEL)
            summary.files.append(str(target))
        except MicrographError as error:
            summary.failures.append({"name": file.name, "error": str(error)})
        if on_done is not None:
            on_done(number, len(files), file.name)
    return summary


def _is_made(target: Path, source: Path, pixel_size: float | None) -> bool:
    """Return whether the file was made of this micrograph as it is now, with this pixel size."""
    try:
        if target.stat().st_mtime_ns < source.stat().st_mtime_ns:
            return False
        known = read_header(target).pixel_size
    except (FileNotFoundError, MicrographError):
        return False
    if known is None or pixel_size is None:
        return known == pixel_size
    return abs(known - pixel_size) <= 1e-3 * pixel_size
