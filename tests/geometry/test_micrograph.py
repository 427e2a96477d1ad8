import numpy as np

from vitripick.geometry import Micrograph


def test_a_micrograph_says_what_it_is_and_not_its_pixels():
    image = np.zeros((400, 300), np.float32)
    assert repr(Micrograph(image, 1.2399, "a.mrc")) == "a.mrc: 400 rows x 300 columns, 1.24 Å/px"
    assert repr(Micrograph(image)) == "micrograph: 400 rows x 300 columns, pixel size unknown"
