"""The options of `simulate`."""

import pytest
from pydantic import ValidationError

from vitripick.simulation import SimulateSettings


@pytest.mark.parametrize("name", SimulateSettings.model_fields)
def test_every_option_says_what_it_is_and_needs_no_value(name):
    field = SimulateSettings.model_fields[name]
    assert field.description
    assert not field.is_required()


@pytest.mark.parametrize(
    "wrong", [{"seeds": 2}, {"n_micrographs": 0}, {"shape": (16, 64)}, {"pixel_size": 0}, {"kind": "alien"}]
)
def test_a_wrong_option_is_refused(wrong):
    with pytest.raises(ValidationError):
        SimulateSettings(**wrong)
