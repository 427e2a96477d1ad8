"""Make a RELION project that is hard to pick and to extract, and run RELION's programs in it.

RELION may say "Done" and exit with 0 although it has no particles, so what is returned here is what lies in the files.
"""

import os
import subprocess
import sys
from pathlib import Path

import mrcfile
import numpy as np
import starfile

from vitripick.formats import read_micrograph, read_picks, write_mrc

EXAMPLES = Path(__file__).parents[3] / "examples"
STAR = "CtfFind/job003/micrographs_ctf.star"
PIXEL_SIZE, DIAMETER_PX = 1.5, 80
# The name in the project, the number of the example, its rows, its columns, and the type of its pixels.
MICROGRAPHS = (
    ("MotionCorr/job002/grid1/May08.mrc", 0, slice(0, 1024), slice(0, 1024), np.float32),
    ("MotionCorr/job002/grid2/May08.mrc", 1, slice(0, 1024), slice(0, 1024), np.int16),
    ("MotionCorr/job002/sub.dir/mic.v1.2_DW.mrc", 0, slice(100, 1001), slice(24, 925), np.int8),
    ("MotionCorr/job002/sub.dir/tall.mrc", 1, slice(3, 1110), slice(200, 951), np.float32),
)
EMPTY = "MotionCorr/job002/grid1/nothing.mrc"
NAMES = (*(name for name, *_ in MICROGRAPHS), EMPTY)


def make_project(folder):
    """Write five micrographs: dots in names, sub-folders, equal base names, odd sizes, three types, one is empty."""
    examples = sorted((EXAMPLES / "apoferritin/micrographs").glob("*.mrc"))
    for name, example, rows, columns, dtype in MICROGRAPHS:
        image = read_micrograph(examples[example]).image[rows, columns].astype(np.float32)
        if dtype != np.float32:
            spread, top = {np.int16: 300, np.int8: 20}[dtype], np.iinfo(dtype).max
            image = np.clip((image - image.mean()) / image.std() * spread, -top, top)
        write_mrc(folder / name, image, pixel_size=PIXEL_SIZE, dtype=dtype)
    write_mrc(folder / EMPTY, np.full((801, 640), 7, np.float32), pixel_size=PIXEL_SIZE)
    write_micrographs_star(folder / STAR, NAMES)
    return folder


def write_micrographs_star(path, names):
    """Write a micrographs STAR as RELION 3.1 does, with its optics group."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "\n# version 30001\n\ndata_optics\n\nloop_\n_rlnOpticsGroupName #1\n_rlnOpticsGroup #2\n"
        "_rlnMicrographPixelSize #3\n_rlnVoltage #4\n_rlnSphericalAberration #5\n_rlnAmplitudeContrast #6\n"
        f"opticsGroup1 1 {PIXEL_SIZE} 300.0 2.7 0.1\n\n\n"
        "# version 30001\n\ndata_micrographs\n\nloop_\n_rlnMicrographName #1\n_rlnOpticsGroup #2\n"
        + "".join(f"{name} 1\n" for name in names)
        + "\n"
    )


def call(folder, *words, code=0):
    """Run a command in a folder and return what it printed; `vitripick` is that of this Python."""
    first, *rest = (str(word) for word in words)
    program = str(Path(sys.executable).parent / first) if first == "vitripick" else first
    done = subprocess.run(
        [program, *rest], cwd=folder, capture_output=True, text=True, check=False, timeout=900, env=dict(os.environ)
    )
    printed = done.stdout + done.stderr
    assert done.returncode == code, f"{first} {' '.join(rest)}: exit {done.returncode}\n{printed}"
    return printed


def extract(folder, job, *more, box=100):
    """Run RELION's Extract, and return the rows of its particles STAR (None if it has no particles)."""
    star = folder / job / "particles.star"
    words = ("--part_star", f"{job}/particles.star", "--part_dir", f"{job}/", "--extract", "--extract_size", box)
    call(folder, "relion_preprocess", "--i", STAR, *words, *more)
    return rows(star)


def rows(path):
    """Return the table beside the optics of a STAR, None if it has no rows, or if there is no table or no file."""
    if not path.exists() or not path.stat().st_size:
        return None
    tables = [table for name, table in starfile.read(path, always_dict=True).items() if name != "optics"]
    assert len(tables) <= 1
    return tables[0] if tables and len(tables[0]) else None


def counts(particles):
    """Return the number of rows of each micrograph."""
    return {} if particles is None else particles.groupby("rlnMicrographName").size().to_dict()


def picks_of(folder, coordinates):
    """Return the number of picks of each micrograph that has some, by the coordinate files' paths in the project."""
    found = {name: len(read_picks(folder / path)) for name, path in coordinates.items()}
    return {name: n for name, n in found.items() if n}


def images(particles, folder):
    """Return the images of the rows of a particles STAR, in their order."""
    stacks = {}
    found = []
    for name in particles["rlnImageName"]:
        number, _, path = name.partition("@")
        if path not in stacks:
            stacks[path] = mrcfile.read(folder / path).reshape(-1, *mrcfile.read(folder / path).shape[-2:])
        found.append(stacks[path][int(number) - 1])
    return np.array(found)


def run_job(folder, kind, options):
    """Add a job to the project's pipeline, let RELION's pipeliner run it, and return the job's folder.

    `kind` is the name of its folder and RELION's number for its type, such as `("Extract", 5)`; `options` are the
    fields of its GUI. The first job makes the pipeline.
    """
    name, number = kind
    pipeline = folder / "default_pipeline.star"
    if not pipeline.exists():
        pipeline.write_text("\n# version 30001\n\ndata_pipeline_general\n\n_rlnPipeLineJobCounter   1\n \n")
    values = "".join(f"{field} {value}\n" for field, value in options.items())
    job_star = folder / f"{name}_job.star"
    job_star.write_text(
        f"\n# version 30001\n\ndata_job\n\n_rlnJobType   {number}\n_rlnJobIsContinue   0\n\n"
        "# version 30001\n\ndata_joboptions_values\n\nloop_\n_rlnJobOptionVariable #1\n_rlnJobOptionValue #2\n"
        f"{values}nr_mpi 1\nnr_threads 1\ndo_queue No\n \n"
    )
    before = set((folder / name).glob("job*"))
    call(folder, "relion_pipeliner", "--addJobFromStar", job_star.name)
    (job,) = set((folder / name).glob("job*")) - before
    call(folder, "relion_pipeliner", "--RunJobs", f"{name}/{job.name}/", "--schedule", job.name, "--sec_wait_after", 1)
    return job


def nodes(folder):
    """Return the type of each file that the project's pipeline knows, as a number of RELION 3.1."""
    table = starfile.read(folder / "default_pipeline.star", always_dict=True)["pipeline_nodes"]
    return dict(zip(table["rlnPipeLineNodeName"], table["rlnPipeLineNodeType"], strict=True))
