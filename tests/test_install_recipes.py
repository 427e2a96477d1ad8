"""The files of `install/` agree with the package: version, pins, entry point, and commands that exist."""

import re
from pathlib import Path

import jinja2
import pytest
import yaml

from vitripick.version import VERSION

try:
    import tomllib
except ImportError:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
INSTALL = ROOT / "install"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# What conda's channel conda-forge calls a package, where that is not its name for pip.
CONDA_NAMES = {"opencv-python-headless": "py-opencv", "matplotlib": "matplotlib-base", "torch": "pytorch"}


@pytest.fixture(scope="module")
def recipe():
    return yaml.safe_load(jinja2.Template((INSTALL / "conda" / "meta.yaml").read_text()).render(PYTHON="python"))


def pins(lines):
    """`{"numpy": ">=1.26"}` of requirements as pip or conda write them, by conda's names."""
    split = (re.fullmatch(r"([\w.-]+)\s*(>=[\w.]+)?\s*(?:;.*)?", line).groups() for line in lines)
    return {CONDA_NAMES.get(name, name): pin for name, pin in split}


def test_the_conda_recipe_has_the_version_the_licences_and_the_command(recipe):
    assert recipe["package"] == {"name": "vitripick", "version": VERSION}
    assert recipe["source"]["path"].endswith(f"dist/vitripick-{VERSION}")
    assert recipe["build"]["entry_points"] == [f"{name} = {where}" for name, where in PROJECT["scripts"].items()]
    assert recipe["about"]["license"] == PROJECT["license"]
    assert recipe["about"]["license_file"] == PROJECT["license-files"]


def test_the_conda_recipe_has_the_pins_of_the_wheel(recipe):
    needed = pins(PROJECT["dependencies"] + PROJECT["optional-dependencies"]["web"])
    assert pins(recipe["requirements"]["run"]) == {"python": PROJECT["requires-python"], **needed}
    extras = [line for name in ("train", "fast", "tiff", "simulate", "cluster") for line in extra(name)]
    assert pins(recipe["requirements"]["run_constrained"]) == pins(extras)


def extra(name):
    return PROJECT["optional-dependencies"][name]


@pytest.mark.parametrize("name", ["Dockerfile", "vitripick.def"])
def test_containers_install_extras_that_exist(name):
    text = (INSTALL / name).read_text(encoding="utf-8")
    found = re.findall(r"\bextras=([\w,]+)", text, flags=re.IGNORECASE)
    assert len(found) == 2
    assert {one for extras in found for one in extras.split(",")} <= set(PROJECT["optional-dependencies"])


def test_the_module_file_is_for_this_version():
    assert f"vitripick/{VERSION}" in (INSTALL / "modulefiles" / "vitripick").read_text(encoding="utf-8")
