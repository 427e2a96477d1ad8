import numpy as np
import pytest

from vitripick.errors import UsageError
from vitripick.geometry import Filament, Filaments, Micrograph
from vitripick.images import Preparation
from vitripick.models.card import ModelCard
from vitripick.models.filament_bundle import FilamentModel
from vitripick.models.filament_network import FilamentNetwork
from vitripick.training.filament_labels import _batches, _prepared, train_filaments

ROD = Filament.through([(40, 60), (350, 240)], width=24)
PREPARATION = Preparation(working_diameter_px=12.0, background_diameters=3.0)


def micrograph():
    """Return noise with a dark rod, wider than high."""
    image = np.random.default_rng(1).normal(100, 10, (300, 420)).astype(np.float32)
    at, _ = ROD.at(np.linspace(0, ROD.length, 800))
    y, x = np.mgrid[:300, :420]
    for px, py in at[::8]:
        image[(x - px) ** 2 + (y - py) ** 2 < 12**2] -= 4
    return Micrograph(image, name="a.mrc", pixel_size=5.0)


def test_targets_lie_on_the_dark_line():
    one = _prepared(micrograph(), Filaments([ROD]), 24.0, PREPARATION, FilamentNetwork(width=4))
    cells = one.image[2::4, 2::4]
    on = one.targets[0] > 0.9
    assert cells[on].mean() < cells[(one.targets[0] < 0.1) & (one.weight > 0)].mean() - 0.5


def test_crops_have_the_same_place_in_image_and_targets():
    one = _prepared(micrograph(), Filaments([ROD]), 24.0, PREPARATION, FilamentNetwork(width=4))
    images, targets, weights = next(_batches([one], 4, seed=2))
    cells = images[:, 0, 2::4, 2::4]
    on, off = targets[:, 0] > 0.9, (targets[:, 0] < 0.1) & (weights[:, 0] > 0)
    assert cells[on].mean() < cells[off].mean() - 0.5


def test_the_model_knows_the_width_of_its_filament():
    card = ModelCard(
        name="x",
        architecture="filaments",
        options={"width": 4, "stride": 4, "working_width_px": 12.0},
        preparation=PREPARATION,
    )
    start = FilamentModel(FilamentNetwork(width=4), card)
    model = train_filaments([(micrograph(), Filaments([ROD]))], start=start, steps=3)
    assert model.card.diameter_px == 24
    assert model.card.diameter_angstrom == 120
    assert model.card.training["filaments"] == 1


def test_labels_without_a_filament_or_a_width_are_refused():
    with pytest.raises(UsageError, match="no labelled filament"):
        train_filaments([(micrograph(), Filaments())])
    with pytest.raises(UsageError, match="width_px"):
        train_filaments([(micrograph(), Filaments([Filament.through(ROD.points)]))])
