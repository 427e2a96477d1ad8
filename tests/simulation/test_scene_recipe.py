"""Scene recipes by name and from files."""

import numpy as np
import pytest

from vitripick.errors import InputError, UsageError
from vitripick.simulation import load_scene_recipe, scene_recipe_names
from vitripick.simulation.scene_recipe import draw


def test_the_promised_recipes_are_there_and_say_what_they_are():
    assert set(scene_recipe_names()) == {"clean", "paper", "general", "contaminated", "empty", "negative_stain"}
    assert all(load_scene_recipe(name).description for name in scene_recipe_names())


def test_the_paper_recipe_has_the_papers_numbers():
    recipe = load_scene_recipe("paper")
    assert recipe.particles.count == 250
    assert (recipe.noise.structural_sd, recipe.noise.shot_sd) == (88, 51)
    assert (recipe.optics.defocus_angstrom, recipe.optics.b_factor) == (25000, 200)
    assert (recipe.optics.voltages_kv, recipe.optics.amplitude_contrast) == ((300,), 0.1)


def test_changes_go_on_top():
    changes = ["particles.count=7", "pixel_size=[1.5, 2]", "particles.box=constant"]
    recipe = load_scene_recipe("general", changes=changes)
    assert recipe.particles.count == 7
    assert recipe.pixel_size == (1.5, 2)
    assert recipe.particles.box == "constant"
    assert recipe.contamination == load_scene_recipe("general").contamination


def test_a_file_starts_from_another_recipe(tmp_path):
    (tmp_path / "mine.toml").write_text('base = "general"\n[optics]\ndefocus_angstrom = 9000\n')
    (tmp_path / "yours.toml").write_text('base = "mine.toml"\nshape = [64, 80]\n')
    recipe = load_scene_recipe(tmp_path / "yours.toml")
    assert recipe.optics.defocus_angstrom == 9000
    assert recipe.shape == (64, 80)
    assert recipe.optics.voltages_kv == load_scene_recipe("general").optics.voltages_kv


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[particles]\ncuont = 5\n", "particles.cuont: there is no such key"),
        ("pixel_size = [3, 1]\n", "pixel_size: .* from its smaller number to its larger"),
        ("[optics]\nb_factor = 'much'\n", "optics.b_factor"),
        ("pixel_size = 0\n", "pixel_size: .*larger than 0"),
        ("[contamination]\nbroken = -1\n", "contamination.broken: .*cannot be negative"),
        ("shape = [5, 5]\n", "shape"),
        ("this is not a toml", "not a TOML file"),
        ('base = "loop.toml"\n', "starts from itself"),
    ],
)
def test_a_bad_recipe_file_says_what_is_wrong(tmp_path, text, complaint):
    (tmp_path / "loop.toml").write_text(text)
    with pytest.raises(InputError, match=complaint):
        load_scene_recipe(str(tmp_path / "loop.toml"))


def test_a_recipe_that_is_not_there_names_those_that_are(tmp_path):
    with pytest.raises(UsageError, match="there is no scene recipe 'generall'; give one of clean, contaminated"):
        load_scene_recipe("generall")
    with pytest.raises(InputError, match=r"none\.toml: cannot read"):
        load_scene_recipe(tmp_path / "none.toml")


@pytest.mark.parametrize("change", ["particles.count", "=3", "description.x=1"])
def test_a_change_that_makes_no_sense_is_a_usage_error(change):
    with pytest.raises(UsageError, match="changes="):
        load_scene_recipe("clean", changes=[change])


def test_an_unknown_key_on_the_command_line_is_a_usage_error():
    with pytest.raises(UsageError, match=r"particles\.n: there is no such key"):
        load_scene_recipe("clean", changes=["particles.n=3"])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("pixel_size=nan", "pixel_size: give a number"),
        ("particles.coverage=[0.1, inf]", "particles.coverage: give a number"),
        ("particles.tilt_degrees=nan", "particles.tilt_degrees: give a number"),
        ("particles.box_margin=inf", "particles.box_margin: give a number above 0"),
        ("optics.voltages_kv=[]", "optics.voltages_kv: these are too few values"),
        ("optics.voltages_kv=[300, 0]", "optics.voltages_kv.1: give a number above 0"),
        ("optics.spherical_aberrations_mm=[]", "optics.spherical_aberrations_mm: these are too few values"),
        ("optics.amplitude_contrast=2", "optics.amplitude_contrast: cannot be larger than 0.99"),
        ("exposure.mtf_nyquist=5", "exposure.mtf_nyquist: cannot be larger than 1"),
        ("exposure.noise_nyquist=[0.5, 5]", "exposure.noise_nyquist: cannot be larger than 1"),
        ("exposure.hot_pixels=0.5", "exposure.hot_pixels: cannot be larger than 0.01"),
        ("exposure.jpeg_quality=500", "exposure.jpeg_quality: cannot be larger than 100"),
    ],
)
def test_a_number_nothing_can_be_drawn_from_is_a_usage_error_of_one_sentence(change, complaint):
    with pytest.raises(UsageError) as raised:
        load_scene_recipe("general", changes=[change])
    assert str(raised.value) == f"scene recipe general: {complaint} (docs/simulation.md lists the keys)."


def test_a_number_is_drawn_from_its_range():
    rng = np.random.default_rng(1)
    even = [draw(rng, (1.0, 100.0)) for _ in range(500)]
    log = [draw(rng, (1.0, 100.0), log=True) for _ in range(500)]
    assert 1 <= min(even) < max(even) <= 100
    assert np.median(log) == pytest.approx(10, rel=0.2)
    assert draw(rng, 5.0) == 5.0
