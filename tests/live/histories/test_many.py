"""A thousand random histories of a project; tests/web runs a few of the same."""

import os

import pytest
from hypothesis import Phase

from web.histories import run_histories


@pytest.mark.skipif(
    "histories" not in os.environ.get("VITRIPICK_LIVE", "").split(","),
    reason="a quarter of an hour: make live-histories",
)
def test_what_a_window_calls_saved_is_there_after_every_restart_in_a_thousand_histories():
    # Shrinking a failure would take an hour, and the steps are printed as they are.
    run_histories(1000, steps=30, derandomize=False, phases=[Phase.reuse, Phase.generate], print_blob=True)
