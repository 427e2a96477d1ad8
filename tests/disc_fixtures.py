"""Fixtures: a model that finds dark discs of 20 px, trained here in seconds, and folders of such discs."""

import numpy as np
import pytest

from made import discs
from vitripick.formats import write_mrc, write_picks
from vitripick.models import TorchModel
from vitripick.models.engines import EngineModel
from vitripick.runs import step
from vitripick.training import TrainingSet, default_settings, train


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("disc_model")
    for seed in range(100, 104):
        image, labels = discs(seed)
        write_mrc(folder / "m" / f"d{seed}.mrc", image, pixel_size=4.0)
        write_picks(labels, folder / "l" / f"d{seed}.csv")
    settings = default_settings(
        options={"width": 16}, steps=60, steps_per_epoch=20, batch_size=8, crop_px=96, working_diameter_px=16
    )
    entry = TrainingSet(micrographs=str(folder / "m"), labels=str(folder / "l"))
    return train(entry, folder / "run", settings=settings).model


@pytest.fixture
def micrographs(tmp_path):
    """Three good ones in two folders, two of them of one name."""
    for place, seed in (("a/one", 1), ("a/two", 2), ("b/one", 3)):
        write_mrc(tmp_path / "mics" / f"{place}.mrc", discs(seed)[0], pixel_size=4.0)
    return tmp_path / "mics"


@pytest.fixture
def many_micrographs(tmp_path):
    """Twelve small ones."""
    for seed in range(12):
        write_mrc(tmp_path / "many" / f"m{seed}.mrc", discs(seed)[0], pixel_size=4.0)
    return tmp_path / "many"


class SaysJunk:
    """A network that takes the left quarter of every image for junk, and else says what another one says."""

    def __init__(self, network):
        self._network = network
        self.decoding = network.decoding.model_copy(update={"junk": True})
        self.n_runs = 0

    def run(self, images):
        self.n_runs += 1
        raw = self._network.run(images)
        junk = np.full((len(raw), 1, *raw.shape[2:]), -6.0, np.float32)
        # Of the micrograph, not of what it is padded to: 192 px at a diameter of 20 are 154 at the working one of 16.
        junk[:, :, :, : round(154 / 4 / self.decoding.stride)] = 6.0
        return np.concatenate([raw, junk], axis=1)


@pytest.fixture
def says_junk(model):
    """EngineModel to look, and its network, which counts how often it was asked."""
    network = SaysJunk(model.network)
    return EngineModel(network, model.card, model.sha256, None, "test"), network


@pytest.fixture
def junk_model(model, says_junk, monkeypatch):
    """A model to pick with that says what is junk, until `monkeypatch.undo()`."""
    monkeypatch.setattr(step, "load_on_engine", lambda *arguments, **options: says_junk[0])
    card = model.card.model_copy(update={"options": {**model.card.options, "junk": True}})
    return TorchModel(model.detector, card, "says junk")
