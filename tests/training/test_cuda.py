"""Training on a CUDA device; skipped, with the reason, where there is none."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from vitripick.errors import Stopped
from vitripick.formats import read_micrograph, read_picks
from vitripick.geometry import match
from vitripick.models import TorchModel
from vitripick.models.run import for_inference
from vitripick.picking import pick
from vitripick.training import Callbacks, default_settings, train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]

LONG_ENOUGH = default_settings(
    options={"width": 16}, steps=60, steps_per_epoch=20, batch_size=8, crop_px=96, working_diameter_px=16
)


def test_a_small_set_trains_in_bfloat16_and_its_particles_are_found_on_gpu_and_cpu(labelled_set, tmp_path):
    model = train(labelled_set, tmp_path / "run", settings=LONG_ENOUGH, device="cuda").model
    micrograph = read_micrograph(tmp_path / "micrographs" / "disc0.mrc")
    labels = read_picks(tmp_path / "labels" / "disc0.csv")
    picks = {}
    for device in ("cpu", "cuda"):
        ready = TorchModel(for_inference(model.detector, device), model.card, model.sha256)
        picks[device] = pick(micrograph, ready)
        found = match(picks[device], labels, criterion="distance", distance_px=5)
        assert (found >= 0).sum() >= 12
        assert (found < 0).sum() <= 2
    np.testing.assert_allclose(picks["cuda"].x, picks["cpu"].x, atol=0.1)
    np.testing.assert_allclose(picks["cuda"].confidence, picks["cpu"].confidence, atol=0.01)


@pytest.mark.parametrize("architecture", ["yolo", "inception_resnet"])
def test_the_networks_of_the_paper_train_in_bfloat16(architecture, session_set, tmp_path):
    settings = default_settings(architecture, steps=6, steps_per_epoch=3, batch_size=2, input_size_px=128)
    rows = train(session_set, tmp_path / "run", settings=settings, device="cuda").rows
    assert [row["step"] for row in rows] == [3, 6]
    assert all(math.isfinite(row["train_loss"]) for row in rows)


def test_patches_drawn_by_processes_train_as_those_drawn_by_a_thread(session_set, tmp_path):
    settings = default_settings(
        "yolo", steps=4, steps_per_epoch=1, batch_size=2, input_size_px=64, patches=(2, 2), precision="fp32"
    )
    runs = [train(session_set, tmp_path / str(n), settings=settings, device="cuda", n_workers=n).rows for n in (0, 2)]
    losses = [[row["train_loss"] for row in rows] for rows in runs]
    np.testing.assert_allclose(losses[0], losses[1], rtol=0.02)


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_a_run_stopped_on_a_gpu_goes_on_there_or_on_the_cpu(device, session_set, short, tmp_path):
    short = short.model_copy(update={"precision": "fp32"})
    steps = iter(range(100))
    with pytest.raises(Stopped):
        train(
            session_set,
            tmp_path / "run",
            settings=short,
            device="cuda",
            callbacks=Callbacks(should_stop=lambda: next(steps) == 2),
        )
    rows = train(session_set, tmp_path / "run", settings=short, device=device).rows
    assert [row["step"] for row in rows] == [3, 6]


def test_torchrun_starts_a_training_on_the_gpus(session_set, tmp_path):
    n = torch.cuda.device_count()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n)]
    command += ["-m", "vitripick.cli.app", "train", "--micrographs", session_set.micrographs]
    command += ["--labels", session_set.labels, "--out", tmp_path / "run", "--steps", "4", "--device", "cuda"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "model.safetensors").is_file()
