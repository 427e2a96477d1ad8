import errno

import pytest

from vitripick.errors import ResourceError, UsageError
from vitripick.runs.resources import resource_errors


def raised(error, tmp_path):
    with resource_errors(tmp_path):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 1.82 PiB"),
        RuntimeError("Exception from src/core.cpp:1:\nstd::bad_alloc"),
        RuntimeError("Resource temporarily unavailable"),
        RuntimeError("can't start new thread"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
    ids=str,
)
def test_memory_that_an_engine_lacks_is_a_resource_error(error, tmp_path):
    with pytest.raises(ResourceError, match="out of memory") as caught:
        raised(error, tmp_path)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE])
def test_a_full_disk_a_size_limit_and_too_many_files_are_resource_errors(number, tmp_path):
    with pytest.raises(ResourceError, match="run again"):
        raised(OSError(number, "x", "some/file"), tmp_path)


def test_a_run_folder_that_vanished_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no longer exists"):
        raised(FileNotFoundError(errno.ENOENT, "x", str(tmp_path / "cbox/a.cbox")), tmp_path)


def test_an_error_of_ours_and_a_bug_stay_what_they_are(tmp_path):
    with pytest.raises(UsageError, match=r"^mine$"):
        raised(UsageError("mine"), tmp_path)
    with pytest.raises(RuntimeError, match=r"^a bug$"):
        raised(RuntimeError("a bug"), tmp_path)
