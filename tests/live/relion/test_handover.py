"""What `vitripick handover` promises is what RELION extracts."""

import json
import shutil
from pathlib import Path

import pytest

from live.relion.project import EMPTY, NAMES, STAR, call, rows, write_micrographs_star


@pytest.fixture
def copy(project, tmp_path):
    """Return a copy of the project with its picks, for a test that changes it."""
    return Path(shutil.copytree(project, tmp_path / "project"))


def handover(project, *more, code=0):
    return json.loads(call(project, "vitripick", "handover", "picks", "--to", "relion", "--json", *more, code=code))


def run_its_command(project, found):
    """Run the lines for RELION 3.1 as they were printed, and return the rows of the particles STAR."""
    (lines,) = (steps["lines"] for steps in found["steps"] if steps["where"] == "RELION 3.1")
    for line in lines:
        command = line.removeprefix("or: ")
        if command.startswith(("echo ", "relion_preprocess ")):
            call(project, "bash", "-c", command)
    return rows(project / "Extract/job999/particles.star")


def test_relion_extracts_the_promised_number(copy):
    found = handover(copy)
    assert found["n_taken"] == found["n_picks"] > 150
    assert len(run_its_command(copy, found)) == found["n_taken"]
    assert (copy / "picks/star/MotionCorr/job002/coords_suffix_autopick.star").read_text() == f"{STAR}\n"


def test_relion_extracts_the_promised_number_where_not_everything_fits(copy):
    """Of one micrograph the file is missing, one is not in the STAR; RELION says "Done" all the same."""
    (copy / "picks/star/MotionCorr/job002/grid1/May08_autopick.star").unlink()
    write_micrographs_star(copy / STAR, [NAMES[0], *NAMES[2:]])
    found = handover(copy, code=3)
    assert 0 < found["n_taken"] < found["n_picks"]
    assert len(run_its_command(copy, found)) == found["n_taken"]


def test_relion_extracts_the_promised_number_where_a_micrograph_is_listed_twice(copy):
    write_micrographs_star(copy / STAR, [*NAMES, NAMES[0]])
    found = handover(copy, code=3)
    assert found["n_taken"] > found["n_picks"]
    assert len(run_its_command(copy, found)) == found["n_taken"]


def test_relion_extracts_the_promised_number_where_a_micrograph_is_missing(copy):
    (copy / NAMES[1]).unlink()
    found = handover(copy, code=3)
    assert 0 < found["n_taken"] < found["n_picks"]
    assert len(run_its_command(copy, found)) == found["n_taken"]


def test_a_project_where_relion_stops_promises_nothing(copy):
    star = copy / STAR
    star.write_text(star.read_text().replace("_rlnVoltage", "_rlnVoltagee"))
    found = handover(copy, code=3)
    assert found["n_taken"] == 0
    (line,) = (line for steps in found["steps"][-1:] for line in steps["lines"] if line.startswith("or: "))
    assert "not all necessary variables defined" in call(copy, "bash", "-c", line.removeprefix("or: "), code=1)


def test_two_stacks_of_one_name_are_written_over_each_other(copy):
    """So the hand-over calls them a misfit; if RELION keeps them apart one day, it need not."""
    twin = NAMES[0].replace("job002", "job007")
    (copy / twin).parent.mkdir(parents=True)
    shutil.copy(copy / NAMES[1], copy / twin)
    write_micrographs_star(copy / STAR, [NAMES[0], twin])
    call(copy, "vitripick", "pick", STAR, "--diameter-px", 80, "--out", "picks", "--device", "cpu")
    found = handover(copy, code=3)
    assert [check["result"] for check in found["checks"] if check["about"] == "stacks"] == ["misfit"]
    coordinates = "picks/star/MotionCorr/job002/"
    call(copy, "relion_preprocess", "--i", STAR, "--extract", "--extract_size", 100, "--part_star", "E/p.star",
         "--part_dir", "E/", "--coord_dir", coordinates, "--coord_suffix", "_autopick.star")  # fmt: skip
    assert set(rows(copy / "E/p.star")["rlnMicrographName"]) == {twin}, "listed twice, and those of the other are gone"


def test_the_empty_micrograph_is_noted(copy):
    (check,) = (check for check in handover(copy)["checks"] if check["about"] == "empty")
    assert check["result"] == "note"
    assert EMPTY in check["text"]
