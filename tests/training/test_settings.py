import subprocess
import sys

import pytest

from vitripick.errors import InputError, UsageError
from vitripick.training import (
    About,
    Augmentation,
    SimulatedSet,
    TrainingSet,
    TrainSettings,
    default_settings,
    read_training_plan,
)
from vitripick.training.loop import learning_rate_at


def test_an_unknown_setting_is_refused_by_name():
    with pytest.raises(UsageError, match="lerning_rate"):
        default_settings(lerning_rate=1)


def test_a_value_out_of_range_is_refused_by_name():
    with pytest.raises(UsageError, match="steps"):
        default_settings(steps=0)


def test_the_paper_network_comes_with_the_papers_recipe():
    settings = default_settings("yolo")
    assert settings.optimiser == "adam"
    assert settings.augmentation.blur_sigma_px == 3
    assert settings.augmentation.box_blur_px == 7
    assert not settings.augmentation.rotate


def test_what_a_recipe_leaves_open_of_the_augmentation_stays_the_architectures_own(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text('[training]\narchitecture = "yolo"\n[training.augmentation]\nblur_sigma_px = 2.0\n')
    _, settings = read_training_plan(path)
    papers = default_settings("yolo").augmentation
    assert settings.augmentation == papers.model_copy(update={"blur_sigma_px": 2.0})


def test_a_recipe_names_sets_relative_to_its_data_root(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text(
        '[[sets]]\nmicrographs = "a/mics"\nlabels = "a/kept.star"\nrejected = "a/all.star"\nclasses = "1,3"\n'
        "[training]\nsteps = 7\n"
    )
    sets, settings = read_training_plan(path, data_root="/data")
    assert (sets[0].micrographs, sets[0].rejected) == ("/data/a/mics", "/data/a/all.star")
    assert sets[0].classes == (1, 3)
    assert settings.steps == 7


@pytest.mark.parametrize(
    ("text", "says"),
    [("steps = ", "TOML"), ("[trainign]\n", "trainign"), ("[[sets]]\nmicrographs = 'a'\n", "labels")],
)
def test_a_broken_recipe_says_what_is_wrong(tmp_path, text, says):
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        read_training_plan(path)


def test_the_learning_rate_warms_up_and_comes_down_again():
    settings = default_settings(steps=100, learning_rate=1.0, warmup_share=0.1)
    rates = [learning_rate_at(step, settings) for step in range(100)]
    assert rates[0] == 0.1
    assert max(rates) == rates[10] == 1.0
    assert rates == rates[:10] + sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.02


@pytest.mark.parametrize("kind", [About, Augmentation, SimulatedSet, TrainingSet, TrainSettings])
def test_every_field_has_a_description_that_a_help_text_can_print(kind):
    for name, field in kind.model_fields.items():
        assert field.description, name
        assert not set("`[]*") & set(field.description), name
        assert field.description.endswith("."), name


def test_settings_and_names_of_architectures_are_read_without_torch():
    code = (
        "import sys; from vitripick.settings.train import About, TrainingSet, TrainSettings; "
        "from vitripick.models import ARCHITECTURE_NAMES; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_architecture_that_is_not_there_has_no_settings():
    with pytest.raises(UsageError, match="no architecture is called 'resnet9000'"):
        default_settings("resnet9000")
