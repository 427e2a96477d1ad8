"""The power spectrum on the page."""

import numpy as np
import pytest

from vitripick.formats import write_mrc
from vitripick.simulation.optics import Optics, contrast_transfer
from vitripick.web.spectrum import power_spectrum

PIXEL_SIZE, DEFOCUS = 1.5, 18_000.0


@pytest.fixture(scope="module")
def thon_rings():
    """White noise after a microscope at 1.8 µm."""
    rng = np.random.default_rng(0)
    shape = (1024, 1024)
    optics = Optics(defocus_angstrom=DEFOCUS, b_factor=0)
    transfer = contrast_transfer(shape, PIXEL_SIZE, optics)
    image = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * transfer, s=shape)
    return (image + 0.1 * rng.standard_normal(shape)).astype(np.float32)


def test_a_wave_stands_where_its_frequency_is():
    y, x = np.mgrid[:700, :900]
    image = np.sin(2 * np.pi * (0.125 * x + 0.25 * y)).astype(np.float32)
    spectrum = power_spectrum(image)
    assert spectrum.shape == (512, 512)
    assert spectrum[256 + 128, 256 + 64] > 5
    assert spectrum[256 - 128, 256 - 64] > 5
    assert spectrum[256 + 128, 256 - 64] < 2


def test_the_rings_of_the_defocus_lie_on_the_dark_ones(browse, thon_rings, tmp_path):
    write_mrc(tmp_path / "mics" / "rings.mrc", thon_rings, pixel_size=PIXEL_SIZE)
    page, _ = browse(tmp_path / "mics", "--out", tmp_path / "out")
    page.click("#show-spectrum")
    page.wait_for_timeout(300)
    rings = page.evaluate(f"import('/static/spectrum.js').then((m) => m.zeros({DEFOCUS}, 300))")
    spectrum = power_spectrum(thon_rings)
    middle = np.arange(-256, 256)
    distance = np.hypot(middle[:, None], middle[None, :]).round().astype(int)
    mean = np.bincount(distance.ravel(), spectrum.ravel()) / np.bincount(distance.ravel())
    for k in rings[:5]:
        at = k * PIXEL_SIZE * 512
        around = mean[round(at) - 6 : round(at) + 7]
        assert abs(around.argmin() - 6) <= 2
    assert "The edge is 3.0 Å. The first is at" in page.inner_text("#spectrum-note")
