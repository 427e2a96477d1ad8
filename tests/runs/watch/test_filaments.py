"""What the watcher of filaments knows about files that come and go."""

from vitripick.errors import MicrographError
from vitripick.runs.filament_folder import FailedTrace, FilamentFolder
from vitripick.runs.watch.filaments import FilamentWatcher
from vitripick.settings.pick import PickSettings
from vitripick.settings.watch import WatchSettings


class Folder(FilamentFolder):
    """Traces nothing: every file fails."""

    def __init__(self, out):
        self.out, self.settings = out, PickSettings()

    def known(self, file, stem):
        return False

    def owner(self, stem):
        return None

    def settle_width(self, files):
        return None

    def attempt(self, file, stem):
        path = self.out / "failed" / f"{stem}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
        return FailedTrace(file, MicrographError(f"{file.path}: is damaged."))


def test_a_failed_file_that_is_gone_has_not_failed_any_more(tmp_path):
    damaged = tmp_path / "mics/cut.mrc"
    damaged.parent.mkdir()
    damaged.write_bytes(bytes(10))
    watcher = FilamentWatcher(damaged.parent, Folder(tmp_path / "out"), WatchSettings(settle_seconds=0, tries=1))
    watcher._scan()
    [waiting] = watcher._waiting.values()
    watcher._trace(waiting)
    assert watcher.status()["failed"] == 1
    assert (tmp_path / "out/failed/cut.json").is_file()
    damaged.unlink()
    watcher._scan()
    assert watcher.status()["failed"] == 0
    assert not (tmp_path / "out/failed/cut.json").exists()
