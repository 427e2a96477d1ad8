"""The External job, run by RELION's own pipeliner, and the Extract job on what it left."""

import shutil
import sys
from pathlib import Path

import pytest

from live.relion.project import DIAMETER_PX, EMPTY, NAMES, STAR, counts, nodes, picks_of, rows, run_job

EXTERNAL, EXTRACT = ("External", 99), ("Extract", 5)
COORDINATES, PARTICLES = 2, 3


@pytest.fixture(scope="module")
def job(project, tmp_path_factory):
    """Return the folder of an External job that RELION's pipeliner ran in a copy of the project."""
    folder = tmp_path_factory.mktemp("external") / "project"
    shutil.copytree(project, folder, ignore=shutil.ignore_patterns("picks"))
    # The words of docs/relion.md, with the blank.
    program = f'"{Path(sys.executable).parent / "vitripick"} relion"'
    options = {"fn_exe": program, "in_mic": STAR, "param1_label": "diameter_px", "param1_value": DIAMETER_PX}
    return run_job(folder, EXTERNAL, options)


def test_the_pipeliner_marks_the_job_as_finished_and_knows_its_coordinates(job):
    assert (job / "RELION_JOB_EXIT_SUCCESS").exists(), (job / "run.err").read_text()
    found = nodes(job.parents[1])
    assert found == {STAR: 1, "External/job001/coords_suffix_autopick.star": COORDINATES}


def test_extract_takes_every_pick_of_the_job(job):
    project = job.parents[1]
    table = rows(job / "autopick.star")
    picks = picks_of(project, dict(zip(table["rlnMicrographName"], table["rlnMicrographCoordinates"], strict=True)))
    assert set(picks) == set(NAMES) - {EMPTY}
    coordinates = "External/job001/coords_suffix_autopick.star"
    extracted = run_job(project, EXTRACT, {"star_mics": STAR, "coords_suffix": coordinates, "extract_size": 100})
    assert counts(rows(extracted / "particles.star")) == picks
    assert nodes(project)[f"Extract/{extracted.name}/particles.star"] == PARTICLES
