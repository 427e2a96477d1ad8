"""Particles cut for classes: where a STAR gives the defocus, their phases are right."""

import numpy as np
import pytest
from scipy import fft

from vitripick.formats import OpticsGroup, write_mrc
from vitripick.formats.star.defocus import Defocus
from vitripick.geometry import Boxes
from vitripick.runs.folder import RunFolder
from vitripick.runs.particle_images import ParticleCutter
from vitripick.runs.record import Record
from vitripick.simulation.optics import Optics, contrast_transfer

PIXEL_SIZE, SIDE, EACH = 3.0, 560, 80
OPTICS = OpticsGroup(voltage_kv=300.0, spherical_aberration_mm=2.7, amplitude_contrast=0.1, pixel_size=PIXEL_SIZE)


def shape(size):
    """Return bars of 120 Å that no turn and no mirror brings back."""
    rows, columns = np.indices((size, size)) - size // 2
    long = (np.abs(columns) < 18) & (np.abs(rows + 8) < 3)
    return (long | ((np.abs(columns - 12) < 3) & (np.abs(rows - 4) < 14))).astype(float)


@pytest.fixture(scope="module")
def micrograph(tmp_path_factory):
    """A micrograph of 36 dark shapes, far out of focus and astigmatic, with its record and picks."""
    path = tmp_path_factory.mktemp("ctf") / "a.mrc"
    truth, places = np.zeros((SIDE, SIDE)), np.arange(6) * EACH + 80
    for x in places:
        for y in places:
            truth[y - 32 : y + 32, x - 32 : x + 32] += shape(64)
    optics = Optics(defocus_angstrom=38000, astigmatism_angstrom=3000, astigmatism_degrees=30, amplitude_contrast=0.1)
    seen = fft.irfft2(fft.rfft2(truth) * contrast_transfer((SIDE, SIDE), PIXEL_SIZE, optics), s=(SIDE, SIDE))
    image = seen + np.random.default_rng(0).normal(0, seen.std(), seen.shape)
    write_mrc(path, image.astype(np.float32), pixel_size=PIXEL_SIZE)
    x, y = (axis.ravel().astype(float) for axis in np.meshgrid(places, places))
    record = Record("a.mrc", str(path), "a", (SIDE, SIDE), PIXEL_SIZE, 36, 36, optics=OPTICS)
    return record, Boxes.at(x, y, size_px=40)


def average(record, picks):
    """Return the mean particle, and how alike it is to what was there."""
    cutter = ParticleCutter(RunFolder(None, {}, {"a.mrc": record}, []), diameter_px=40)
    found = cutter.cut(record, picks)
    assert found.images.shape[1:] == (64, 64)
    return float(np.corrcoef(found.images.mean(axis=0).ravel(), shape(64).ravel())[0, 1])


def with_defocus(record, **changes):
    values = {"u_angstrom": 41000.0, "v_angstrom": 35000.0, "angle_degrees": 30.0, **changes}
    return Record(**{**vars(record), "defocus": Defocus(**values)})


def test_an_average_far_out_of_focus_shows_the_particle_once_phases_are_flipped(micrograph):
    record, picks = micrograph
    flipped, plain = average(with_defocus(record), picks), average(record, picks)
    assert flipped > 0.8
    assert flipped > plain + 0.2


def test_the_angle_of_the_astigmatism_counts_from_x_towards_y(micrograph):
    record, picks = micrograph
    assert average(with_defocus(record), picks) > average(with_defocus(record, angle_degrees=-30.0), picks) + 0.01


def test_a_microscope_that_is_not_known_flips_nothing(micrograph):
    record, picks = micrograph
    unknown = with_defocus(Record(**{**vars(record), "optics": OpticsGroup(pixel_size=PIXEL_SIZE)}))
    assert average(unknown, picks) == average(record, picks)
