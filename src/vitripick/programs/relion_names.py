"""Name files as RELION does: find where it looks for coordinates, and which version the project belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from vitripick.formats import MicrographFile, output_stems
from vitripick.formats.micrographs.finding import whole_stem
from vitripick.run_layout import STAR

# RELION 3.1 takes coordinates by such a file: its folder and the end of its name say where the coordinate files lie.
# Versions 4 and 5 take it, too, if it is typed in. It holds the path of the micrographs STAR.
COORDS_SUFFIX = f"coords_suffix{STAR.ending}"
# Our store, records and log lie in this subfolder of an External job, so that they do not mix with coordinate files.
STORE_FOLDER = "vitripick"
_PIPELINE = "default_pipeline.star"


def after_the_job(name: str) -> str:
    """Return the part of a micrograph's path after `jobNNN/`, which RELION keeps in the names of its files.

    RELION 3.1.3 looks at every folder in the path, and takes the first whose name starts with `job` and three digits.

    Examples
    --------
    >>> after_the_job("MotionCorr/job002/grid1/a.mrc"), after_the_job("raw/a.mrc")
    ('grid1/a.mrc', 'raw/a.mrc')
    """
    parts = name.split("/")
    job = next((i for i, part in enumerate(parts[:-1]) if re.match(r"job\d{3}", part)), None)
    return name if job is None else "/".join(parts[job + 1 :])


def coordinates_by_suffix(name: str) -> str:
    """Return the coordinate file of a micrograph, as RELION 3.1 looks for it below the folder of coordinates.

    Examples
    --------
    >>> coordinates_by_suffix("MotionCorr/job002/grid1/a.v1.mrc")
    'grid1/a.v1_autopick.star'
    """
    # RELION joins folder and name with a slash, so a leading slash does not matter.
    return str(PurePosixPath(after_the_job(name).lstrip("/")).with_suffix("")) + STAR.ending


def with_one_stack(names: Iterable[str]) -> list[list[str]]:
    """Return the groups of micrographs whose particles RELION's Extract would write into one stack.

    Tried with RELION 3.1.3: one overwrites the other, and the particles of both are listed.

    Examples
    --------
    >>> with_one_stack(["MotionCorr/job002/a.mrc", "MotionCorr/job007/a.mrc", "MotionCorr/job007/b.mrc"])
    [['MotionCorr/job002/a.mrc', 'MotionCorr/job007/a.mrc']]
    """
    by_stack: dict[str, list[str]] = {}
    for name in names:
        by_stack.setdefault(str(PurePosixPath(after_the_job(name)).with_suffix("")), []).append(name)
    return [group for group in by_stack.values() if len(group) > 1]


def relion_stems(files: Sequence[MicrographFile]) -> dict[str, str]:
    """Return the path in the job's folder, without ending, for the coordinates of each micrograph.

    Like RELION's own picker, it takes the micrograph's path after its `JobType/jobNNN/` part. If micrographs of two
    jobs would get the same path, each gets its whole path.

    Examples
    --------
    >>> relion_stems([MicrographFile("MotionCorr/job002/Movies/a.mrc", Path())])
    {'MotionCorr/job002/Movies/a.mrc': 'Movies/a'}
    """
    short = {file.name: whole_stem(after_the_job(file.name)) for file in files}
    stems = output_stems([MicrographFile(name, Path()) for name in dict.fromkeys(short.values())])
    owners: dict[str, int] = {}
    for name in short.values():
        owners[stems[name]] = owners.get(stems[name], 0) + 1
    chosen = {name: tail if owners[stems[tail]] == 1 else whole_stem(name) for name, tail in short.items()}
    final = output_stems([MicrographFile(name, Path()) for name in chosen.values()])
    return {name: final[other] for name, other in chosen.items()}


def major_version(project: str | Path) -> int | None:
    """Return 3 for a project that RELION 3 keeps, 4 for RELION 4 or later, and None if no pipeline says which.

    From version 4 on, RELION writes the types of jobs and nodes as words, in columns of other names.
    """
    try:
        text = (Path(project) / _PIPELINE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    types = re.findall(r"^_rlnPipeLine(?:Node|Process)Type(Label)?\s", text, flags=re.MULTILINE)
    return None if not types else 4 if "Label" in types else 3
