from pathlib import Path

import numpy as np
import pytest

import vitripick
from vitripick.errors import UsageError
from vitripick.formats import read_micrograph, read_picks

ROOT = Path(__file__).parents[2]


def test_a_sample_is_the_example_with_its_pixel_size():
    micrograph = vitripick.sample("apoferritin")
    example = read_micrograph("examples/apoferritin/micrographs/May08_03.05.02.mrc")
    np.testing.assert_array_equal(micrograph.image, example.image)
    assert (micrograph.name, micrograph.pixel_size) == ("May08_03.05.02.mrc", 1.65)


def test_an_unknown_name_lists_the_names():
    with pytest.raises(UsageError, match=r"no sample 'ribosome'. The samples are: apoferritin\."):
        vitripick.sample("ribosome")


def test_the_bundled_model_finds_the_particles_of_a_sample_that_people_labelled():
    picks = vitripick.pick(vitripick.sample("apoferritin"), vitripick.load_model("general"), diameter_px=80)
    labels = read_picks("examples/apoferritin/labels/May08_03.05.02.csv")
    found = vitripick.evaluate(picks, labels, n_bootstrap=0, chance_level=False)
    assert found.criteria["distance"].default.f1 > 0.9
