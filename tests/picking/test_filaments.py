"""The way from a micrograph to filaments in full-size pixels, with a network that draws given lines."""

import numpy as np
import pytest

from vitripick.errors import UsageError
from vitripick.evaluation.filaments import evaluate_filaments
from vitripick.geometry import Filament, Filaments, Micrograph
from vitripick.images import Preparation
from vitripick.models import run
from vitripick.models.card import ModelCard
from vitripick.models.detections import Decoding
from vitripick.models.filament_network import filament_targets
from vitripick.picking import filaments as module
from vitripick.picking.filaments import trace_filaments

# Down to the right on a micrograph wider than high.
TRUE = Filament.through([(150, 80), (420, 260), (640, 520)], width=48)
SHAPE = (600, 900)


class Drawn:
    """Gives the maps of one filament, whichever part of the image it sees: the image holds columns and rows."""

    decoding = Decoding(kind="filaments", stride=4, pad_to=16, margin=16, numbers={"working_width_px": 12.0})

    def __init__(self, filament):
        self.filament = filament

    def run(self, images):
        (top, left), shape = np.rint(images[0, 0, 0, :2]).astype(int), images.shape[2:]
        moved = Filament.through(self.filament.points - (left, top), width=12.0)
        target = filament_targets([moved], shape, stride=4, working_width_px=12.0)
        heat = np.clip(target[0], 1e-4, 1 - 1e-4)
        return np.concatenate([np.log(heat / (1 - heat))[None], target[1:6]])[None].astype(np.float32)


class Model:
    card = ModelCard(name="drawn", architecture="filaments", preparation=Preparation(working_diameter_px=12.0))

    def __init__(self, filament):
        self.network = Drawn(filament)


def traced(monkeypatch, *, tile_px=1536):
    """Trace the filament; prepared pixels say where they are, so that a tile knows its place."""

    def prepared(micrograph, preparation, *, diameter_px, invert):
        from vitripick.images.prepare import Prepared

        factor = preparation.working_diameter_px / diameter_px
        rows, columns = (round(n * factor) for n in micrograph.shape)
        image = np.zeros((rows, columns), np.float32)
        image[:, ::2] = np.arange(rows)[:, None]
        image[:, 1::2] = np.arange(columns)[None, 0::2][:, : image[:, 1::2].shape[1]]
        return Prepared(image, micrograph.shape)

    monkeypatch.setattr(module, "prepare", prepared)
    monkeypatch.setattr(run._raw_map, "__defaults__", (tile_px,))
    micrograph = Micrograph(np.zeros(SHAPE, np.float32), name="a.mrc", pixel_size=2.0)
    return trace_filaments(micrograph, Model(TRUE.scaled(0.25)), width_angstrom=96).filaments


@pytest.mark.parametrize("tile_px", [1536, 112])
def test_filaments_come_back_in_full_size_pixels(monkeypatch, tile_px):
    found = traced(monkeypatch, tile_px=tile_px)
    result = evaluate_filaments([found], [Filaments([TRUE])])
    assert len(found) == 1
    assert result.recall > 0.97
    assert result.offset < 0.5
    assert found.filaments[0].width == pytest.approx(48, rel=0.02)
    assert found.micrograph == "a.mrc"


def test_the_width_has_to_be_known():
    micrograph = Micrograph(np.ones(SHAPE, np.float32), name="a.mrc")
    with pytest.raises(UsageError, match="width_angstrom"):
        trace_filaments(micrograph, Model(TRUE))
    with pytest.raises(UsageError, match="needs the pixel size"):
        trace_filaments(micrograph, Model(TRUE), width_angstrom=100)


def test_a_constant_micrograph_has_no_filaments():
    assert len(trace_filaments(Micrograph(np.ones(SHAPE, np.float32)), Model(TRUE), width_px=48).filaments) == 0
