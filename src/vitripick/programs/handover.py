"""Check whether another program will take all picks of a run, and say what to type there; nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vitripick.errors import UsageError, parameter
from vitripick.programs.handover_checks import Handover, read_handed_run
from vitripick.programs.handover_cryosparc import for_cryosparc
from vitripick.programs.handover_relion import for_relion

PROGRAMS = {"relion": for_relion, "cryosparc": for_cryosparc}


def check_handover(
    run: str | Path,
    to: str,
    *,
    project: str | Path = ".",
    micrographs: str | Path | None = None,
    box_size_px: int | None = None,
    on_done: Callable[[int, int, str], None] | None = None,
) -> Handover:
    """Compare a run with the files of another program, and write nothing.

    Parameters
    ----------
    run
        The output folder of `pick` or `watch`, or the folder of an External job of RELION.
    to
        The other program: relion or cryosparc.
    project
        The project's folder there.
    micrographs
        The list of micrographs that the program will be given: a micrographs STAR of RELION, a `.cs` of exposures of
        cryoSPARC. By default, the list below the project's folder that has the most of the run's micrographs.
    box_size_px
        Side of the boxes that will be extracted; by default an even number of about 1.5 diameters.
    on_done
        Called with (done, total, name) after the picks of each micrograph are read.

    Returns
    -------
    Handover
        What was checked, how many picks the program will take, and what to type.

    Raises
    ------
    UsageError
        If the program is none of those, or the box's side is odd, which both programs refuse.
    InputError
        If the run or the list of micrographs cannot be read.
    """
    if to not in PROGRAMS:
        raise UsageError(f"{parameter('to', to)}: picks are handed over to {' or '.join(PROGRAMS)}.")
    if box_size_px is not None and (box_size_px < 4 or box_size_px % 2):
        raise UsageError(f"{parameter('box_size_px', box_size_px)}: give an even number of pixels, 4 or more.")
    given = None if micrographs is None else Path(micrographs)
    return PROGRAMS[to](
        read_handed_run(run, on_done), project=Path(project), micrographs=given, box_size_px=box_size_px
    )
