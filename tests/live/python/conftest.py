"""The wheel and the Pythons; the tests are skipped where `install.sh` has built no wheel."""

import pytest

from live.programs import lack
from live.python.environments import Environment, wheel


@pytest.fixture(scope="session", autouse=True)
def the_wheel():
    """The path of the wheel."""
    found = wheel()
    if found is None:
        lack("python", "there is no wheel; tests/live/python/install.sh builds it")
    return found


@pytest.fixture
def environment(tmp_path):
    """Return a function that makes a clean environment of a Python; it is deleted after the test."""
    made = []

    def make(python, name="plain"):
        folder = tmp_path / name
        folder.mkdir()
        made.append(Environment(python, folder))
        return made[-1]

    yield make
    for one in made:
        one.remove()
