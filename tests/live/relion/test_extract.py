"""What `pick` writes is what RELION extracts, particle for particle."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from live.relion.project import (
    EMPTY,
    NAMES,
    PIXEL_SIZE,
    STAR,
    call,
    counts,
    extract,
    picks_of,
    rows,
    run_job,
    write_micrographs_star,
)
from vitripick.formats import read_micrograph, write_mrc

PAGE = Path(__file__).parents[3] / "docs/relion.md"
# RELION 3.1 looks for a micrograph's path after its JobType/jobNNN/.
BY_SUFFIX = ("--coord_dir", "picks/star/MotionCorr/job002/", "--coord_suffix", "_autopick.star")


def commands_of_the_page():
    """Return each indented command of docs/relion.md, with lines that a backslash ends joined."""
    text = PAGE.read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.strip() for line in re.findall(r"^    (?:vitripick|echo|relion_preprocess) .*$", text, flags=re.M)]


@pytest.fixture(scope="module")
def picks(project):
    """Return the number of picks of each micrograph that has some, by the table that `pick` wrote."""
    table = rows(project / "picks/autopick.star")
    assert list(table["rlnMicrographName"]) == list(NAMES), "letter for letter, and the empty one, too"
    found = picks_of(project, dict(zip(table["rlnMicrographName"], table["rlnMicrographCoordinates"], strict=True)))
    assert set(found) == set(NAMES) - {EMPTY}
    assert sum(found.values()) > 150
    return found


@pytest.fixture
def copy(project, tmp_path):
    """Return a copy of the project with its picks, for a test that changes it."""
    return Path(shutil.copytree(project, tmp_path / "project"))


def test_extract_takes_every_pick_of_a_run_folder(project, picks):
    assert counts(extract(project, "Extract/all", *BY_SUFFIX)) == picks


def test_extract_job_takes_the_file_that_the_page_makes(copy, picks):
    (command,) = (command for command in commands_of_the_page() if command.startswith("echo"))
    call(copy, "bash", "-c", command)
    coordinates = "picks/star/MotionCorr/job002/coords_suffix_autopick.star"
    job = run_job(copy, ("Extract", 5), {"star_mics": STAR, "coords_suffix": coordinates, "extract_size": 100})
    assert counts(rows(job / "particles.star")) == picks


def test_the_command_of_the_page_takes_every_pick(copy, picks):
    (command,) = (command for command in commands_of_the_page() if command.startswith("relion_preprocess"))
    call(copy, "bash", "-c", command)
    assert counts(rows(copy / "Extract/job005/particles.star")) == picks


def test_import_is_right_for_the_files_of_one_folder_only(copy, picks):
    """The page says so, and that folders with a wildcard end in one that is called `*`."""
    words = ("relion_import", "--do_coordinates", "--odir", "Import/job005/", "--ofile", "coords_suffix_autopick.star")
    folder = "picks/star/MotionCorr/job002"
    call(copy, *words, "--i", f"{folder}/sub.dir/*_autopick.star")
    of_one_folder = {name: n for name, n in picks.items() if "sub.dir" in name}
    taken = ("--coord_dir", "Import/job005/", "--coord_suffix", "_autopick.star")
    assert counts(extract(copy, "Extract/one", *taken)) == of_one_folder
    shutil.rmtree(copy / "Import")
    call(copy, *words, "--i", f"{folder}/*/*_autopick.star")
    assert [path.name for path in (copy / "Import/job005").iterdir() if path.is_dir()] == ["*"]
    assert extract(copy, "Extract/none", *taken) is None


def test_a_wrong_folder_gives_no_particles_and_no_error(project):
    """So the number of particles must be looked at; if RELION should say it one day, the page may be shorter."""
    assert extract(project, "Extract/none", "--coord_dir", "picks/star/", "--coord_suffix", "_autopick.star") is None


def test_relion_pads_boxes_that_stick_out(project, picks):
    """The box of 400 px sticks out at almost every pick, and yet all are extracted."""
    assert counts(extract(project, "Extract/large", *BY_SUFFIX, box=400)) == picks


def test_relion_3_refuses_micrographs_of_float16(copy):
    image = read_micrograph(copy / NAMES[0]).image
    write_mrc(copy / NAMES[0], np.asarray(image, np.float32), pixel_size=PIXEL_SIZE, dtype=np.float16)
    write_micrographs_star(copy / STAR, NAMES[:1])
    printed = call(
        copy,
        "relion_preprocess",
        "--i",
        STAR,
        "--part_star",
        "E/p.star",
        "--part_dir",
        "E/",
        "--extract",
        "--extract_size",
        100,
        *BY_SUFFIX,
        code=1,
    )
    assert "does not support half-precision" in printed
