import logging
import random

import pytest

from fuzz.mutate import Reader, change_bytes, try_reader
from fuzz.readers import all_readers


@pytest.mark.filterwarnings("ignore")
def test_every_reader_meets_damaged_files_with_our_errors_alone(tmp_path, caplog, capfd):
    caplog.set_level(logging.CRITICAL, logger="vitripick")
    findings = {}  # capfd takes what libpng and libjpeg write on stderr
    for reader in all_readers(tmp_path):
        found = try_reader(reader, 25, seed=1).findings
        if found:
            findings[reader.name] = found
    assert findings == {}


def test_an_error_that_is_not_ours_is_a_finding(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"sound")

    def read(path):
        if path.read_bytes() != b"sound":
            raise KeyError("x")

    tally = try_reader(Reader("a", path, read, change_bytes), 20, seed=0, keep=tmp_path / "kept")
    assert len(tally.findings) >= 10
    assert set(tally.findings) == {"KeyError: 'x'"}
    assert len(list((tmp_path / "kept").iterdir())) == len(tally.findings)
    assert path.read_bytes() == b"sound"


def test_the_same_seed_changes_files_in_the_same_way():
    data = bytes(range(200))
    first, second = (change_bytes(data, random.Random("0 a")) for _ in range(2))
    assert first == second != data
