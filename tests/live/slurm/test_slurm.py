"""Array jobs and `--cluster` on a real Slurm end like one machine, and say what keeps them from it."""

import json
import re
import subprocess
import sys

import pytest

from live.slurm.runs import command, described, n_done, pick, wait_until, write_script
from made import snapshot


def sbatch(slurm, *words, cwd):
    """Submit a job and return its number."""
    told = subprocess.run(
        ["sbatch", "--parsable", *map(str, words)],
        env=slurm.environment, cwd=cwd, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return told.stdout.strip()


def start(slurm, micrographs, out, toml):
    return subprocess.Popen(
        command(micrographs, out, "--cluster", str(toml)),
        env=slurm.environment, cwd=out.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_an_array_job_and_a_last_call_end_like_one_machine(slurm, micrographs, one_machine, tmp_path):
    out = tmp_path / "picks"
    script = write_script(tmp_path, micrographs, out, "--shard", "auto")
    sbatch(slurm, "--wait", "--array=1-3", script, cwd=tmp_path)
    assert n_done(out) == 24
    assert not (out / "run.json").exists()
    done = pick(slurm.environment, micrographs, out, "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["n_skipped"] == 24
    assert snapshot(out, wherever=True) == one_machine


def test_a_task_that_was_killed_is_sent_again_alone(slurm, micrographs, one_machine, tmp_path):
    out = tmp_path / "picks"
    script = write_script(tmp_path, micrographs, out, "--shard", "auto/2")
    number = sbatch(slurm, "--array=2", script, cwd=tmp_path)
    wait_until(lambda: n_done(out) >= 3)
    slurm.command("scancel", "--signal=KILL", f"{number}_2")
    wait_until(lambda: not slurm.jobs())
    assert 3 <= n_done(out) < 12
    sbatch(slurm, "--wait", "--array=1,2", script, cwd=tmp_path)
    assert n_done(out) == 24
    assert pick(slurm.environment, micrographs, out, cwd=tmp_path).returncode == 0
    assert snapshot(out, wherever=True) == one_machine


def test_a_cluster_from_the_template_ends_like_one_machine_and_leaves_nothing(
    slurm, micrographs, one_machine, tmp_path
):
    out = tmp_path / "picks"
    done = pick(slurm.environment, micrographs, out, "--cluster", str(described(tmp_path)), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^2 jobs submitted \(Slurm \d+, \d+\)", done.stderr, flags=re.M)
    assert snapshot(out, wherever=True) == one_machine
    assert {path.name for path in tmp_path.iterdir()} == {"picks", "slurm.toml"}
    assert len(list((out / "log" / "jobs").glob("dask-worker-*.err"))) == 2


def test_a_worker_job_that_is_cancelled_is_replaced(slurm, micrographs, one_machine, tmp_path):
    out = tmp_path / "picks"
    running = start(slurm, micrographs, out, described(tmp_path, jobs=1))
    wait_until(lambda: n_done(out) >= 3)
    slurm.command("scancel", *slurm.jobs())
    _, told = running.communicate(timeout=180)
    assert running.returncode == 0, told
    assert len(re.findall(r"^1 job submitted \(Slurm \d+\)", told, flags=re.M)) == 2
    assert snapshot(out, wherever=True) == one_machine


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"queue": "gpu"}, "sbatch: error: invalid partition specified: gpu"),
        ({"memory": "9000 GiB"}, "sbatch: error: Memory specification can not be satisfied"),
        ({"job_extra_directives": ["--gres=gpu:1"]}, "Invalid generic resource (gres) specification"),
        ({"walltime": "99:00:00"}, "Requested time limit is invalid"),
    ],
)
def test_a_refused_job_ends_the_run_with_slurms_own_words(slurm, micrographs, tmp_path, options, says):
    toml = described(tmp_path, **options)
    done = pick(slurm.environment, micrographs, tmp_path / "picks", "--cluster", str(toml), cwd=tmp_path)
    assert done.returncode == 3
    assert says in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "picks").exists()


def test_a_pending_job_says_what_it_waits_for_and_is_picked_by_afterwards(slurm, micrographs, one_machine, tmp_path):
    out = tmp_path / "picks"
    slurm.command("scontrol", "update", "nodename=localhost", "state=drain", "reason=test")
    try:
        running = start(slurm, micrographs, out, described(tmp_path))
        lines = [running.stderr.readline() for _ in range(2)]
    finally:
        slurm.command("scontrol", "update", "nodename=localhost", "state=resume")
    assert re.fullmatch(r"2 jobs submitted \(Slurm \d+, \d+\); waiting for workers\n", lines[0])
    assert re.match(r"waiting for workers since 1 min: Slurm \d+.* pending \(", lines[1])
    _, told = running.communicate(timeout=180)
    assert running.returncode == 0, told
    assert told.startswith("the first worker is there\n")
    assert snapshot(out, wherever=True) == one_machine


def test_jobs_that_end_before_their_worker_came_are_said_with_their_last_line(slurm, micrographs, tmp_path):
    toml = described(tmp_path, python="/nowhere/python")
    often = "import vitripick.programs.batch_jobs as jobs; jobs._SECONDS_BETWEEN_QUESTIONS = 2"
    words = [sys.executable, "-c", f"{often}; from vitripick.cli.app import main; main()"]
    words += command(micrographs, tmp_path / "picks", "--cluster", str(toml))[3:]
    done = subprocess.run(
        words, env=slurm.environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 3
    assert re.search(r"Slurm \d+, \d+ ended before any worker came \(.*/nowhere/python: No such file", done.stderr)
