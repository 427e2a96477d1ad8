import dataclasses
from pathlib import Path

import numpy as np
import pytest

from made import discs
from vitripick.errors import UsageError
from vitripick.formats import read_micrograph
from vitripick.geometry import Micrograph, estimated_size_px, match
from vitripick.models import TorchModel, load_model, open_model
from vitripick.picking import pick, pick_blobs, resolve_diameter_px
from vitripick.picking.one import look
from vitripick.settings.pick import PickSettings

SMEARED = Path("examples/betagal_full_size/micrographs/Falcon_2012_06_12-14_33_35_0.jpg")


def found_and_false(picks, labels):
    found = match(picks, labels, criterion="distance", distance_px=5)
    return int((found >= 0).sum()), int((found < 0).sum())


def test_particles_of_a_new_micrograph_are_found(model):
    image, labels = discs(7)
    found, false = found_and_false(pick(Micrograph(image, pixel_size=4.0), model), labels)
    assert found >= 14
    assert false <= 2


def test_a_shifted_micrograph_shifts_the_picks(model):
    image, _ = discs(7)
    # Multiples of the network's coarsest cell (16 working pixels = 20 px here), or borders would matter.
    shifted = np.roll(image, (20, 40), axis=(0, 1))
    a, b = (pick(Micrograph(i), model, diameter_px=20) for i in (image, shifted))
    inner = a.select((a.x < 140) & (a.y < 120))
    moved = dataclasses.replace(inner, x=inner.x + 40, y=inner.y + 20)
    found = match(moved, b, criterion="distance", distance_px=1.5)
    assert len(inner) >= 8
    assert (found >= 0).mean() > 0.9


def test_an_upscaled_micrograph_with_its_own_diameter_gives_the_same_particles(model):
    image, labels = discs(8)
    double = np.kron(image, np.ones((2, 2), np.float32))
    found, false = found_and_false(pick(Micrograph(double), model, diameter_px=40), labels.scaled(2))
    assert found >= 13
    assert false <= 3


def test_picks_come_in_falling_confidence_above_the_models_threshold(model):
    picks = pick(Micrograph(discs(7)[0]), model, diameter_px=20)
    assert (np.diff(picks.confidence) <= 0).all()
    assert picks.confidence.min() >= model.card.threshold
    everything = pick(Micrograph(discs(7)[0]), model, diameter_px=20, threshold=0)
    assert len(everything) >= len(picks)
    assert everything.confidence.min() >= 0.05


def test_no_two_picks_are_nearer_than_asked(model):
    picks = pick(Micrograph(discs(7)[0]), model, diameter_px=20, threshold=0, minimum_distance_diameters=1.2)
    distance = np.hypot(picks.x[:, None] - picks.x, picks.y[:, None] - picks.y)
    np.fill_diagonal(distance, np.inf)
    assert distance.min() >= 24


def test_a_constant_micrograph_has_no_picks(model):
    assert len(pick(Micrograph(np.full((100, 120), 3.0, np.float32)), model, diameter_px=20)) == 0


@pytest.mark.parametrize(("diameter_px", "why"), [(3, "fewer than the 6 pixels"), (500, "larger than the micrograph")])
def test_a_particle_that_cannot_be_seen_is_refused_with_what_may_be_wrong(model, diameter_px, why):
    with pytest.raises(UsageError, match=f"{why}.*not nm"):
        pick(Micrograph(discs(7)[0]), model, diameter_px=diameter_px)


def test_particles_that_the_border_cuts_are_left_out_unless_their_centre_is_enough(model):
    image, labels = discs(9)
    cut = Micrograph(image[:, int(labels.x.min()) :])
    centre = pick(cut, model, diameter_px=20, threshold=0, edge="centre")
    whole = pick(cut, model, diameter_px=20, threshold=0)
    box = pick(cut, model, diameter_px=20, threshold=0, box_size_px=70, edge="box")
    assert 0 <= centre.x.min() < 9.5 <= whole.x.min() < 34.5 <= box.x.min()
    assert len(box) < len(whole) < len(centre)
    assert box.box_size_px == 70


@pytest.mark.parametrize(("edge", "margin"), [("centre", 0), ("particle", 54), ("box", 54)])
def test_nothing_is_picked_where_a_smeared_border_holds_no_image(edge, margin):
    """A real one: the corner where the first 71 rows and 53 columns are streaks. Some of them look like particles."""
    corner = read_micrograph(SMEARED).image[:1300, :1300]
    seen = look(Micrograph(corner), load_model("general"), diameter_px=108, threshold=0.3, edge=edge)
    assert len(seen.picks) > 60
    assert seen.picks.y.min() > 65 + margin
    assert seen.picks.x.min() > 48 + margin
    assert (seen.junk[:3] == seen.junk[3]).all()
    assert (seen.junk[:, :2] == seen.junk[:, 2:3]).all()


def test_the_box_size_can_differ_from_the_diameter(model):
    picks = pick(Micrograph(discs(7)[0]), model, diameter_px=20, box_size_px=33)
    assert set(picks.width) == {33}
    assert 14 < np.median(picks.estimated_width) < 28


def test_picks_can_be_filtered_by_the_size_the_network_saw(model):
    micrograph = Micrograph(discs(7)[0])
    everything = pick(micrograph, model, diameter_px=20, threshold=0)
    middle = float(np.median(estimated_size_px(everything)))
    small = pick(micrograph, model, diameter_px=20, threshold=0, maximum_size_px=middle)
    large = pick(micrograph, model, diameter_px=20, threshold=0, minimum_size_px=middle)
    assert estimated_size_px(small).max() <= middle <= estimated_size_px(large).min()
    assert len(small) < len(everything)


def test_patches_are_for_networks_that_see_the_whole_micrograph(model):
    with pytest.raises(UsageError, match="leave patches= out"):
        pick(Micrograph(discs(7)[0]), model, diameter_px=20, patches=(2, 2))


def test_angstroms_become_pixels_through_the_pixel_size(model):
    micrograph = Micrograph(np.zeros((4, 4), np.float32), pixel_size=2.0)
    assert resolve_diameter_px(micrograph, model, PickSettings(diameter_angstrom=90)) == 45
    # What the model was trained on: 20 px at 4 Å.
    assert resolve_diameter_px(micrograph, model, PickSettings()) == 40


def test_angstroms_without_a_pixel_size_say_what_to_do(model):
    with pytest.raises(UsageError, match="pixel_size="):
        pick(Micrograph(np.zeros((4, 4), np.float32)), model, diameter_angstrom=90)


def test_a_model_of_several_particles_asks_for_the_diameter(model):
    several = TorchModel(model.detector, model.card.model_copy(update={"diameter_px": None, "diameter_angstrom": None}))
    with pytest.raises(UsageError, match="diameter_angstrom= or diameter_px="):
        pick(Micrograph(np.ones((4, 4), np.float32)), several)


def test_the_blob_baseline_finds_plain_dark_discs():
    image, labels = discs(5)
    picks = pick_blobs(Micrograph(image), diameter_px=20)
    found, _ = found_and_false(picks.select(slice(0, 15)), labels)
    assert found >= 12


def test_the_released_model_loads_from_python_as_the_docs_show():
    assert load_model("general").card.architecture == "heatmap"


def test_a_model_that_is_not_loaded_says_how_to_load_it():
    with pytest.raises(UsageError, match=r"general: this model is not loaded; use vitripick\.load_model"):
        pick(Micrograph(np.zeros((64, 64), np.float32)), open_model("general"), diameter_px=20)
