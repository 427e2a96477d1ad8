"""For all tests: no time limits (a busy machine is not a bug), the same examples every run, own cache, one thread.

One thread, set before torch is imported: on some processors a sum's last digit depends on the number of threads, and
tests compare what one process wrote with what another did, byte by byte.
"""

import os
import shutil

os.environ["OMP_NUM_THREADS"] = "1"

import pytest
from hypothesis import settings

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

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


@pytest.fixture(scope="session")
def chromium():
    """A headless browser for all tests. Without it they fail, because a page that no one looked at is not tested."""
    from playwright.sync_api import sync_playwright

    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        pytest.fail("the page is tested in Chromium, which is not here; on Debian and Ubuntu: apt-get install chromium")
    arguments = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync"
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments.split())
        yield browser
        browser.close()
