"""Picking on Dask: real processes; one is killed in mid-run."""

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from made import snapshot
from vitripick.errors import InputError, UsageError, parameter
from vitripick.formats import read_micrograph, read_picks, write_mrc
from vitripick.models import load_model, open_model, save_model
from vitripick.programs import dask
from vitripick.programs.dask import (
    WorkerShare,
    make_cluster,
    pick_on_cluster,
    read_cluster_settings,
    survey_on_worker,
)
from vitripick.runs import PickSettings, pick_many
from vitripick.settings.spelling import as_flag

distributed = pytest.importorskip("distributed")


@pytest.fixture
def saved_model(model, tmp_path):
    save_model(model, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_a_cluster_with_a_worker_killed_in_mid_run_ends_like_one_machine(saved_model, many_micrographs, tmp_path):
    settings = PickSettings(formats=("star", "box", "particles-star"))
    pick_many([many_micrographs], tmp_path / "serial", load_model(saved_model), settings)
    seen = []
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as running:
        pids = [worker.pid for worker in running.workers.values()]

        def kill_one(done, total, name):
            seen.append(name)
            if len(seen) == 3:
                os.kill(pids[0], signal.SIGKILL)

        summary = pick_on_cluster(
            [many_micrographs],
            tmp_path / "cluster",
            saved_model,
            settings,
            cluster=running.scheduler_address,
            device="cpu",
            on_done=kill_one,
        )
        assert not cluster_process_lives(pids[0])
    assert len(summary.records) == len(seen) == 12
    assert snapshot(tmp_path / "cluster", wherever=True) == snapshot(tmp_path / "serial", wherever=True)


def cluster_process_lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return open(f"/proc/{pid}/stat").read().split()[2] != "Z"


def test_a_toml_starts_processes_and_a_failed_micrograph_comes_back_as_one(saved_model, micrographs, tmp_path):
    (micrographs / "a" / "broken.mrc").write_bytes(b"junk")
    (tmp_path / "local.toml").write_text('kind = "local"\njobs = 1\n')
    summary = pick_on_cluster(
        [micrographs], tmp_path / "out", saved_model, cluster=str(tmp_path / "local.toml"), device="cpu"
    )
    assert [failure["micrograph"] for failure in summary.failures] == ["a/broken.mrc"]
    assert len(summary.records) == 3


def test_dask_talks_of_what_goes_wrong_only(saved_model, micrographs, tmp_path):
    (tmp_path / "local.toml").write_text('kind = "local"\njobs = 1\n')
    command = [sys.executable, "-m", "vitripick.cli.app", "pick", micrographs, "--out", tmp_path / "out"]
    command += ["--model", saved_model, "--device", "cpu", "--cluster", tmp_path / "local.toml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "INFO" not in done.stderr


def test_no_scheduler_is_said_so(saved_model, micrographs, tmp_path, monkeypatch):
    monkeypatch.setattr(dask, "_SECONDS_TO_ANSWER", 0.2)
    with pytest.raises(InputError, match="no Dask scheduler answers"):
        pick_on_cluster([micrographs], tmp_path / "out", saved_model, cluster="tcp://127.0.0.1:1")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [("kind = 'slurm'\n", "jobs"), ("kind = 'cray'\njobs = 1\n", "kind"), ("kind = \n", "not a description")],
)
def test_a_wrong_toml_is_refused(tmp_path, text, says):
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(InputError, match=says):
        read_cluster_settings(tmp_path / "c.toml")


@pytest.mark.parametrize(
    ("kind", "directive"),
    [("slurm", "#SBATCH -p gpu"), ("pbs", "#PBS -q gpu"), ("sge", "#$ -q gpu"), ("lsf", "#BSUB -q gpu")],
)
def test_the_templates_of_the_docs_make_job_scripts(kind, directive):
    pytest.importorskip("dask_jobqueue")
    with make_cluster(read_cluster_settings_of_docs(kind)) as running:
        script = running.job_script()
    assert directive in script
    assert "distributed.cli.dask_worker" in script


def read_cluster_settings_of_docs(kind):
    from pathlib import Path

    return read_cluster_settings(Path("docs/cluster") / f"{kind}.toml")


def test_options_that_a_batch_system_does_not_know_are_refused(tmp_path):
    pytest.importorskip("dask_jobqueue")
    (tmp_path / "c.toml").write_text("kind = 'slurm'\njobs = 1\n[options]\ncores = 1\nmemory = '1GB'\nwings = 2\n")
    with pytest.raises(UsageError, match="wings"):
        make_cluster(read_cluster_settings(tmp_path / "c.toml"))


def test_an_interface_that_this_machine_does_not_have_is_refused(tmp_path):
    pytest.importorskip("dask_jobqueue")
    text = "kind = 'slurm'\njobs = 1\n[options]\ncores = 1\nmemory = '1GB'\ninterface = 'ib7'\n"
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(UsageError, match="'ib7' is not a valid network interface"):
        make_cluster(read_cluster_settings(tmp_path / "c.toml"))


def test_options_that_a_local_cluster_does_not_know_are_refused(tmp_path):
    (tmp_path / "c.toml").write_text("kind = 'local'\njobs = 1\n[options]\nwings = 2\n")
    with pytest.raises(UsageError, match="wings"):
        make_cluster(read_cluster_settings(tmp_path / "c.toml"))


def test_a_batch_system_that_is_not_on_this_machine_is_said_so_instead_of_waited_for(
    saved_model, micrographs, tmp_path, monkeypatch
):
    pytest.importorskip("dask_jobqueue")
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "c.toml").write_text("kind = 'slurm'\njobs = 1\n[options]\ncores = 1\nprocesses = 1\nmemory = '1GB'\n")
    with pytest.raises(UsageError, match="sbatch"):
        pick_on_cluster([micrographs], tmp_path / "out", saved_model, cluster=str(tmp_path / "c.toml"), device="cpu")


def test_what_a_run_leaves_open_is_found_on_a_worker_and_used_by_all(tmp_path):
    image = read_micrograph(sorted(Path("examples/apoferritin/micrographs").glob("*.mrc"))[0]).image
    for i in range(6):
        write_mrc(tmp_path / "mics" / f"{i}.mrc", image[80 * i : 80 * i + 560, :600])
    (tmp_path / "local.toml").write_text('kind = "local"\njobs = 2\n')
    settings = PickSettings(diameter_px=160)  # twice as large as they are
    told = []
    summary = pick_on_cluster(
        [tmp_path / "mics"],
        tmp_path / "out",
        "general",
        settings,
        cluster=str(tmp_path / "local.toml"),
        device="cpu",
        on_survey=told.append,
    )
    alone = pick_many([tmp_path / "mics"], tmp_path / "alone", open_model("general"), settings)
    assert told == [summary.survey]
    assert summary.survey == alone.survey
    assert summary.survey.seen.diameter == pytest.approx(80, rel=0.25)
    assert summary.threshold == alone.threshold
    for i in range(6):
        ours, wanted = (read_picks(tmp_path / run / "star" / f"{i}_autopick.star") for run in ("out", "alone"))
        # The last digit depends on how many threads a worker has.
        assert ours.x == pytest.approx(wanted.x, abs=1e-3)
        assert ours.confidence == pytest.approx(wanted.confidence, abs=1e-4)


@pytest.mark.parametrize(("spelling", "written"), [(None, "device='sofa'"), (as_flag, "--device 'sofa'")])
def test_a_worker_names_parameters_as_the_person_does_who_sent_the_work(saved_model, tmp_path, spelling, written):
    share = WorkerShare(
        out=str(tmp_path / "out"),
        model=str(saved_model),
        sha256=open_model(saved_model).sha256,
        settings=PickSettings(),
        device="sofa",
        folder=os.getcwd(),
        spelling=spelling,
    )
    sent = pickle.loads(pickle.dumps(share))
    with pytest.raises(InputError, match=f"^{written} is not a device"):
        survey_on_worker(sent, [])
    assert parameter("device") == "device="
