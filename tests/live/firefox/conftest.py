"""A headless Firefox; its tests are skipped where it is missing."""

import pytest

from live.firefox.bidi import Firefox
from live.programs import need_program
from web.conftest import make_micrographs, serve  # noqa: F401


@pytest.fixture
def firefox(tmp_path):
    path = need_program("firefox", "firefox-esr", how="on Debian and Ubuntu: apt-get install firefox-esr")
    browser = Firefox(path, tmp_path / "profile")
    yield browser
    browser.close()


@pytest.fixture
def micrographs(tmp_path):
    return make_micrographs(tmp_path / "mics", shape=(360, 480))
