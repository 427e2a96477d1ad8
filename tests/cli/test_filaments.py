"""From the command line: trace, convert, judge, with the released model on a simulated micrograph."""

import json

import numpy as np
import pytest

from vitripick.formats import write_mrc
from vitripick.formats.filaments import read_filaments, write_filaments
from vitripick.simulation import load_scene_recipe
from vitripick.simulation.filament_shapes import Helix
from vitripick.simulation.filaments import FilamentLayout, simulate_filaments
from vitripick.simulation.structures.structure import Structure


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return a folder with one micrograph of rods of 120 Å, its labels in `labels/`."""
    folder = tmp_path_factory.mktemp("filaments")
    rng = np.random.default_rng(3)
    points = np.column_stack([rng.uniform(5, 55, 60), rng.uniform(-25, 25, 60), rng.uniform(-12, 12, 60)])
    rod = Helix(
        Structure("rod", "filament", 60.0, points.astype(np.float32), np.full(60, 70, np.float32), 5.0), 24, 20, 5
    )
    layout = FilamentLayout(count=5, length_widths=(12, 25), bend=0.005, bundle_chance=0, gap_chance=0, crossings=False)
    made = simulate_filaments(
        load_scene_recipe("clean"), rod, np.random.default_rng(2), layout=layout, shape=(480, 560), pixel_size=5.0
    )
    write_mrc(folder / "mics/a.mrc", made.image, pixel_size=5.0)
    write_filaments(made.filaments, folder / "labels/a.csv")
    return folder


@pytest.fixture(scope="module")
def width(project):
    return float(read_filaments(project / "labels/a.csv")[0].filaments[0].width * 5)


def test_rods_are_traced_written_judged_and_converted(vitripick, project, width):
    out = project / "out"
    words = ("--filaments", "--width-angstrom", width, "--spacing-angstrom", 50, "--minimum-length-angstrom", 250)
    words = (*words, "--out", out, "--overlays")
    formats = [word for name in ("star", "cbox", "helix-box", "cs") for word in ("--format", name)]
    done = vitripick("pick", project / "mics", *words, *formats, "--json")
    (told,) = json.loads(done.out)["micrographs"]
    assert told["segments"] > told["filaments"] > 0
    for name in ("star/a_autopick.star", "cbox/a.cbox", "helix-box/a.box", "filaments.cs", "overlays/a.png"):
        assert (out / name).is_file(), name
    judged = json.loads(vitripick("evaluate", out, project / "labels", "--filaments", "--json").out)
    assert judged["recall"] > 0.6
    assert judged["precision"] > 0.6
    before = (out / "filaments/a.csv").stat().st_mtime_ns
    vitripick("pick", project / "mics", *words, "--format", "start-end-star")
    assert (out / "filaments/a.csv").stat().st_mtime_ns == before, "traced once"
    assert (out / "start-end-star/a_autopick.star").is_file()
    vitripick("convert", out / "cbox/a.cbox", project / "converted/a.csv", "--filaments")
    again = json.loads(vitripick("evaluate", project / "converted/a.csv", out, "--filaments", "--json").out)
    assert again["f1"] > 0.95


def test_the_width_is_asked_for(vitripick, project):
    done = vitripick("pick", project / "mics", "--filaments", "--out", project / "none")
    assert done.code == 2
    assert "--width-angstrom" in done.err
