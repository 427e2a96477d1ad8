"""For all tests: no time limits (a busy machine is no bug), the same examples every run, and a cache of their own."""

import pytest
from hypothesis import settings

settings.register_profile("vitripick", deadline=None, derandomize=True)
settings.load_profile("vitripick")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VITRIPICK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
