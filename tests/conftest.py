"""For all tests: no time limits (a busy machine is no bug), the same examples every run, own cache, one thread.

One thread, set before torch is imported: on some processors a sum's last digit depends on the number of threads, and
tests compare what one process wrote with what another did, byte by byte.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import pytest
from hypothesis import settings

settings.register_profile("vitripick", deadline=None, derandomize=True)
settings.load_profile("vitripick")


def pytest_collection_modifyitems(items):
    """Trainings first: of several workers none should begin the longest file last."""
    items.sort(key=lambda item: "training" not in item.path.parts)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VITRIPICK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
