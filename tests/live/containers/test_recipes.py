"""The Dockerfile and the Apptainer definition, step by step on a bare Debian, and what they give at work."""

import re
import shutil

import pytest

from live.containers.conftest import CERTIFICATES, IMAGE
from live.python.environments import ROOT, wheel

INSTALL = ROOT / "install"


@pytest.fixture
def data(tmp_path):
    """A folder of micrographs that belongs to an ordinary user."""
    folder = tmp_path / "data"
    shutil.copytree(ROOT / "examples" / "apoferritin" / "micrographs", folder / "micrographs")
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, 1000, 1000)
    return folder


def n_picks(data):
    return sum(len(path.read_text().splitlines()) for path in (data / "picks" / "box").glob("*.box"))


PICK = ["pick", "micrographs", "--out", "picks", "--diameter-px", "80", "--format", "box"]


def test_the_dockerfile_builds_and_picks_as_an_ordinary_user(buildah, data):
    file, context = INSTALL / "Dockerfile", wheel().parent
    said = buildah("bud", "--pull-never", *CERTIFICATES, "-f", file, "-t", "vitripick", context)
    assert "picking works on this machine" in said
    container = buildah("from", "--pull-never", "vitripick").splitlines()[-1]
    run = ["run", "--user", "1000:1000", "-v", f"{data}:/data", "--workingdir", "/data", container, "--"]
    buildah(*run, "vitripick", *PICK)
    assert 200 < n_picks(data) < 400
    assert (data / "picks").stat().st_uid == 1000


def section(text, name):
    """The lines of a part of an Apptainer definition."""
    (body,) = re.findall(rf"^%{name}\n(.*?)(?=^%|\Z)", text, flags=re.DOTALL | re.MULTILINE)
    return body


def test_the_steps_of_the_apptainer_definition_work_on_a_bare_debian(buildah, data):
    text = (INSTALL / "vitripick.def").read_text(encoding="utf-8")
    assert f"docker.io/library/{re.search('From: (.*)', text)[1]}" == IMAGE
    for name, value in re.findall(r"^ +(\w+)=(.*)$", section(text, "arguments"), flags=re.MULTILINE):
        text = text.replace("{{ " + name + " }}", value)
    ((source, target),) = re.findall(r"^ +(\S+) (\S+)$", section(text, "files"), flags=re.MULTILINE)
    assert source == "dist/*.whl"
    container = buildah("from", "--pull-never", IMAGE).splitlines()[-1]
    buildah("copy", "--quiet", container, wheel(), target)
    buildah("run", *CERTIFICATES, container, "--", "sh", "-c", section(text, "post"))
    assert "picking works" in buildah("run", container, "--", "sh", "-c", section(text, "test"))
    script = section(text, "environment") + section(text, "runscript")
    run = [
        "run",
        "--user",
        "1000:1000",
        "-v",
        f"{data}:/data",
        "--workingdir",
        "/data",
        "--env",
        "HOME=/tmp",
        container,
    ]
    buildah(*run, "--", "sh", "-c", script, "vitripick", *PICK)
    assert 200 < n_picks(data) < 400
