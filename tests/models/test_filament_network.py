import numpy as np
import pytest
import torch

from vitripick.errors import FormatError
from vitripick.geometry import Filament
from vitripick.images import Preparation
from vitripick.models.card import ModelCard
from vitripick.models.engines import load_on_engine
from vitripick.models.filament_bundle import FilamentModel, load_filament_model, save_filament_model
from vitripick.models.filament_card import open_filament_model
from vitripick.models.filament_network import FilamentNetwork, filament_loss, filament_targets
from vitripick.training.filaments import _turned, fit_filaments

LINE = Filament.through([(10, 20), (50, 100)], width=12)


def targets_of(filaments, shape=(128, 96)):
    return filament_targets(filaments, shape, stride=2, working_width_px=12)


def test_targets_mark_the_line_and_say_where_it_runs():
    target = targets_of([LINE])
    row, column = 30, 15  # (30.5, 60.5) in pixels, next to the middle of the line
    x = 2 * (column + target[1, row, column]) + 0.5
    y = 2 * (row + target[2, row, column]) + 0.5
    assert abs((x - 10) * 80 - (y - 20) * 40) / np.hypot(40, 80) < 0.05
    assert target[0, row, column] > 0.9
    assert np.arctan2(target[4, row, column], target[3, row, column]) / 2 == pytest.approx(np.arctan2(80, 40), abs=1e-3)
    assert target[0, 5, 40] < 1e-3


def test_direction_is_not_learned_where_two_lines_cross():
    other = Filament.through([(50, 20), (10, 100)], width=12)
    target = targets_of([LINE, other])
    assert target[6, 30, 15] == 1
    assert target[7, 30, 15] == 0
    assert target[7].sum() > 50


@pytest.mark.parametrize("seed", range(8))
def test_turned_targets_are_the_targets_of_the_turned_image(seed):
    shape = (64, 64)
    target = torch.from_numpy(targets_of([Filament.through([(10, 20), (40, 50)], width=12)], shape))[None]
    marks = np.zeros((1, 1, *shape), np.float32)
    marks[0, 0, 20, 10], marks[0, 0, 50, 40] = 1, 2
    image, turned, _ = _turned(torch.from_numpy(marks), target, None, torch.Generator().manual_seed(seed))
    ends = [np.argwhere(image[0, 0].numpy() == mark)[0][::-1] for mark in (1, 2)]
    expected = targets_of([Filament.through(ends, width=12)], shape)
    assert turned[0].numpy() == pytest.approx(expected, abs=1e-3)


def test_a_bundle_gives_the_same_maps_after_it_was_saved(tmp_path):
    network = FilamentNetwork(width=8).eval()
    card = ModelCard(
        name="x",
        architecture="filaments",
        options={"width": 8, "stride": 4, "working_width_px": 12.0},
        preparation=Preparation(),
    )
    save_filament_model(FilamentModel(network, card), tmp_path / "x.safetensors")
    image = np.random.default_rng(1).normal(size=(1, 1, 64, 96)).astype(np.float32)
    assert load_filament_model(tmp_path / "x.safetensors").network.run(image) == pytest.approx(network.run(image))


@pytest.mark.parametrize("read", [load_filament_model, open_filament_model])
def test_a_model_of_particles_is_refused(read):
    with pytest.raises(FormatError, match="finds particles, not filaments"):
        read("general")


def test_another_engine_gives_the_maps_of_torch(tmp_path, monkeypatch):
    monkeypatch.setenv("VITRIPICK_CACHE", str(tmp_path))
    torch.manual_seed(1)
    network = FilamentNetwork(width=8).eval()
    card = ModelCard(
        name="x",
        architecture="filaments",
        options={"width": 8, "stride": 4, "working_width_px": 12.0},
        preparation=Preparation(working_diameter_px=12.0),
    )
    save_filament_model(FilamentModel(network, card), tmp_path / "x.safetensors")
    model = load_on_engine(open_filament_model(tmp_path / "x.safetensors"), engine="onnxruntime", filaments=True)
    image = np.random.default_rng(1).normal(size=(1, 1, 64, 96)).astype(np.float32)
    assert model.engine.startswith("onnxruntime")
    assert model.network.run(image) == pytest.approx(network.run(image), abs=1e-3)


def test_training_lowers_the_loss():
    torch.manual_seed(1)
    network = FilamentNetwork(width=4, stride=2)
    image = torch.zeros(2, 1, 64, 64)
    image[:, :, 28:36] = -2
    line = Filament.through([(0, 31.5), (63, 31.5)], width=8)
    target = torch.from_numpy(targets_of([line], (64, 64)))[None].repeat(2, 1, 1, 1)
    before = sum(part.item() for part in filament_loss(network(image), target).values())

    def batches():
        while True:
            yield image, target, None

    fit_filaments(network, batches(), device=torch.device("cpu"), steps=40)
    network.eval()
    assert sum(part.item() for part in filament_loss(network(image), target).values()) < 0.6 * before
