"""Test whether picking works on this machine: the default model must find rings in noise that are made here."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from vitripick.geometry import Boxes, Micrograph, match
from vitripick.models import DEFAULT_MODEL, open_model
from vitripick.models.engines import load_on_engine
from vitripick.picking.one import pick

_DIAMETER_PX = 64.0


def self_test() -> dict[str, Any]:
    """Pick a made-up micrograph of 36 ring-shaped particles with the default model.

    Returns
    -------
    dict
        `model`, `engine`, `n_particles`, `n_found` (within a quarter of the diameter), `n_false`, `seconds` (for the
        first micrograph, after loading).
    """
    micrograph, labels = _rings()
    model = open_model(DEFAULT_MODEL)
    ready = load_on_engine(model)
    started = time.perf_counter()
    picks = pick(micrograph, ready, diameter_px=_DIAMETER_PX)
    seconds = time.perf_counter() - started
    found = match(picks, labels, criterion="distance", distance_px=_DIAMETER_PX / 4)
    return {
        "model": model.card.name,
        "engine": ready.engine,
        "n_particles": len(labels),
        "n_found": int((found >= 0).sum()),
        "n_false": int((found < 0).sum()),
        "seconds": round(seconds, 3),
    }


def _rings() -> tuple[Micrograph, Boxes]:
    """Return dark rings on a jittered grid, under white noise three times as strong as the rings."""
    rng = np.random.default_rng(0)
    side = 768
    grid = np.arange(6) * 120.0 + 84.0
    x, y = (axis.ravel() + rng.uniform(-15, 15, 36) for axis in np.meshgrid(grid, grid))
    rows, columns = np.mgrid[:side, :side]
    image = rng.standard_normal((side, side)) * 3.0
    for cx, cy in zip(x, y, strict=True):
        radius = np.hypot(columns - cx, rows - cy)
        image -= np.exp(-0.5 * ((radius - 0.38 * _DIAMETER_PX) / (0.07 * _DIAMETER_PX)) ** 2)
    labels = Boxes.at(x, y, size_px=_DIAMETER_PX, shape=(side, side))
    return Micrograph(image.astype(np.float32), name="self-test"), labels
