import json

import pytest

from vitripick.formats import read_picks, write_picks
from vitripick.geometry import Boxes


@pytest.fixture
def labelled(ring_micrograph, tmp_path):
    centres = [(x, y) for y in (80, 200, 320) for x in (80, 200, 320)]
    labels = Boxes.at([x for x, _ in centres], [y for _, y in centres], size_px=60)
    write_picks(labels, tmp_path / "labels" / "rings.box")
    return ring_micrograph.parent, tmp_path / "labels"


SHORT = ("--steps", 2, "--batch-size", 2, "--device", "cpu")


def test_a_trained_model_picks_without_being_told_a_diameter(vitripick, labelled, ring_micrograph, tmp_path):
    micrographs, labels = labelled
    out = tmp_path / "run"
    outcome = vitripick("train", "--micrographs", micrographs, "--labels", labels, "--out", out, *SHORT)
    assert outcome.code == 0
    assert "model.safetensors" in outcome.out
    assert "validation F1" in outcome.err
    assert (out / "model.fp32.onnx").is_file()  # with which it picks where torch is not installed
    picked = vitripick(
        "pick", ring_micrograph, "--model", out / "model.safetensors", "--out", tmp_path / "picks", "--json"
    )
    assert picked.code == 0
    assert json.loads((tmp_path / "picks" / "run.json").read_text())["model"] == "run"


def test_a_recipe_trains_and_options_go_before_it(vitripick, labelled, tmp_path):
    recipe = tmp_path / "r.toml"
    recipe.write_text('[[sets]]\nmicrographs = "mics"\nlabels = "labels"\n[training]\nsteps = 99\nseed = 5\n')
    outcome = vitripick("train", "--recipe", recipe, "--out", tmp_path / "run", *SHORT, "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out)["curves"][-1]["step"] == 2
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["training"]["seed"] == 5


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--micrographs", "MICS"], 2, "--labels"),
        ([], 2, "--micrographs"),
        (["--micrographs", "MICS", "--labels", "nowhere"], 3, "nowhere"),
        (["--micrographs", "MICS", "--labels", "LABELS", "--architecture", "resnet"], 2, "heatmap"),
        (["--micrographs", "MICS", "--labels", "LABELS", "--steps", "0"], 2, "steps"),
        (["--micrographs", "MICS", "--labels", "LABELS", "--input-size", "512"], 2, "--input-size"),
        (["--micrographs", "MICS", "--labels", "LABELS", "--leave-out", "rings"], 2, "left out"),
        (["--recipe", "two.toml", "--leave-out", "rings"], 2, "each set in the --recipe"),
        (["--recipe", "two.toml", "--validate-on", "rings"], 2, "each set in the --recipe"),
        (["--recipe", "two.toml", "--areas", "areas"], 2, "each set in the --recipe"),
        (["--recipe", "two.toml", "--rejected", "all.star"], 2, "each set in the --recipe"),
        (["--recipe", "two.toml", "--classes", "1,3"], 2, "each set in the --recipe"),
        (["--micrographs", "MICS", "--labels", "LABELS", "--classes", "1,two"], 2, "such as 1,3,5"),
        (["--micrographs", "MICS", "--labels", "LABELS", "--classes", "1,3"], 3, "leave out --classes"),
        (["--micrographs", "MICS", "--labels", "LABELS", "--rejected", "nowhere"], 3, "nowhere"),
        (["--recipe", "two.toml", "--box-size-px", "20"], 2, "for each set"),
        (["--micrographs", "MICS", "--labels", "LABELS", "--areas", "nowhere"], 3, "nowhere"),
        (["--micrographs", "MICS", "--labels", "LABELS", "--train-last", "2"], 2, "--from"),
        (["--micrographs", "MICS", "--labels", "LABELS", "--patches", "2x2"], 2, "leave --patches out"),
        (["--micrographs", "MICS", "--labels", "LABELS", "--unlabelled", "nothing"], 2, "background"),
        (
            ["--micrographs", "MICS", "--labels", "LABELS", "--architecture", "yolo", "--input-size", "500"],
            2,
            "multiple of 32",
        ),
        (["--micrographs", "MICS", "--labels", "LABELS", "--from", "second-light"], 3, "general"),
        (
            ["--micrographs", "MICS", "--labels", "LABELS", "--from", "general", "--architecture", "yolo"],
            2,
            "cannot go on as yolo",
        ),
    ],
)
def test_a_wrong_use_says_what_to_do(vitripick, labelled, tmp_path, arguments, code, says):
    places = {"MICS": str(labelled[0]), "LABELS": str(labelled[1])}
    outcome = vitripick("train", *(places.get(a, a) for a in arguments), "--out", tmp_path / "run")
    assert outcome.code == code
    assert says in outcome.err


def test_a_released_model_goes_on_and_says_how_good_it_was_before(vitripick, labelled, tmp_path):
    micrographs, labels = labelled
    outcome = vitripick(
        "train", "--micrographs", micrographs, "--labels", labels, "--out", tmp_path / "run", *SHORT,
        "--from", "general", "--train-last", 3, "--warm-restarts", 1,
    )  # fmt: skip
    assert outcome.code == 0
    assert "the model it started from had F1" in outcome.out
    settings = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert settings["started_from"]["name"] == "general"
    assert settings["started_from"]["trainable"] == 3
    assert settings["training"]["learning_rate"] == 5e-4


def test_labels_in_another_frame_stop_training_unless_told_to_go_on(vitripick, tmp_path):
    stem = "May08_03.05.02"
    labels = read_picks(f"examples/apoferritin/labels/{stem}.csv").of(shape=(1200, 1240))
    write_picks(labels.flipped(1200), tmp_path / "labels" / f"{stem}.csv")
    call = ("train", "--micrographs", f"examples/apoferritin/micrographs/{stem}.mrc", "--labels", tmp_path / "labels")
    outcome = vitripick(*call, "--out", tmp_path / "run", *SHORT)
    assert outcome.code == 2
    assert "--flip-y" in outcome.err
    assert "--keep-labels" in outcome.err
    assert not (tmp_path / "run").exists()
    assert vitripick(*call, "--out", tmp_path / "run", *SHORT, "--keep-labels").code == 0
