"""Batch jobs that are refused, wait, or end too early, on stand-ins for the programs of a batch system."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from made import fake_batch_system
from vitripick.errors import InputError
from vitripick.models import save_model
from vitripick.programs import batch_jobs
from vitripick.programs.batch_jobs import BatchJobs, IdleScheduler
from vitripick.programs.batch_systems import BATCH_SYSTEMS, BatchSystem, Report, sge_states, slurm_states
from vitripick.programs.dask import pick_on_cluster
from vitripick.runs import PickSettings

dask = pytest.importorskip("dask")
pytest.importorskip("dask_jobqueue")

NO_PARTITION = "sbatch: error: invalid partition specified: gpu"


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(batch_jobs, "_SECONDS_BETWEEN_LINES", 1.0)
    monkeypatch.setattr(batch_jobs, "_SECONDS_BETWEEN_QUESTIONS", 0.3)


@pytest.fixture
def queue(tmp_path, monkeypatch):
    queue = fake_batch_system(tmp_path / "queue")
    monkeypatch.setenv("PATH", f"{queue}:{os.environ['PATH']}")
    return queue


@pytest.fixture
def saved_model(model, tmp_path):
    save_model(model, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def described(folder, kind="slurm", jobs=2, options=""):
    lines = [f"kind = '{kind}'", f"jobs = {jobs}", "[options]", "cores = 1", "processes = 1", "memory = '2GB'"]
    path = folder / f"{kind}.toml"
    path.write_text("\n".join([*lines, "interface = 'lo'", options, "[options.scheduler_options]"]) + "\n")
    with path.open("a") as file:
        file.write("dashboard_address = '127.0.0.1:0'\n")
    return path


def pick(micrographs, folder, model, toml, **listeners):
    return pick_on_cluster(
        [micrographs], folder / "out", model, PickSettings(), cluster=str(toml), device="cpu", **listeners
    )


@pytest.mark.parametrize(("kind", "command"), [("slurm", "sbatch"), ("sge", "qsub"), ("pbs", "qsub"), ("lsf", "bsub")])
def test_a_refused_job_ends_the_run_with_the_batch_systems_own_words(
    saved_model, micrographs, tmp_path, queue, kind, command
):
    (queue / "refuses").write_text("Queue gpu does not exist.\n  Ask the help desk.\n")
    toml = described(tmp_path, kind)
    with pytest.raises(InputError) as caught:
        pick(micrographs, tmp_path, saved_model, toml)
    assert str(caught.value).startswith(
        f"{toml}: {command} refused 2 jobs: Queue gpu does not exist; Ask the help desk. Change its [options]"
    )
    assert not (tmp_path / "out").exists()


def test_the_command_line_ends_with_3_and_one_line_without_a_traceback(saved_model, micrographs, tmp_path, queue):
    (queue / "refuses").write_text(NO_PARTITION)
    command = [sys.executable, "-m", "vitripick.cli.app", "pick", micrographs, "--out", tmp_path / "out"]
    command += ["--model", saved_model, "--device", "cpu", "--cluster", described(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 3
    assert NO_PARTITION in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_answer_without_a_number_is_said_as_it_is(saved_model, micrographs, tmp_path, queue):
    (queue / "answer").write_text("maintenance until noon\n")
    with pytest.raises(InputError, match="maintenance until noon"):
        pick(micrographs, tmp_path, saved_model, described(tmp_path))


class Enough(Exception):
    """Ends a run that would wait without end."""


def stop_after(n, lines, about=""):
    """Return a listener that keeps the lines about something, and ends the run at the n-th of them."""

    def on_note(line):
        if about in line:
            lines.append(line)
        if len(lines) == n:
            raise Enough

    return on_note


@pytest.mark.parametrize(("kind", "name", "state"), [("slurm", "Slurm", " pending (Resources)"), ("sge", "SGE", " qw")])
def test_a_run_says_what_it_waits_for(saved_model, micrographs, tmp_path, queue, kind, name, state):
    lines = []
    with pytest.raises(Enough):
        pick(
            micrographs, tmp_path, saved_model, described(tmp_path, kind), on_note=stop_after(3, lines, f"{name} 1, 2")
        )
    assert lines[0] == f"2 jobs submitted ({name} 1, 2); waiting for workers"
    assert lines[1:] == [f"waiting for workers since 0 min: {name} 1, 2{state}"] * 2
    assert all((queue / number / "ended").exists() for number in "12")


def test_jobs_that_end_before_their_worker_came_end_the_run_with_their_last_words(
    saved_model, micrographs, tmp_path, queue
):
    (queue / "fails").touch()
    with pytest.raises(InputError, match="Slurm 1, 2 ended before any worker came") as caught:
        pick(micrographs, tmp_path, saved_model, described(tmp_path))
    log = tmp_path / "out" / "log" / "jobs"
    assert f"({log}/dask-worker-" in str(caught.value)
    assert "ends with: no module of this name)" in str(caught.value)


def test_a_run_goes_on_with_the_jobs_that_were_taken(saved_model, many_micrographs, tmp_path, queue):
    (queue / "starts").touch()
    (queue / "limit").write_text("1")
    (queue / "refuses").write_text("sbatch: error: QOSMaxSubmitJobPerUserLimit\n")
    lines = []
    summary = pick(many_micrographs, tmp_path, saved_model, described(tmp_path), on_note=lines.append)
    assert len(summary.records) == 12
    assert [line for line in lines if line.startswith("1 job submitted (Slurm 1)")]
    assert [line for line in lines if "refused a job: sbatch: error: QOSMaxSubmitJobPerUserLimit; going on" in line]
    assert (queue / "1" / "ended").exists()


def test_a_replacement_that_is_refused_ends_the_run_and_keeps_what_was_picked(
    saved_model, many_micrographs, tmp_path, queue
):
    (queue / "starts").touch()
    (queue / "limit").write_text("1")
    (queue / "refuses").write_text("sbatch: error: Job violates accounting/QOS policy\n")

    def kill_the_job(done, total, name):
        if done == 2:
            os.killpg(int((queue / "1" / "pid").read_text()), signal.SIGKILL)

    toml = described(tmp_path, jobs=1)
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1s"}),
        pytest.raises(InputError, match=r"QOS policy\. No job is left; what was picked is kept"),
    ):
        pick(many_micrographs, tmp_path, saved_model, toml, on_done=kill_the_job)
    assert 2 <= len(list((tmp_path / "out" / "micrographs").iterdir())) < 12


def test_a_scheduler_without_workers_is_said_so(saved_model, micrographs, tmp_path):
    distributed = pytest.importorskip("distributed")
    lines = []
    with distributed.LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as running:
        address = running.scheduler_address
        with pytest.raises(Enough):
            pick(micrographs, tmp_path, saved_model, address, on_note=stop_after(2, lines))
    assert lines == [f"{address} has no workers; waiting for some"] * 2


@pytest.mark.parametrize(
    ("options", "folder", "out"),
    [("", "out/log/jobs", "out"), ("log_directory = 'mine'", "mine", "out"), ("", None, "my picks")],
)
def test_what_jobs_print_lies_below_the_run_folder_unless_said_otherwise(
    saved_model, micrographs, tmp_path, queue, monkeypatch, options, folder, out
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Enough):
        pick_on_cluster(
            [micrographs], out, saved_model, cluster=str(described(tmp_path, options=options)),
            on_note=stop_after(1, []),
        )  # fmt: skip
    script = (queue / "1" / "script").read_text()
    written = [line.split()[-1] for line in script.splitlines() if line.startswith("#SBATCH -o")]
    assert written == (
        [] if folder is None else [str((tmp_path if options == "" else Path()) / folder / "dask-worker-%J.out")]
    )


class Cluster:
    """As much of a cluster of dask-jobqueue as the watch asks for."""

    def __init__(self):
        self.scheduler = SimpleNamespace(workers={}, add_plugin=lambda plugin: None)
        self.job_cls = SimpleNamespace(submit_command="sbatch")
        self.workers, self.forgotten = {}, []
        self.loop = SimpleNamespace(add_callback=lambda pop, name, default: self.forgotten.append(name))

    def adapt(self, **wanted):
        pass

    def has(self, *names):
        self.scheduler.workers = {name: SimpleNamespace(name=name) for name in names}


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(batch_jobs, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(batch_jobs, "_SECONDS_BETWEEN_LINES", 60.0)
    monkeypatch.setattr(batch_jobs, "_SECONDS_BETWEEN_QUESTIONS", 15.0)
    return now


def watched(wanted, states, lines):
    cluster = Cluster()
    system = BatchSystem("Slurm", "SLURMCluster", lambda: states)
    watch = BatchJobs(system, Path("c.toml"), wanted, lines.append)
    watch.start(cluster)
    return cluster, watch


def test_one_answer_without_a_job_does_not_end_it_yet(clock):
    lines = []
    _, watch = watched(1, {}, lines)
    watch.report(Report("w-0", "13"))
    for clock[0] in (1000.0, 1016.0, 1030.0):
        watch.look()
    clock[0] = 1032.0
    with pytest.raises(InputError, match="Slurm 13 ended before any worker came"):
        watch.look()


def test_a_queue_that_does_not_answer_ends_no_job(clock):
    _, watch = watched(1, None, [])
    watch.report(Report("w-0", "13"))
    for clock[0] in range(1000, 1400, 10):
        watch.look()


def test_a_refused_job_is_asked_for_again_after_a_minute_and_complained_of_once(clock):
    lines = []
    cluster, watch = watched(2, {}, lines)
    cluster.has("w-0")
    watch.report(Report("w-0", "13"))
    for turn in range(3):
        watch.report(Report("w-1", refused="try later"))
        for clock[0] in (1000.0 + 100 * turn, 1061.0 + 100 * turn):
            watch.look()
        assert cluster.forgotten == ["w-1"] * (turn + 1)
    assert [line for line in lines if "try later" in line] == [
        "sbatch refused a job: try later; going on with 1 job, and asking again every minute"
    ]


def test_a_job_that_ends_early_while_another_works_is_said_and_asked_for_again(clock):
    lines = []
    cluster, watch = watched(2, {"13": "running"}, lines)
    cluster.has("w-0")
    watch.report(Report("w-0", "13"))
    watch.report(Report("w-1", "14"))
    for clock[0] in range(1000, 1200, 10):
        watch.look()
    assert lines == [
        "2 jobs submitted (Slurm 13, 14)",
        "the first worker is there",
        "Slurm 14 ended before any worker came; going on with 1 job, and asking again every minute",
    ]
    assert cluster.forgotten == ["w-1"]


def test_a_job_with_several_processes_is_asked_for_again_when_all_of_them_are_lost(clock):
    states = {"13": "running"}
    cluster, watch = watched(1, states, [])
    watch.report(Report("w-0", "13"))
    cluster.has("w-0-0", "w-0-1")
    watch.look()
    cluster.has()
    states.clear()
    for clock[0] in range(1000, 1200, 10):
        watch.look()
        if cluster.forgotten:
            break
    assert cluster.forgotten == ["w-0"]
    assert clock[0] > 1060  # after Dask itself had time to do it


def test_many_jobs_are_counted_and_not_all_named(clock):
    lines = []
    _, watch = watched(100, {}, lines)
    for i in range(100):
        watch.report(Report(f"w-{i}", str(i + 7)))
    watch.look()
    assert lines == ["100 jobs submitted (Slurm 7, 8, 9, 10, 11 and 95 more); waiting for workers"]


def test_a_submission_that_hangs_is_said_so(clock):
    lines = []
    _, watch = watched(1, {}, lines)
    clock[0] += 61
    watch.look()
    assert lines == ["waiting for workers since 1 min: sbatch to answer"]


def test_states_are_not_known_where_the_program_is_missing_or_fails(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slurm_states() is None
    assert sge_states() is None
    assert BATCH_SYSTEMS["pbs"].states() is None


def test_a_scheduler_is_asked_for_its_workers_once_a_minute(clock):
    lines = []
    watch = IdleScheduler(SimpleNamespace(nthreads=dict), "tcp://a:1", lines.append)
    for clock[0] in (0.0, 30.0, 61.0):
        watch.look()
    assert len(lines) == 2
