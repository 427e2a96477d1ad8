"""The External job, read by a reader written from RELION's dialect alone."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import gemmi
import numpy as np
import pytest
import starfile

from made import rings
from vitripick.errors import UsageError, parameter
from vitripick.formats import (
    MicrographFile,
    find_micrographs,
    pair_labels,
    read_all_picks,
    read_micrograph,
    write_mrc,
)
from vitripick.images import Preparation
from vitripick.programs.relion import parse_relion_arguments
from vitripick.programs.relion_names import relion_stems
from vitripick.runs import step
from vitripick.training import TrainingSet, default_settings
from vitripick.training.data import load_training_data

_spec = importlib.util.spec_from_file_location("strict_relion", Path(__file__).with_name("strict_relion.py"))
strict_relion = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(strict_relion)

MARKERS = ("RELION_JOB_EXIT_SUCCESS", "RELION_JOB_EXIT_FAILURE", "RELION_JOB_EXIT_ABORTED")
JOB = "External/job012"
APOFERRITIN = sorted(Path("examples/apoferritin/micrographs").resolve().glob("*.mrc"))


def six_rings(seed=0):
    """Return a micrograph that is not square, so that x and y cannot be taken for each other."""
    return rings(seed, shape=(400, 320), x=(80, 240))


NAMES = ("MotionCorr/job002/grid1/a.mrc", "MotionCorr/job002/grid2/a.mrc", "MotionCorr/job002/empty.mrc")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A RELION project: two micrographs of one name in two folders, and one with nothing in it."""
    monkeypatch.chdir(tmp_path)
    write_mrc(NAMES[0], six_rings(0), pixel_size=2.0)
    write_mrc(NAMES[1], six_rings(1), pixel_size=2.0)
    write_mrc(NAMES[2], np.full((400, 320), 7, np.float32), pixel_size=2.0)
    write_star(NAMES)
    return tmp_path


def write_star(names, *, pixel_size=2.0):
    path = Path("CtfFind/job003/micrographs_ctf.star")
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = "".join(f"{name} 1\n" if " " not in name else f'"{name}" 1\n' for name in names)
    path.write_text(
        "\n# version 50001\n\ndata_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnOpticsGroupName #2\n_rlnVoltage #3\n"
        "_rlnSphericalAberration #4\n_rlnAmplitudeContrast #5\n_rlnMicrographPixelSize #6\n"
        f"1 opticsGroup1 300 2.7 0.1 {pixel_size}\n\n\n"
        "# version 50001\n\ndata_micrographs\n\nloop_\n_rlnMicrographName #1\n"
        f"_rlnOpticsGroup #2\n{rows}\n"
    )


def call(vitripick, *more, star="CtfFind/job003/micrographs_ctf.star", device="cpu", diameter=120):
    given = () if diameter is None else ("--diameter_angstrom", diameter)
    return vitripick("relion", "--o", f"{JOB}/", "--in_mics", star, *given, "--device", device, *more, "--j", 1)


@pytest.fixture
def real_project(project):
    """The same with two pieces of real micrographs of apoferritin instead: 80 px, 120 Å."""
    for name, path in zip(NAMES, APOFERRITIN, strict=False):
        write_mrc(name, read_micrograph(path).image[:560, :600], pixel_size=1.5)
    write_star(NAMES[:2], pixel_size=1.5)
    return project


def markers(project):
    found = [name for name in MARKERS if (project / JOB / name).exists()]
    assert all((project / JOB / name).stat().st_size == 0 for name in found)
    return [name.rpartition("_")[2] for name in found]


def test_the_job_leaves_what_relion_looks_for(vitripick, project):
    outcome = call(vitripick)
    assert outcome.code == 0, outcome.err
    assert markers(project) == ["SUCCESS"]
    (nodes,) = strict_relion.read_star(project / JOB / "RELION_OUTPUT_NODES.star").items()
    assert nodes == (
        "output_nodes",
        (
            ["rlnPipeLineNodeName", "rlnPipeLineNodeTypeLabel", "rlnPipeLineNodeType"],
            [
                {
                    "rlnPipeLineNodeName": f"{JOB}/autopick.star",
                    "rlnPipeLineNodeTypeLabel": "MicrographCoordsGroup.star.relion.autopick",
                    "rlnPipeLineNodeType": "2",
                }
            ],
        ),
    )
    labels, rows = strict_relion.read_star(project / JOB / "autopick.star")["coordinate_files"]
    assert labels == ["rlnMicrographName", "rlnMicrographCoordinates"]
    assert [row["rlnMicrographName"] for row in rows] == list(NAMES)
    assert [row["rlnMicrographCoordinates"] for row in rows] == [
        f"{JOB}/grid1/a_autopick.star",
        f"{JOB}/grid2/a_autopick.star",
        f"{JOB}/empty_autopick.star",
    ]
    columns = []
    for row, n_particles in zip(rows, (6, 6, 0), strict=True):
        (block,) = strict_relion.read_star(project / row["rlnMicrographCoordinates"]).values()
        columns.append(block[0])
        assert abs(len(block[1]) - n_particles) <= 1
        for particle in block[1]:
            x, y = float(particle["rlnCoordinateX"]), float(particle["rlnCoordinateY"])
            # What stops Extract: a centre outside.
            assert 0 <= int(x) < 320
            assert 0 <= int(y) < 400
            assert min(np.hypot(x - px, y - py) for py in (80, 200, 320) for px in (80, 240)) < 15
    assert columns == [["rlnCoordinateX", "rlnCoordinateY", "rlnAutopickFigureOfMerit"]] * 3


def test_its_files_are_read_by_starfile_and_gemmi(vitripick, project):
    call(vitripick)
    for path in (project / JOB).rglob("*.star"):
        if path.name.startswith("coords_suffix"):  # no STAR in spite of its name
            continue
        table = starfile.read(path, always_dict=True)
        document = gemmi.cif.read(str(path))
        assert len(table) == len(document) == 1
        if path.name != "RELION_OUTPUT_NODES.star" and "empty" not in path.name:
            (frame,) = table.values()
            first = frame.columns[0]
            assert [str(v) for v in frame[first]] == [
                v if path.name == "autopick.star" else str(float(v)) for v in document[0].find_values(f"_{first}")
            ]


VERSION_3 = (
    "\n# version 30001\n\ndata_pipeline_processes\n\nloop_\n_rlnPipeLineProcessName #1\n_rlnPipeLineProcessType #2\n"
)
VERSION_5 = VERSION_3.replace("ProcessType ", "ProcessTypeLabel ")


@pytest.mark.parametrize(
    ("pipeline", "output"), [(VERSION_3, "coords_suffix_autopick.star"), (VERSION_5, "autopick.star")]
)
def test_the_output_of_the_job_is_what_this_version_of_relion_reads(vitripick, project, pipeline, output):
    """RELION 3.1 takes coordinates by the end of their names, later versions by a table."""
    Path("default_pipeline.star").write_text(pipeline)
    assert call(vitripick).code == 0
    (_, (row,)) = strict_relion.read_star(project / JOB / "RELION_OUTPUT_NODES.star")["output_nodes"]
    assert row["rlnPipeLineNodeName"] == f"{JOB}/{output}"
    assert (project / JOB / "coords_suffix_autopick.star").read_text() == "CtfFind/job003/micrographs_ctf.star\n"


def test_micrographs_that_extract_would_mix_up_are_named(vitripick, project):
    other = "MotionCorr/job007/grid1/a.mrc"
    write_mrc(other, six_rings(2), pixel_size=2.0)
    write_star([*NAMES, other])
    assert f"note: {NAMES[0]} and {other} share their path" in call(vitripick).out
    write_star(NAMES)
    assert "share their path" not in call(vitripick).out


def test_micrographs_that_relion_3_would_not_find_stop_the_job_before_it_picks(vitripick, project):
    Path("default_pipeline.star").write_text(VERSION_3)
    other = "MotionCorr/job007/grid1/a.mrc"
    write_mrc(other, six_rings(2), pixel_size=2.0)
    write_star([*NAMES, other])
    outcome = call(vitripick)
    assert outcome.code == 3
    assert "2 of 4 micrographs" in outcome.err
    assert NAMES[0] in outcome.err
    assert markers(project) == ["FAILURE"]


def test_continue_picks_nothing_again_and_takes_what_was_added(vitripick, project, monkeypatch):
    write_star(NAMES[:2])
    call(vitripick)
    before = {path: path.stat().st_mtime_ns for path in (project / JOB).rglob("a_autopick.star")}
    write_star(NAMES)
    outcome = call(vitripick)
    assert "2 micrographs picked before" in outcome.out
    assert f"suspected empty: 1 ({NAMES[2]})" in outcome.out
    assert markers(project) == ["SUCCESS"]
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert len(strict_relion.read_star(project / JOB / "autopick.star")["coordinate_files"][1]) == 3


def test_the_abort_file_stops_it_after_the_micrograph_in_hand(vitripick, project, monkeypatch):
    real = step.FolderPicker.pick_file

    def pick_and_abort(*arguments, **options):
        (project / JOB / "RELION_JOB_ABORT_NOW").touch()
        return real(*arguments, **options)

    monkeypatch.setattr(step.FolderPicker, "pick_file", pick_and_abort)
    assert call(vitripick).code == 130
    assert markers(project) == ["ABORTED"]
    assert not (project / JOB / "RELION_JOB_ABORT_NOW").exists()
    assert len(list((project / JOB).rglob("*_autopick.star"))) == 1
    monkeypatch.undo()
    monkeypatch.chdir(project)
    assert "1 micrograph picked before" in call(vitripick).out
    assert markers(project) == ["SUCCESS"]


def test_stale_markers_go_at_the_start(vitripick, project):
    (project / JOB).mkdir(parents=True)
    for name in (*MARKERS, "RELION_JOB_ABORT_NOW"):
        (project / JOB / name).touch()
    assert call(vitripick).code == 0
    assert markers(project) == ["SUCCESS"]


def test_pipeline_control_and_empty_fields_are_accepted(vitripick, project):
    outcome = call(vitripick, "--pipeline_control", f"{JOB}/", "--threshold", "--overlays", "--thumbnails", "No")
    assert outcome.code == 0, outcome.err
    assert (project / JOB / "vitripick" / "overlays" / "grid1" / "a.png").exists()
    assert not (project / JOB / "vitripick" / "thumbnails").exists()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--diametre", "120", "--Threshhold", "1"], "--Threshhold, --diametre"),
        (["--threshold", "high"], "--threshold high"),
        (["--threshold", "3"], "--threshold 3"),
        (["--in_coords", "x.star"], "--in_coords"),
        (["--overlays", "perhaps"], "Yes or No"),
        (["--model", ["my", "model.safetensors"][0], "model.safetensors"], "unquoted"),
        (["--model", "no-such-model"], "no-such-model"),
        (["--diameter_px", "60"], "not both"),
    ],
)
def test_what_is_wrong_is_named_and_marked_as_a_failure(vitripick, project, more, says):
    outcome = call(vitripick, *more)
    assert outcome.code in (2, 3)
    assert says in outcome.err
    assert markers(project) == ["FAILURE"]
    assert not (project / JOB / "autopick.star").exists()


def test_a_job_without_a_diameter_finds_it_and_says_so(vitripick, real_project):
    outcome = call(vitripick, diameter=None)
    assert outcome.code == 0, outcome.err
    (found,) = re.findall(r"diameter (\d+) Å, found by itself", outcome.out)
    assert float(found) == pytest.approx(120, rel=0.25)
    assert markers(real_project) == ["SUCCESS"]


def test_messages_name_the_labels_of_the_gui(vitripick, project):
    write_star(NAMES[2:])  # nothing to see, so no diameter
    outcome = call(vitripick, diameter=None)
    assert outcome.code == 2
    assert outcome.err.endswith("Give --diameter_angstrom or --diameter_px.\n")
    assert parameter("diameter_px") == "diameter_px=", "the job's spelling ends with the job"


@pytest.mark.parametrize(("label", "is_kept"), [("No", False), ("Yes", True)])
def test_a_diameter_that_does_not_fit_is_replaced_unless_the_label_keeps_it(vitripick, real_project, label, is_kept):
    outcome = call(vitripick, "--keep_diameter", label, diameter=240)
    assert outcome.code == 0, outcome.err
    assert ("instead of the 240 Å that were given" in outcome.out) is not is_kept


def test_a_name_with_a_blank_is_refused(vitripick, project):
    (project / "MotionCorr/job002/grid 3").mkdir()
    (project / NAMES[0]).rename(project / "MotionCorr/job002/grid 3/a.mrc")
    write_star(["MotionCorr/job002/grid 3/a.mrc", NAMES[1]])
    outcome = call(vitripick)
    assert outcome.code == 3
    assert "'MotionCorr/job002/grid 3/a.mrc'" in outcome.err
    assert "blank" in outcome.err
    assert markers(project) == ["FAILURE"]


def test_a_job_folder_with_a_blank_falls_apart_and_is_told(vitripick, project):
    outcome = vitripick("relion", "--o", "External/my", "job/", "--in_mics", "m.star", "--j", 1)
    assert outcome.code == 2
    assert "'job/'" in outcome.err


def test_one_broken_micrograph_is_left_out_of_the_table(vitripick, project):
    (project / NAMES[1]).write_bytes(b"junk")
    outcome = call(vitripick)
    assert outcome.code == 4
    assert markers(project) == ["SUCCESS"]
    rows = strict_relion.read_star(project / JOB / "autopick.star")["coordinate_files"][1]
    assert [row["rlnMicrographName"] for row in rows] == [NAMES[0], NAMES[2]]


def test_when_every_micrograph_is_broken_the_job_failed(vitripick, project):
    for name in NAMES:
        (project / name).write_bytes(b"junk")
    assert call(vitripick).code == 4
    assert markers(project) == ["FAILURE"]


def test_micrographs_of_two_jobs_that_would_meet_keep_their_whole_path():
    names = ["MotionCorr/job002/a.mrc", "MotionCorr/job007/a.mrc", "Import/job001/x/b.mrc", "raw/c.mrc"]
    stems = relion_stems([MicrographFile(name, Path(name)) for name in names])
    assert list(stems.values()) == ["MotionCorr/job002/a", "MotionCorr/job007/a", "x/b", "raw/c"]


def test_an_absolute_job_folder_inside_the_project_is_named_from_the_project(project):
    job = parse_relion_arguments(["--o", str(project / JOB), "--in_mics", "m.star", "--diameter-px", "60"])
    assert str(job.folder) == JOB
    assert job.settings.diameter_px == 60


def test_without_a_job_folder_there_is_nowhere_to_leave_a_marker():
    with pytest.raises(UsageError, match="--o External/job001/"):
        parse_relion_arguments(["--in_mics", "m.star"])


def test_the_module_runs_as_relion_calls_it(project):
    """In a shell, unquoted, from the project's folder."""
    command = f"{sys.executable} -m vitripick.cli.app relion --o {JOB}/ --in_mics CtfFind/job003/micrographs_ctf.star "
    command += f"--diameter_angstrom 120 --device cpu --j 1 --pipeline_control {JOB}/ >> run.out 2>> run.err"
    assert subprocess.run(command, shell=True, check=False).returncode == 0
    assert markers(project) == ["SUCCESS"]
    assert re.search(r"picks on 3 micrographs", (project / "run.out").read_text())


def test_labels_of_manualpick_are_read_and_paired_with_their_micrographs(project):
    """ManualPick/job004: a table of coordinate files, and one of them for each micrograph."""
    folder = project / "ManualPick/job004"
    (folder / "grid1").mkdir(parents=True)
    (folder / "grid2").mkdir()
    (folder / "manualpick.star").write_text(
        "\n# version 50001\n\ndata_coordinate_files\n\nloop_\n_rlnMicrographName #1\n_rlnMicrographCoordinates #2\n"
        + "".join(f"{name} ManualPick/job004/grid{i}/a_manualpick.star\n" for i, name in enumerate(NAMES[:2], 1))
        + "\n"
    )
    for i in (1, 2):
        (folder / f"grid{i}/a_manualpick.star").write_text(
            "\n# version 50001\n\ndata_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n_rlnParticleSelectionType #3"
            f"\n_rlnAnglePsi #4\n_rlnAutopickFigureOfMerit #5\n{i}0.0 200.0 2 -999.0 -999.0\n\n"
        )
    for name in NAMES[:2]:
        write_mrc(name, six_rings(), pixel_size=3.0)
    files = find_micrographs(["CtfFind/job003/micrographs_ctf.star"])
    pairs = pair_labels([file.name for file in files], read_all_picks("ManualPick/job004/manualpick.star")).pairs
    assert {name: boxes.x.tolist() for name, boxes in pairs.items()} == {NAMES[0]: [10.0], NAMES[1]: [20.0]}
    entry = TrainingSet(
        micrographs="CtfFind/job003/micrographs_ctf.star", labels="ManualPick/job004/manualpick.star", box_size_px=60
    )
    settings = default_settings("heatmap", working_diameter_px=30)
    data = load_training_data([entry], settings, Preparation(working_diameter_px=30))
    assert data.diameters_px == (60,)
    # By the STAR's 2.0 Å, not by the headers'.
    assert data.diameters_angstrom == (120,)
    labels = {sample.name: sample.labels for sample in (*data.training, *data.validation)}
    assert sorted(labels) == sorted(NAMES[:2])
    np.testing.assert_allclose(labels[NAMES[0]][:, 1], 200 / 2, atol=1)
