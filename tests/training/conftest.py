"""Fixtures: a small labelled set of dark discs of 20 px in noise, as MRC and CSV files."""

import pytest

from made import discs
from vitripick.formats import write_mrc, write_picks
from vitripick.training import TrainingSet, default_settings, loop


def write_set(folder, n=4):
    for seed in range(n):
        image, labels = discs(seed, n=14)
        write_mrc(folder / "micrographs" / f"disc{seed}.mrc", image, pixel_size=4.0)
        write_picks(labels, folder / "labels" / f"disc{seed}.csv")
    return TrainingSet(micrographs=str(folder / "micrographs"), labels=str(folder / "labels"))


@pytest.fixture(autouse=True)
def _a_checkpoint_at_every_validation(monkeypatch):
    monkeypatch.setattr(loop, "_SECONDS_BETWEEN_CHECKPOINTS", 0.0)


@pytest.fixture
def labelled_set(tmp_path):
    return write_set(tmp_path)


@pytest.fixture(scope="session")
def session_set(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("discs"))


@pytest.fixture
def short():
    return default_settings(
        options={"width": 16}, steps=6, steps_per_epoch=3, batch_size=4, crop_px=64, working_diameter_px=16
    )
