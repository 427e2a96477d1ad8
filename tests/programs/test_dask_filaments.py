"""What becomes of a micrograph whose workers were lost while they traced it."""

from types import SimpleNamespace

import pytest

from vitripick.formats import MicrographFile
from vitripick.programs.batch_jobs import NoWatch
from vitripick.programs.dask_filaments import _results
from vitripick.runs.filament_folder import FilamentFolder
from vitripick.runs.record import read_failure


class Lost:
    """A future of Dask whose workers died."""

    def add_done_callback(self, callback):
        callback(self)

    def exception(self):
        from distributed import KilledWorker

        return KilledWorker("trace", SimpleNamespace(address="tcp://there"), 3)

    def release(self):
        pass


def test_a_micrograph_that_kills_its_workers_is_kept_as_a_failure(tmp_path):
    pytest.importorskip("distributed")
    folder = object.__new__(FilamentFolder)  # no model is needed to give up
    folder.out = tmp_path
    file = MicrographFile("a.mrc", tmp_path / "mics/a.mrc")
    client = SimpleNamespace(submit=lambda *words, pure: Lost())
    [(found, result)] = _results(client, NoWatch(), None, [file], {"a.mrc": "a"}, folder)
    assert found == file
    assert "give the workers more memory" in str(result.error)
    assert "every worker that traced it was lost" in read_failure(tmp_path / "failed/a.json")["error"]
