"""Two processes on this CPU, as torchrun starts them, do what one does with the double batch (up to rounding)."""

import csv
import subprocess
import sys

import numpy as np
import pytest
import torch

from vitripick.training import train

RECIPE = """
[[sets]]
micrographs = "micrographs"
labels = "labels"
[training]
options = {{ width = 16 }}
steps = 8
steps_per_epoch = 1
# Gentle: the first steps of Adam are as long for a rounding error as for a slope.
learning_rate = 2e-4
batch_size = {batch_size}
crop_px = 64
working_diameter_px = 16
unlabelled = "teach"
# Rounded to bfloat16, the sums of half a batch and of a whole one differ by more than what is tested here.
precision = "fp32"
"""


def run(folder, n_processes, batch_size):
    recipe = folder / f"recipe{n_processes}.toml"
    recipe.write_text(RECIPE.format(batch_size=batch_size))
    out = folder / f"run{n_processes}"
    start = [sys.executable]
    if n_processes > 1:
        start += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n_processes)]
    command = ["-m", "vitripick.cli.app", "train", "--recipe", recipe, "--out", out, "--device", "cpu"]
    done = subprocess.run(
        [*start, *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with (out / "curves.csv").open() as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    return out, rows, done


@pytest.fixture(scope="module")
def both(session_set, tmp_path_factory):
    from pathlib import Path

    folder = Path(session_set.micrographs).parent
    return run(folder, 1, 8), run(folder, 2, 4)


def test_two_processes_give_the_loss_curve_of_one_with_the_double_batch(both):
    (_, alone, _), (_, together, _) = both
    losses = [[row["train_loss"] for row in rows] for rows in (alone, together)]
    assert len(losses[0]) == 8
    np.testing.assert_allclose(losses[1], losses[0], rtol=5e-3)


def test_their_weights_and_running_statistics_are_those_of_the_one(both):
    states = [torch.load(out / "last.pt", weights_only=True)["averaged"] for out, *_ in both]
    for ending in ("weight", "running_mean", "running_var"):
        one, two = (torch.cat([v.flatten() for name, v in s.items() if name.endswith(ending)]) for s in states)
        assert (one - two).norm() < 0.01 * one.norm(), ending


def test_only_the_first_process_talks(both):
    done = both[1][2]
    assert done.stdout.count("model written to") == 1
    assert done.stderr.count("step 8 ") == 1


def test_another_number_of_processes_is_another_run(both, session_set):
    from pathlib import Path

    from vitripick.errors import UsageError
    from vitripick.training import read_training_plan

    sets, settings = read_training_plan(Path(session_set.micrographs).parent / "recipe2.toml")
    with pytest.raises(UsageError, match="another out="):
        train(sets, both[1][0], settings=settings)
