"""Picks of a run in other formats: as the run itself writes them, with what its records know."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import starfile

from made import snapshot
from vitripick.errors import InputError
from vitripick.formats import FORMATS, read_all_picks, read_picks, write_picks
from vitripick.formats.picks.table import written_formats
from vitripick.geometry import Boxes
from vitripick.run_layout import RunLayout
from vitripick.runs import PickSettings, convert_picks, pick_many, read_record
from vitripick.runs.record import write_record

# Formats that know micrographs by base name cannot hold the two of name "one". The store holds what others do not.
COMPARED = [name for name, entry in written_formats().items() if entry.base_name is None and not entry.keeps_all]
THRESHOLD = 0.93  # some picks lie below
OPTICS = "_rlnVoltage\n_rlnSphericalAberration\n_rlnAmplitudeContrast\n_rlnMicrographPixelSize\n"


@pytest.fixture
def relion_project(micrographs, monkeypatch):
    """Go to a folder with three micrographs, two of one base name, and their STAR."""
    monkeypatch.chdir(micrographs.parent)
    Path("micrographs.star").write_text(
        f"data_optics\n\nloop_\n_rlnOpticsGroupName\n_rlnOpticsGroup\n{OPTICS}g 1 300 2.7 0.1 4.0\n\n\n"
        "data_micrographs\n\nloop_\n_rlnMicrographName\n_rlnOpticsGroup\n"
        "mics/a/one.mrc 1\nmics/a/two.mrc 1\nmics/b/one.mrc 1\n"
    )


@pytest.fixture
def run(model, relion_project):
    """Return a run folder of these micrographs."""
    pick_many(["micrographs.star"], "run", model, PickSettings(threshold=THRESHOLD, box_size_px=26, edge="centre"))
    return Path("run")


NAMES = ["mics/a/one.mrc", "mics/a/two.mrc", "mics/b/one.mrc"]


@pytest.mark.parametrize("name", COMPARED)
def test_a_run_folder_gives_the_files_that_the_run_itself_writes(model, relion_project, name):
    settings = PickSettings(threshold=THRESHOLD, box_size_px=26, formats=(name,))
    pick_many(["micrographs.star"], "run", model, settings)
    entry = FORMATS[name]
    if entry.joined_name is not None:
        (file,) = convert_picks("run", f"out{entry.suffixes[0]}", to=name)
        assert file.read_bytes() == Path("run", entry.joined_name).read_bytes()
        return
    convert_picks("run", "out", to=name)
    ending = len(entry.place.ending)
    ours = {path[: -len(entry.plain_ending)]: data for path, data in snapshot(Path("out")).items()}
    assert ours == {path[:-ending]: data for path, data in snapshot(Path("run", entry.place.folder)).items()}


def test_the_store_as_cbox_keeps_the_sizes_that_the_network_saw(run):
    convert_picks(run, "out", to="cbox", threshold=0)
    for name in ("mics/a/one", "mics/a/two", "mics/b/one"):
        stored, ours = read_picks(f"run/cbox/{name}.cbox"), read_picks(f"out/{name}.cbox")
        assert ours.confidence.tolist() == stored.confidence.tolist()
        assert ours.estimated_width.tolist() == stored.estimated_width.tolist()
        assert ours.box_size_px == 26


def test_another_threshold_takes_other_picks_and_0_takes_all(run):
    def n(**options):
        (file,) = convert_picks(run, "out.csv.star", to="particles-star", **options)
        return sum(map(len, read_all_picks(file)))

    stored = [boxes.confidence for boxes in read_all_picks(run / "cbox")]
    assert n() == sum((scores >= THRESHOLD).sum() for scores in stored)
    assert n(threshold=0.97) == sum((scores >= 0.97).sum() for scores in stored)
    assert n(threshold=0) == sum(map(len, stored)) > n()


@pytest.mark.parametrize("source", ["run", "run/cbox", "run/star", "run/autopick.star"])
@pytest.mark.parametrize("format", ["star", "particles-star"])
def test_names_sizes_and_optics_of_a_runs_files_come_from_its_records(run, source, format, caplog):
    convert_picks(source, "out.star", to=format, threshold=THRESHOLD)
    tables = starfile.read("out.star", always_dict=True)
    particles = tables.get("particles", next(iter(tables.values())))
    assert particles["rlnMicrographName"].unique().tolist() == NAMES
    if format == "particles-star":
        assert tables["optics"].iloc[0].tolist() == [1, "g", 300, 2.7, 0.1, 4.0]
    convert_picks(source, "boxes", to="box", threshold=THRESHOLD)
    assert source == "run/cbox" or read_picks("boxes/mics/b/one.box").box_size_px == 26
    convert_picks(source, "out.cs", threshold=THRESHOLD)  # needs the shapes
    assert "WARNING" not in caplog.text


@pytest.mark.parametrize(
    ("source", "names"),
    [("run/cbox/mics/a", NAMES[:2]), ("run/star/mics/b", NAMES[2:]), ("run/cbox/mics/b/one.cbox", NAMES[2:])],
)
def test_a_part_of_a_run_keeps_its_own_names(run, source, names):
    convert_picks(source, "out.star", to="particles-star", threshold=THRESHOLD)
    assert starfile.read("out.star")["particles"]["rlnMicrographName"].unique().tolist() == names


def test_names_of_a_folder_of_micrographs_are_paths_as_pick_writes_them(model, relion_project):
    pick_many(["mics"], "run", model, PickSettings(formats=("particles-star",), threshold=THRESHOLD))
    convert_picks("run", "out.star", to="particles-star")
    assert Path("out.star").read_bytes() == Path("run/particles.star").read_bytes()
    assert starfile.read("out.star")["particles"]["rlnMicrographName"].unique().tolist() == NAMES
    files = convert_picks("run", "out", to="box")
    assert sorted(map(str, files)) == ["out/a/one.box", "out/a/two.box", "out/b/one.box"]


def test_the_store_itself_is_converted_whole_and_that_is_said(run, caplog):
    convert_picks(run / "cbox", "out.star", to="particles-star")
    assert f"below the run's threshold of {THRESHOLD}, and are converted, too; give the run folder" in caplog.text
    caplog.clear()
    convert_picks(run / "star", "out.star", to="particles-star")
    assert not caplog.text


def test_the_microscope_is_asked_for_by_option_where_no_star_says_it(model, relion_project, caplog):
    caplog.set_level(logging.WARNING, "vitripick")
    pick_many(["mics"], "run", model, PickSettings(threshold=THRESHOLD))
    convert_picks("run", "out.star", to="particles-star")
    assert "out.star: no voltage, spherical aberration or amplitude contrast is known, so RELION" in caplog.text
    caplog.clear()
    microscope = {"voltage_kv": 200, "spherical_aberration_mm": 0.01, "amplitude_contrast": 0.07}
    convert_picks("run", "out.star", to="particles-star", **microscope)
    assert starfile.read("out.star")["optics"].iloc[0].tolist() == [1, "opticsGroup1", 200, 0.01, 0.07, 4.0]
    convert_picks("run", "out", to="star")
    assert not caplog.text


def test_picks_without_a_pixel_size_are_said_with_what_gives_it(relion_project, caplog):
    write_picks(Boxes.at([20], [30], confidence=0.5, micrograph="mics/a/one.mrc"), "p.star", format="warp")
    convert_picks("p.star", "out.star", to="particles-star", voltage_kv=300, spherical_aberration_mm=2.7)
    assert "no pixel size or amplitude contrast is known" in caplog.text
    assert "give Boxes.pixel_size and amplitude_contrast=" in caplog.text


def test_picks_of_binned_micrographs_are_scaled_with_their_shapes_and_pixel_sizes(run):
    convert_picks(run, "out.star", to="particles-star", scale=2)
    assert starfile.read("out.star")["optics"]["rlnMicrographPixelSize"].tolist() == [2.0]
    convert_picks(run, "out.cs", scale=2)
    assert [boxes.shape for boxes in read_all_picks("out.cs")] == [(320, 384)] * 3


def test_given_micrographs_go_before_what_the_run_knows(run):
    star = Path("micrographs.star")
    star.write_text(star.read_text().replace("300 2.7", "200 1.4"))
    convert_picks(run, "out.star", to="particles-star", micrographs=star)
    assert starfile.read("out.star")["optics"]["rlnVoltage"].tolist() == [200]
    convert_picks(run, "one.star", to="particles-star", micrographs="mics/a/two.mrc")
    assert starfile.read("one.star")["particles"]["rlnMicrographName"].unique().tolist() == ["mics/a/two.mrc"]


def test_an_unfinished_run_is_converted_at_its_threshold_and_that_is_said(run, caplog):
    convert_picks(run, "whole.star", to="particles-star")
    (run / "run.json").unlink()
    convert_picks(run, "out.star", to="particles-star")
    assert Path("out.star").read_bytes() == Path("whole.star").read_bytes()
    assert "run: this run is not finished; it has 3 micrographs so far" in caplog.text


def test_an_unfinished_run_of_two_thresholds_asks_for_one(run):
    (run / "run.json").unlink()
    layout = RunLayout(run)
    record = read_record(layout.record("mics/a/one"))
    write_record(replace(record, quality=replace(record.quality, threshold=0.7)), layout)
    with pytest.raises(InputError, match="have different thresholds; give threshold="):
        convert_picks(run, "out.star", to="particles-star")
    convert_picks(run, "out.star", to="particles-star", threshold=0.7)


def test_other_files_in_a_run_folder_are_not_taken_for_the_runs(run, caplog):
    write_picks(Boxes.at([5.0], [5.0], size_px=8), run / "labels" / "one.csv")
    files = convert_picks(run / "labels", "out", to="box")
    assert [str(path) for path in files] == ["out/one.box"]


def test_two_micrographs_whose_names_differ_in_the_suffix_alone_keep_the_runs_file_names(model, micrographs, tmp_path):
    (micrographs / "a" / "two.mrc").rename(micrographs / "a" / "one.map")
    files = [micrographs / "a" / "one.mrc", micrographs / "a" / "one.map"]
    pick_many(files, tmp_path / "run", model, PickSettings(formats=("box",), threshold=THRESHOLD))
    convert_picks(tmp_path / "run", tmp_path / "out", to="box")
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "run" / "box")
