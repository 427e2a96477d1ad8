import json
import subprocess
import sys


def test_the_layers_of_an_architecture_are_printed_as_a_table(vitripick):
    outcome = vitripick("models", "--describe", "yolo")
    assert outcome.code == 0
    assert outcome.out.count("leaky ReLU") == 22
    assert "50,532,838 parameters" in outcome.out
    assert "layer21" in outcome.out


def test_the_same_table_for_a_script(vitripick):
    table = json.loads(vitripick("models", "--describe", "heatmap", "--json").out)
    assert table["n_parameters"] == 1_165_636
    assert table["layers"][0]["output"] == [32, 96, 96]


def test_an_unknown_architecture_is_named_with_those_there_are(vitripick):
    outcome = vitripick("models", "--describe", "resnet9000")
    assert outcome.code == 2
    assert "inception_resnet" in outcome.err


def test_layers_are_printed_where_nothing_else_was_imported_before():
    command = [sys.executable, "-m", "vitripick.cli.app", "models", "--describe", "yolo"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "layer21" in done.stdout


def test_the_model_of_filaments_is_listed_and_refused_where_particles_are_to_be_found(vitripick, tmp_path):
    assert "filaments (for --filaments)" in vitripick("models").out
    command = ["pick", "examples/betagal/micrographs", "--model", "filaments", "--diameter-px", "27"]
    outcome = vitripick(*command, "--out", str(tmp_path / "out"))
    assert outcome.code != 0
    assert "traces filaments and finds no particles" in outcome.err
