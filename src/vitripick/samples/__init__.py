"""Give real micrographs for a first try, without a download: from `examples/` in a checkout, else from the wheel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vitripick.errors import InputError, UsageError
from vitripick.formats import read_micrograph
from vitripick.geometry import Micrograph

_HERE = Path(__file__).parent
# setup.py copies the files from here into the wheel, so that the repository holds each of them once.
_EXAMPLES = _HERE.parents[2] / "examples"


@dataclass(frozen=True)
class _Sample:
    """Holds a file of `examples/`, and its pixel size in Å if the file gives none."""

    file: str
    pixel_size: float | None = None


# The source of the apoferritin micrographs gives no pixel size; README.md beside this file says where 1.65 comes from.
SAMPLES = {"apoferritin": _Sample("apoferritin/micrographs/May08_03.05.02.mrc", pixel_size=1.65)}


def sample(name: str) -> Micrograph:
    """Return a real micrograph that comes with vitripick, to try it on.

    Parameters
    ----------
    name
        `"apoferritin"`: EMPIAR-10146, 1200 rows x 1240 columns, particles of 80 px. Its pixel size, 1.65 Å, is an
        estimate from the size of its particles.

    Returns
    -------
    Micrograph
        With its pixel size; its name is that of the file in `examples/`, where its labels are.

    Raises
    ------
    UsageError
        If there is no sample of this name; the message lists the names.
    InputError
        If the installation lacks the file.

    Examples
    --------
    >>> sample("apoferritin")
    May08_03.05.02.mrc: 1200 rows x 1240 columns, 1.65 Å/px
    """
    if name not in SAMPLES:
        raise UsageError(f"there is no sample {name!r}. The samples are: {', '.join(SAMPLES)}.")
    found = SAMPLES[name]
    return read_micrograph(sample_path(name), pixel_size=found.pixel_size)


def sample_path(name: str) -> Path:
    """Return the file of a sample.

    Raises
    ------
    InputError
        If the installation lacks it.
    """
    file = SAMPLES[name].file
    for path in (_HERE / Path(file).name, _EXAMPLES / file):
        if path.is_file():
            return path
    raise InputError(
        f"{_HERE / Path(file).name}: the sample {name!r} is missing from this installation. Install vitripick again."
    )
