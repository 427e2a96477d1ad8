"""Read the files of `tests/data/damaged`, each by the reader that a user meets it with: our error, in time."""

import json
import shutil
from pathlib import Path

import pytest

from vitripick.errors import FormatError, InputError, MicrographError
from vitripick.formats import read_micrograph
from vitripick.simulation import read_structure
from vitripick.training.plan import read_training_plan
from vitripick.web.sheet import read_log
from vitripick.web.sheet_files import read_areas_file

DAMAGED = Path(__file__).parents[1] / "data" / "damaged"


@pytest.mark.parametrize("name", ["ome_circle.tif", "imagej_circle.tif"])
def test_a_tiff_whose_pages_lead_in_a_circle_is_refused(name, capfd):
    with pytest.raises(MicrographError, match="in a circle"):
        read_micrograph(DAMAGED / name)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty.cif", "not a single atom"),
        ("question.cif", "atom 1 has no place"),
        ("element.cif", "atom 1 is Es"),
        ("no-chain.pdb", "assembly 1 cannot be built"),
        ("assembly-not-utf8.pdb", "cannot be read"),
        ("residue-not-utf8.pdb", "cannot be read"),
        ("cut.npz", "cut short"),
        ("compression.npz", "compression"),
        ("no-kind.npz", "kind should be one of"),
        ("apix-zero.npz", "apix should be above zero"),
        ("xyz-text.npz", "xyz should hold finite numbers"),
        ("no-points.npz", "xyz has the shape"),
        ("points-nan.npz", r"points-nan\.npz"),
        ("mass-not-positive.npz", r"mass-not-positive\.npz"),
    ],
)
def test_a_damaged_structure_is_refused_with_the_reason(name, reason):
    pytest.importorskip("gemmi")
    with pytest.raises(InputError, match=reason):
        read_structure(DAMAGED / name)


def test_an_empty_structure_file_is_no_ctrl_c(vitripick, tmp_path):
    (tmp_path / "a.npz").write_bytes(b"")
    run = vitripick("simulate", "--out", tmp_path / "o", "--structure", tmp_path / "a.npz", "--micrographs", "1")
    assert run.code == 3
    assert "empty" in run.err


@pytest.mark.parametrize("path", sorted((DAMAGED / "recipes").iterdir()), ids=lambda path: path.stem)
def test_a_slip_in_a_training_plan_names_the_file(path):
    with pytest.raises(InputError, match=path.name) as caught:
        read_training_plan(path)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("path", sorted((DAMAGED / "history").glob("*.jsonl")), ids=lambda path: path.stem)
def test_a_damaged_history_of_edits_is_refused(path, tmp_path):
    copy = Path(shutil.copy(path, tmp_path))
    with pytest.raises(FormatError, match="history of edits cannot be read"):
        read_log(copy)


@pytest.mark.parametrize("path", sorted((DAMAGED / "history").glob("areas-*.json")), ids=lambda path: path.stem)
def test_damaged_areas_are_refused(path):
    with pytest.raises(FormatError, match="these areas cannot be read"):
        read_areas_file(path)


def test_a_recipe_with_a_number_of_thousands_of_digits_is_refused(vitripick, tmp_path):
    run = vitripick("simulate", "--recipe", DAMAGED / "long.toml", "--out", tmp_path)
    assert run.code == 3
    assert "digits" in run.err


@pytest.mark.parametrize("name", ["deep", "long", "huge"])
def test_json_that_is_deep_or_long_is_refused_as_picks(vitripick, tmp_path, name):
    run = vitripick("convert", DAMAGED / f"{name}_info.json", tmp_path / "o.csv", "--from", "eman2")
    assert run.code == 3
    assert f"{name}_info.json" in run.err


CARDS = {
    "threshold": {"threshold": 1.5},
    "not a number": {"threshold": float("nan")},
    "working_diameter_px": {"preparation": {"working_diameter_px": 0}},
    "clip": {"preparation": {"clip": 0}},
    "calibration": {"calibration": [0, 0]},
    "diameter_px": {"diameter_px": -5.0},
    "width": {"options": {"width": "x"}},
    "no option": {"options": {"surprise": 1}},
    "do not fit": {"options": {"width": 64}},
}


@pytest.mark.parametrize("reason", CARDS)
def test_a_model_card_that_makes_no_sense_is_refused(tmp_path, reason):
    from safetensors.numpy import load_file, save_file

    from vitripick.models import build_detector, load_weights, read_model_card, save_model
    from vitripick.models.bundle import TorchModel
    from vitripick.models.card import KEY, ModelCard

    path = tmp_path / "a.safetensors"
    options = {"width": 4, "stride": 4, "working_diameter_px": 24.0, "junk": False}
    card = ModelCard(name="a", architecture="heatmap", options=options, preparation={})
    save_model(TorchModel(build_detector("heatmap", options), card), path)
    said = json.loads(read_model_card(path).model_dump_json())
    for key, value in CARDS[reason].items():
        said[key] = {**said[key], **value} if isinstance(value, dict) else value
    save_file(load_file(path), path, metadata={KEY: json.dumps(said)})
    with pytest.raises(FormatError, match=reason):
        load_weights(path)
