"""A small labelled set, made here: dark discs of 20 px in noise, in PNG-free MRC and CSV files."""

import numpy as np
import pytest

from vitripick.formats import write_mrc, write_picks
from vitripick.geometry import Boxes
from vitripick.training import TrainingSet, default_settings, loop

DIAMETER = 20.0


def make_micrograph(seed, shape=(160, 192), n=14):
    rng = np.random.default_rng(seed)
    grid_y, grid_x = np.mgrid[:3, :5] * 36.0 + 26.0
    x = (grid_x + rng.uniform(-5, 5, grid_x.shape)).ravel()[:n]
    y = (grid_y + rng.uniform(-5, 5, grid_y.shape)).ravel()[:n]
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    image = rng.standard_normal(shape)
    for cx, cy in zip(x, y, strict=True):
        image -= 1.6 * (np.hypot(columns - cx, rows - cy) < DIAMETER / 2)
    return image.astype(np.float32), Boxes.at(x, y, size_px=DIAMETER)


def write_set(folder, n=4):
    for seed in range(n):
        image, labels = make_micrograph(seed)
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
