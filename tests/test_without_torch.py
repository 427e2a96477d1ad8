"""What a plain installation does, which has no torch: all but training, GPUs, and graphs of new models."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from made import rings
from vitripick.cli.app import app
from vitripick.formats import write_mrc
from vitripick.models import ModelCard, TorchModel, build_detector, load_weights, save_model
from vitripick.models.engines.export import write_graph

ROOT = Path(__file__).parent.parent
APOFERRITIN = ROOT / "examples" / "apoferritin"
MICROGRAPHS, LABELS = APOFERRITIN / "micrographs", APOFERRITIN / "labels"

# Python imports this module at its start, in child processes, too. A module that is None would not do, because SciPy
# looks for a loaded torch.
BLOCK = """
import sys
from importlib.machinery import PathFinder

class WithoutTorch(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in ("torch", "onnx") else super().find_spec(name, path, target)

sys.meta_path[:] = [WithoutTorch if finder is PathFinder else finder for finder in sys.meta_path]
"""
# Many commands in one process, because each process takes a second to start.
DRIVER = """
import contextlib, io, json, sys
from vitripick.cli.app import run
for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = run(json.loads(line))
        except Exception as error:
            code = repr(error)
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
assert "torch" not in sys.modules
"""
INSTALL = "pip install 'vitripick[train]'"


@pytest.fixture(scope="module")
def without_torch(tmp_path_factory):
    """The environment of a process that cannot import torch or onnx."""
    folder = tmp_path_factory.mktemp("block")
    (folder / "sitecustomize.py").write_text(BLOCK)
    paths = [str(folder), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "VITRIPICK_CACHE": str(folder / "cache"),
    }


@pytest.fixture
def run_all(without_torch, tmp_path):
    """Return a function that runs commands one after the other, and gives exit code, stdout and stderr of each."""

    def run_them(*commands):
        lines = "".join(json.dumps([str(word) for word in command]) + "\n" for command in commands)
        ran = python(DRIVER, without_torch, input=lines, cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
        return [json.loads(line) for line in ran.stdout.splitlines()]

    return run_them


def python(code, env, **options):
    """Run a program of one text."""
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, **options)


def test_all_that_follows_from_picking_works(run_all, tmp_path):
    commands = [
        ["pick", MICROGRAPHS, "--out", "picks", "--overlays", "--diameter-px", "80", "--format", "cbox"],
        ["convert", "picks/cbox", "all.star", "--to", "star"],
        ["evaluate", "picks", LABELS],
        ["report", "picks", "--labels", LABELS, "--out", "report.html"],
        ["extract", "picks", "--box-size-px", "100", "--out", "particles.mrcs"],
        ["simulate", "--out", "simulated", "--micrographs", "1", "--shape", "300x300"],
        ["models", "--json"],
        ["models", "general"],
        ["doctor", "--json"],
    ]
    for command, (code, _, err) in zip(commands, run_all(*commands), strict=True):
        assert code == 0, (command, code, err)
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_the_doctor_calls_torch_a_part_that_may_be_added(run_all):
    ((code, out, _),) = run_all(["doctor", "--json"])
    findings = {finding["name"]: finding for finding in json.loads(out)["findings"]}
    assert code == 0
    assert (findings["torch"]["value"], findings["torch"]["status"]) == ("not installed", "note")
    assert INSTALL in findings["torch"]["advice"]
    assert not [name for name, finding in findings.items() if finding["status"] == "problem"]


def test_every_command_has_its_help(run_all):
    names = [command.callback.__name__.replace("_", "-") for command in app.registered_commands]
    assert [code for code, _, _ in run_all(*([name, "--help"] for name in names))] == [0] * len(names)


def test_what_needs_torch_says_which_extra_brings_it(run_all, tmp_path):
    save_small_model(tmp_path / "own.safetensors")
    commands = {
        "training needs torch": ["train", "--micrographs", MICROGRAPHS, "--labels", LABELS, "--out", "run"],
        "--device cuda needs torch": ["pick", MICROGRAPHS, "--out", "a", "--device", "cuda"],
        "--device cuda:1 needs torch": ["watch", MICROGRAPHS, "--out", "b", "--device", "cuda:1"],
        "--device all needs torch": ["pick", MICROGRAPHS, "--out", "c", "--device", "all"],
        "--engine torch needs torch": ["pick", MICROGRAPHS, "--out", "d", "--engine", "torch", "--diameter-px", "80"],
        "own.fp32.onnx beside the model": ["pick", MICROGRAPHS, "--out", "e", "--model", "own.safetensors"],
        "--describe needs torch": ["models", "--describe", "yolo"],
        "--write-graph needs torch": ["models", "own.safetensors", "--write-graph"],
    }
    for (says, command), (code, _, err) in zip(commands.items(), run_all(*commands.values()), strict=True):
        assert code == 2, (command, code, err)
        assert says in err
        assert INSTALL in err
        assert len(err.strip().splitlines()) == 1


def save_small_model(path):
    torch.manual_seed(1)
    detector = build_detector("heatmap", {"width": 16}).eval()
    card = ModelCard(
        name="own", architecture="heatmap", options={"width": 16}, preparation=detector.default_preparation()
    )
    save_model(TorchModel(detector, card), path)


def test_a_model_of_ones_own_picks_with_the_graph_that_lies_beside_it(run_all, tmp_path):
    save_small_model(tmp_path / "own.safetensors")
    write_graph(load_weights(tmp_path / "own.safetensors"))
    (tmp_path / "micrographs").mkdir()
    write_mrc(tmp_path / "micrographs" / "a.mrc", rings())
    pick = ["pick", "micrographs", "--model", "own.safetensors", "--diameter-px", "40", "--keep-diameter"]
    picked, shown = run_all(
        [*pick, "--out", "picks", "--threshold", "0"], ["models", "own.safetensors", "--write-graph"]
    )
    assert picked[0] == 0, picked
    assert re.search(r"network run by (onnxruntime|openvino) \S+, fp32", picked[1])
    assert (shown[0], shown[1].strip()) == (0, "own.fp32.onnx")


def test_the_library_picks(without_torch):
    code = f"""
import sys, vitripick
model = vitripick.load_model("general")
micrograph = vitripick.read_micrograph({str(MICROGRAPHS / "May08_03.05.02.mrc")!r})
print(len(vitripick.pick(micrograph, model, diameter_px=80)))
from vitripick.training import TrainingSet
try:
    vitripick.train
except vitripick.errors.UsageError as error:
    print(error)
"""
    ran = python(code, without_torch)
    n_picks, says = ran.stdout.splitlines()
    assert 100 < int(n_picks) < 250
    assert INSTALL in says


def test_the_page_knows_the_models_and_says_what_training_needs(without_torch, tmp_path):
    pytest.importorskip("starlette")
    code = f"""
import pathlib, time
from vitripick.errors import UsageError
from vitripick.web.requests import TrainRequest
from vitripick.web.session import open_session
session = open_session([{str(MICROGRAPHS)!r}], pathlib.Path("project"), labels={str(LABELS)!r})
session.jobs.describe_machine()
while session.jobs.machine is None:
    time.sleep(0.05)
print(session.jobs.machine["device"], *[card["name"] for card in session.jobs.machine["released"]])
try:
    session.starter.train(TrainRequest())
except UsageError as error:
    print(error)
"""
    ran = python(code, without_torch, cwd=tmp_path, timeout=120)
    machine, says = ran.stdout.splitlines()
    assert machine.endswith("general")
    assert INSTALL in says


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_the_page_opens(without_torch, tmp_path):
    pytest.importorskip("starlette")
    command = [sys.executable, "-u", "-m", "vitripick", "label", str(MICROGRAPHS), "--out", "project", "--port", "0"]
    with subprocess.Popen(
        command, env=without_torch, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as page:
        said = ""
        for line in page.stdout:
            said += line
            if "Ctrl-C here ends the server" in line:  # the last line before it serves
                break
        page.send_signal(signal.SIGTERM)
    assert (tmp_path / "project" / ".link").name in said, said
