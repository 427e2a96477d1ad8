import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import vitripick
from vitripick.errors import UsageError
from vitripick.formats import read_micrograph, read_picks
from vitripick.samples import SAMPLES
from vitripick.version import VERSION

ROOT = Path(__file__).parents[2]


def test_a_sample_is_the_example_with_its_pixel_size():
    micrograph = vitripick.sample("apoferritin")
    example = read_micrograph("examples/apoferritin/micrographs/May08_03.05.02.mrc")
    np.testing.assert_array_equal(micrograph.image, example.image)
    assert (micrograph.name, micrograph.pixel_size) == ("May08_03.05.02.mrc", 1.65)


def test_an_unknown_name_lists_the_names():
    with pytest.raises(UsageError, match=r"no sample 'ribosome'. The samples are: apoferritin\."):
        vitripick.sample("ribosome")


def test_the_bundled_model_finds_the_particles_of_a_sample_that_people_labelled():
    picks = vitripick.pick(vitripick.sample("apoferritin"), vitripick.load_model("general"), diameter_px=80)
    labels = read_picks("examples/apoferritin/labels/May08_03.05.02.csv")
    found = vitripick.evaluate(picks, labels, n_bootstrap=0, chance_level=False)
    assert found.criteria["distance"].default.f1 > 0.9


def test_a_wheel_holds_the_samples_and_the_version(tmp_path):
    source, site = tmp_path / "source", tmp_path / "site"
    for name in ("src", "examples"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    # The wheel comes from the source archive, as an index builds it, so that both must hold the samples.
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    assert wheel.name == f"vitripick-{VERSION}-py3-none-any.whl"
    assert wheel.stat().st_size <= 20e6
    zipfile.ZipFile(wheel).extractall(site)
    code = "import sys, vitripick; [print(vitripick.sample(name).path) for name in sys.argv[1:]]"
    run = [sys.executable, "-c", code, *SAMPLES]
    told = subprocess.run(
        run, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(site)}, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert [Path(path).parent for path in told] == [site / "vitripick" / "samples"] * len(SAMPLES)
