"""Whatever happens to server, answers and disk, what the page calls saved is there; `make live` runs a thousand."""

from web.histories import run_histories


def test_what_a_window_calls_saved_is_there_after_every_restart():
    run_histories(4, steps=15)
