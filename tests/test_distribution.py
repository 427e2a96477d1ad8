"""What a wheel and a source archive hold: all that is promised, and nothing that leads nowhere."""

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from vitripick.samples import SAMPLES
from vitripick.version import VERSION

ROOT = Path(__file__).parent.parent
# What stays out of a copy of this folder: made by tools, or not of the project.
MADE = (".git", ".venv", ".live", "node_modules", "build", "dist", "demo", "__pycache__", "*.egg-info", ".*_cache")
# What the source archive leaves out: for the repository only, or a package of its own.
ONLY_HERE = (".gitignore", ".ci/", "integrations/")
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]*)(?:#[^)\s]*)?\)")


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """The folder of the source archive and of the wheel, which is made of it, as an index makes it."""
    folder = tmp_path_factory.mktemp("archives")
    shutil.copytree(ROOT, folder / "source", ignore=shutil.ignore_patterns(*MADE))
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", folder / "source"]
    ran = subprocess.run(build, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder / "dist"


@pytest.fixture(scope="module")
def in_source(archives):
    """The names in the source archive, as in the repository."""
    with tarfile.open(archives / f"vitripick-{VERSION}.tar.gz") as archive:
        return {member.name.split("/", 1)[1] for member in archive if member.isfile()}


@pytest.fixture(scope="module")
def site(archives, tmp_path_factory):
    """A folder that holds what the wheel installs."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(archives / f"vitripick-{VERSION}-py3-none-any.whl") as wheel:
        wheel.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def metadata(site):
    (path,) = site.glob("*.dist-info/METADATA")
    return email.message_from_string(path.read_text(encoding="utf-8"))


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="git knows which files belong to the project")
def test_the_source_archive_holds_what_a_clone_holds(in_source):
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    belong = {name for name in listed if not name.startswith(ONLY_HERE) and (ROOT / name).is_file()}
    assert belong - in_source == set()


def test_the_source_archive_holds_nothing_that_was_made(in_source):
    assert not [name for name in in_source if name.endswith(".pyc") or name.startswith(("dist/", "build/", ".venv/"))]


def test_the_wheel_is_small_and_holds_the_package_only(archives, site):
    (wheel,) = archives.glob("*.whl")
    assert wheel.stat().st_size <= 20e6
    assert {path.name for path in site.iterdir()} == {"vitripick", f"vitripick-{VERSION}.dist-info"}
    code = {path.relative_to(ROOT / "src") for path in (ROOT / "src/vitripick").rglob("*.py")}
    assert {path.relative_to(site) for path in site.rglob("*.py")} == code


def test_the_wheel_holds_what_the_package_reads(site):
    others = (
        path for path in (ROOT / "src/vitripick").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")
    )
    missing = [path for path in others if not (site / path.relative_to(ROOT / "src")).is_file()]
    assert not missing
    assert (site / "vitripick/documentation/CHANGELOG.md").is_file()
    for path in (ROOT / "docs").rglob("*"):
        assert (site / "vitripick/documentation" / path.relative_to(ROOT)).exists(), path


def test_program_and_weights_come_with_their_licences(site, metadata):
    assert metadata["License-Expression"] == "BSD-3-Clause AND CC-BY-4.0"
    texts = [
        (next(site.glob("*.dist-info")) / "licenses" / name).read_text() for name in metadata.get_all("License-File")
    ]
    assert [("BSD 3-Clause" in text, "CC-BY-4.0" in text) for text in texts] == [(True, False), (True, True)]


def test_torch_comes_with_an_extra_only(metadata):
    needs = [line for line in metadata.get_all("Requires-Dist") if line.startswith(("torch", "onnx>", "onnx;"))]
    assert needs
    assert all('extra == "train"' in line or 'extra == "dev"' in line for line in needs)
    assert "train" in metadata.get_all("Provides-Extra")


def test_links_in_the_shipped_documentation_lead_to_files(site):
    pages = sorted((site / "vitripick/documentation").rglob("*.md"))
    assert len(pages) > 15
    for page in pages:
        for target in LINK.findall(page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_links_in_the_source_archive_lead_to_files(in_source):
    for name in sorted(in_source):
        if name.endswith(".md"):
            for target in LINK.findall((ROOT / name).read_text(encoding="utf-8")):
                there = os.path.normpath(Path(name).parent / target)
                is_there = there in in_source or (ROOT / there).is_dir()
                assert is_there or there.startswith(ONLY_HERE), f"{name}: {target}"


def test_the_description_has_no_link_to_a_file(metadata):
    description = metadata.get_payload()
    assert "doi.org" in description
    assert not LINK.findall(description)


def test_the_wheel_works_away_from_the_repository(site, tmp_path):
    code = f"""
import vitripick
from vitripick.cli.app import run
for name in {list(SAMPLES)!r}:
    print(vitripick.sample(name).path)
run(["--version"])
run(["doctor"])
"""
    env = os.environ | {"PYTHONPATH": str(site)}
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    *samples, version = ran.stdout.splitlines()[: len(SAMPLES) + 1]
    assert [Path(path).parent for path in samples] == [site / "vitripick" / "samples"] * len(SAMPLES)
    assert version == f"vitripick {VERSION}"
    assert str(site / "vitripick/documentation/README.md") in ran.stdout
    assert "picking works on this machine" in ran.stdout
