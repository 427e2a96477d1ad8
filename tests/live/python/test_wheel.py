"""The wheel in a clean environment of each Python, and with the oldest packages that it allows."""

import json

import pytest

from live.python.environments import LIVE, ROOT, pythons, runs

PYTHONS = pythons()
OLDEST = next(iter(PYTHONS.values()))
MICROGRAPHS, LABELS = (ROOT / "examples" / "apoferritin" / name for name in ("micrographs", "labels"))


def check_picking(environment):
    """Try `doctor` and one pick."""
    report = json.loads(environment.call("vitripick", "doctor", "--json"))
    assert report["ok"]
    assert not [finding for finding in report["findings"] if finding["status"] == "problem"]
    environment.call("vitripick", "pick", MICROGRAPHS, "--out", "picks", "--diameter-px", "80", "--format", "box")
    n_picks = sum(len(path.read_text().splitlines()) for path in (environment.work / "picks" / "box").glob("*.box"))
    assert 200 < n_picks < 400


def check_training(environment):
    """Try one short training, and return the model's path."""
    train = ["train", "--micrographs", MICROGRAPHS, "--labels", LABELS, "--out", "run", "--steps", "20"]
    environment.call("vitripick", *train, "--batch-size", "4", "--device", "cpu")
    assert (environment.work / "run" / "model.fp32.onnx").is_file()
    return environment.work / "run" / "model.safetensors"


def n_picks_with(environment, model):
    pick = ["pick", MICROGRAPHS, "--model", model, "--out", "own", "--threshold", "0.05", "--json", "--device", "cpu"]
    summary = json.loads(environment.call("vitripick", *pick))
    return summary["n_picks"]


@pytest.mark.parametrize("version", PYTHONS)
def test_the_wheel_picks_and_trains(version, environment, the_wheel):
    plain, whole = environment(PYTHONS[version]), environment(PYTHONS[version], "whole")
    plain.install(the_wheel)
    assert not plain.has("torch")
    check_picking(plain)
    plain.install("vitripick[web]")  # an extra can be added to what is installed, without an index that knows vitripick
    assert plain.has("starlette")
    whole.install(f"{the_wheel}[train]")
    model = check_training(whole)
    # A model that one environment trained picks in the other, which has no torch.
    assert n_picks_with(plain, model) == n_picks_with(whole, model) > 0


def test_the_lowest_versions_pick_and_train(environment, the_wheel):
    lowest, pins = environment(OLDEST), LIVE / "lowest.txt"
    compile_pins = [LIVE / "tools/bin/uv", "pip", "compile", "--resolution", "lowest-direct", "--extra", "train"]
    assert runs(*compile_pins, "--python", OLDEST, ROOT / "pyproject.toml", "--output-file", pins)
    lowest.call("pip", "install", "--quiet", "--disable-pip-version-check", "-r", pins)
    lowest.call("pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", the_wheel)
    check_picking(lowest)
    n_picks_with(lowest, check_training(lowest))
