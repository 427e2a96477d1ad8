"""What a watcher leaves behind when the files that speak of the whole run cannot be written."""

import json
from contextlib import suppress

import pytest

from vitripick.errors import ResourceError, UsageError
from vitripick.picking import FolderPicker, PickSettings, watching
from vitripick.picking.watching import Watcher, WatchSettings

# Joined once, at the end, when all micrographs are there.
ONCE = WatchSettings(settle_seconds=0.1, poll_seconds=0.02, idle_timeout_seconds=1.0, join_seconds=600, report=True)


def state_of(out):
    return json.loads((out / "status.json").read_text())["state"]


def test_a_format_that_cannot_be_joined_keeps_no_report_and_no_other_file_away(model, micrographs, tmp_path):
    out = tmp_path / "out"
    picker = FolderPicker(out, model, PickSettings(threshold=0.3, formats=("topaz", "cs")))
    Watcher(micrographs, picker, ONCE).run()
    for name in ("report.html", "run.json", "quality.csv", "particles.cs"):
        assert (out / name).is_file()
    assert state_of(out) == "stopped"


@pytest.mark.parametrize("error", [UsageError, ResourceError])
def test_a_watcher_whose_joined_files_fail_says_that_it_stopped(model, micrographs, tmp_path, monkeypatch, error):
    def fail(*arguments, **options):
        raise error("no")

    monkeypatch.setattr(watching, "finish_run", fail)
    picker = FolderPicker(tmp_path / "out", model, PickSettings(threshold=0.3))
    with suppress(ResourceError):
        Watcher(micrographs, picker, ONCE).run()
    assert state_of(tmp_path / "out") == "stopped"
