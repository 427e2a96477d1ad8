"""Call `vitripick pick` as a person would, alone and in jobs, and describe clusters for `--cluster`."""

import subprocess
import sys
import time
from pathlib import Path

VITRIPICK = [sys.executable, "-m", "vitripick.cli.app"]
TEMPLATE = Path(__file__).parents[3] / "docs/cluster/slurm.toml"


def command(micrographs, out, *options):
    """Return the command of a run as a list of texts."""
    return [*VITRIPICK, "pick", str(micrographs), "--diameter-px", "60", "--device", "cpu", "--out", str(out), *options]


def pick(environment, micrographs, out, *options, cwd):
    """Run `vitripick pick` to its end, and return what became of it."""
    return subprocess.run(
        command(micrographs, out, *options),
        env=environment, cwd=cwd, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def write_script(folder, micrographs, out, *options):
    """Write the job script of docs/lab.md, with one thread a task."""
    words = " ".join(command(micrographs, out, *options))
    script = folder / "job.sh"
    script.write_text(f"#!/bin/bash\n#SBATCH --cpus-per-task=1 --mem=1G\nexport OMP_NUM_THREADS=1\nexec {words}\n")
    return script


def described(folder, *, jobs=2, **options):
    """Write a TOML for `--cluster`: the template of the docs, as a person adapts it to this Slurm."""
    here = {
        "jobs = 4": f"jobs = {jobs}",
        'queue = "gpu"': 'queue = "main"',
        'account = "my-account"\n': "",
        '"8 GiB"': '"1 GiB"',
        '["--gres=gpu:1", "--cpus-per-task=4"]': "[]",
        "OMP_NUM_THREADS=4": "OMP_NUM_THREADS=1",
        "04:00:00": "00:10:00",
    }
    text = TEMPLATE.read_text()
    for there, ours in here.items():
        assert there in text, f"{TEMPLATE} has no {there!r}"
        text = text.replace(there, ours)
    lines = [line for line in text.splitlines() if line.partition(" = ")[0] not in options]
    lines += [f"{name} = {value!r}" for name, value in options.items()]
    lines += ['interface = "lo"', "[options.scheduler_options]", 'dashboard_address = "127.0.0.1:0"']
    (folder / "slurm.toml").write_text("\n".join(lines) + "\n")
    return folder / "slurm.toml"


def n_done(out):
    """Return how many micrographs have a record."""
    return len(list((out / "micrographs").glob("*.json")))


def wait_until(is_so, *, seconds=120):
    """Wait until a function returns true."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
