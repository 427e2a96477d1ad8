"""The command that tries a hand-over dry: its exit codes, its table, its JSON."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from made import rings
from vitripick.formats import write_mrc

NAME, STAR = "MotionCorr/job002/a.mrc", "CtfFind/job003/micrographs_ctf.star"


@pytest.fixture
def project(vitripick, tmp_path, monkeypatch):
    """A RELION project with one micrograph and its picks."""
    monkeypatch.chdir(tmp_path)
    write_mrc(NAME, rings(), pixel_size=2.0)
    Path(STAR).parent.mkdir(parents=True)
    Path(STAR).write_text(
        "\n# version 30001\n\ndata_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnOpticsGroupName #2\n_rlnVoltage #3\n"
        "_rlnSphericalAberration #4\n_rlnAmplitudeContrast #5\n_rlnMicrographPixelSize #6\n"
        "1 opticsGroup1 300 2.7 0.1 2\n\n\n"
        f"data_micrographs\n\nloop_\n_rlnMicrographName #1\n_rlnOpticsGroup #2\n{NAME} 1\n\n"
    )
    assert vitripick("pick", STAR, "--diameter-px", 60, "--threshold", 0.4, "--out", "picks").code == 0
    return tmp_path


def test_a_run_that_fits_ends_with_0_and_says_what_to_type(vitripick, project):
    outcome = vitripick("handover", "picks", "--to", "relion")
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0] == f"RELION will extract 9 of 9 picks; micrographs: {STAR}"
    assert "  Extract, Input coordinates: picks/autopick.star" in lines
    assert "RELION 3.1:" in lines


def test_a_misfit_ends_with_3_and_is_named(vitripick, project):
    Path("picks/star/MotionCorr/job002/a_autopick.star").unlink()
    outcome = vitripick("handover", "picks", "--to", "relion")
    assert outcome.code == 3
    assert outcome.out.startswith("RELION will extract 0 of 9 picks")
    assert "--format star" in outcome.out
    assert "Not everything fits" in outcome.out


@pytest.mark.parametrize("is_whole", [True, False])
def test_json_holds_every_check_and_step(vitripick, project, is_whole):
    if not is_whole:
        Path("picks/autopick.star").unlink()
    outcome = vitripick("handover", "picks", "--to", "relion", "--json")
    found = json.loads(outcome.out)
    assert (outcome.code, found["fits"], found["n_taken"], found["n_picks"]) == (
        (0, True, 9, 9) if is_whole else (3, False, 0, 9)
    )
    results = {check["about"]: check["result"] for check in found["checks"]}
    assert results["exports"] == ("fits" if is_whole else "misfit")
    assert [steps["where"] for steps in found["steps"]] == ["RELION 4 and 5", "RELION 3.1"]


def test_an_external_job_is_handed_over_as_a_run_folder_is(vitripick, project):
    job = ("relion", "--o", "External/job012/", "--in_mics", STAR, "--diameter_px", 60, "--j", 1)
    assert vitripick(*job).code == 0
    outcome = vitripick("handover", "External/job012", "--to", "relion")
    assert outcome.code == 0, outcome.out
    assert "  Extract, Input coordinates: External/job012/autopick.star" in outcome.out
    assert "  Extract, Input coordinates: External/job012/coords_suffix_autopick.star" in outcome.out
    assert "echo" not in outcome.out, "the job wrote that file itself"


def test_the_printed_command_writes_all_picks_for_cryosparc(vitripick, project):
    rows = np.zeros(1, [("uid", "<u8"), ("micrograph_blob/path", "S60"), ("micrograph_blob/shape", "<u4", (2,))])
    rows[0] = (7, b"J12/imported/a_patch_aligned.mrc", (400, 400))
    with open("exposures.cs", "wb") as file:
        np.save(file, rows)
    outcome = vitripick("handover", "picks", "--to", "cryosparc", "--micrographs", "exposures.cs")
    assert outcome.code == 0, outcome.out
    assert outcome.out.startswith("cryoSPARC will import 9 of 9 picks")
    (line,) = (line for line in outcome.out.splitlines() if line.startswith("  vitripick cryosparc "))
    written = vitripick(*shlex.split(line)[1:])
    assert written.code == 0, written.err
    assert "9 picks of 1 micrographs: written to" in written.out
