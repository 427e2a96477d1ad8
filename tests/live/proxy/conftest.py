"""nginx as a reverse proxy with https on loopback; skipped where it, OpenSSL or a browser is missing."""

import pytest

from live.programs import need_program


@pytest.fixture(scope="session", autouse=True)
def _programs():
    how = "on Debian and Ubuntu: apt-get install nginx-light openssl chromium"
    for name in ("nginx", "openssl", "chromium"):
        need_program("proxy", name, how=how)
