"""Searches follow links, take one image of each exposure, and say what they pass by."""

import os
import time
from pathlib import Path

import pytest

from vitripick.errors import InputError
from vitripick.formats import find_micrographs, read_all_picks
from vitripick.formats.passed_by import passed_by_collected, passed_by_lines
from vitripick.runs.watch.arrivals import FolderSource

BOX = "10\t20\t30\t30\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names, text=""):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)


def link(path, target):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).symlink_to(Path(target).absolute(), target_is_directory=True)


def names(*inputs, **options):
    return [file.name for file in find_micrographs(inputs, **options)]


def watched(folder, done=(), **options):
    return sorted(file.name for file, _ in FolderSource(Path(folder), Path("out"), **options).scan(set(done)))


SEARCHES = [("m",), ("m/**/*.mrc",), ("m/*",)]


def in_every_search(expected):
    for inputs in SEARCHES:
        assert names(*inputs) == expected, inputs
    assert watched("m") == expected


# Links


def test_linked_folders_are_searched(here):
    touch("m/a.mrc", "store/b.mrc")
    link("m/square2", "store")
    in_every_search(["a.mrc", "square2/b.mrc"])


def test_a_folder_of_nothing_but_a_link_has_micrographs(here):
    touch("store/b.mrc")
    link("m/square2", "store")
    assert names("m") == names("m/**/*.mrc") == watched("m") == ["square2/b.mrc"]


def test_each_real_folder_is_searched_once_and_keeps_its_plain_path(here):
    touch("m/b/x.mrc", "store/y.mrc")
    link("m/a", "m/b")
    link("m/c", "store")
    link("m/d", "store")
    in_every_search(["b/x.mrc", "c/y.mrc"])
    # The shell writes all of them.
    assert names("m/b", "m/a", "m/c", "m/d") == ["b/x.mrc", "c/y.mrc"]


def test_links_that_go_round_end(here):
    touch("m/a/x.mrc", "store/y.mrc")
    link("m/a/again", "m")
    link("m/s", "store")
    link("store/back", "m")
    link("store/self", "store")
    in_every_search(["a/x.mrc", "s/y.mrc"])


def test_a_link_to_a_folder_above_what_was_given_is_said(here):
    touch("m/a.mrc", "other/b.mrc")
    link("m/up", ".")
    with passed_by_collected() as passed_by:
        assert names("m") == ["a.mrc"]
    assert [(one.path, one.reason) for one in passed_by] == [("m/up", "this link leads to a folder above")]


def test_the_run_folder_is_left_out_behind_a_link_too(here):
    touch("m/a.mrc", "store/picks/overlays/x.png", "store/b.mrc", "m/own/thumbnails/y.jpg")
    link("m/store", "store")
    assert names("m", leave_out=["store/picks"]) == ["a.mrc", "store/b.mrc", "own/thumbnails/y.jpg"][:2]
    assert names("m/**/*", leave_out=["store/picks", "m/own"]) == ["a.mrc", "store/b.mrc"]


def test_label_folders_behind_links_are_read_once(here):
    touch("labels/a.box", "store/b.box", text=BOX)
    link("labels/more", "store")
    link("labels/twice", "store")
    link("labels/round", "labels")
    assert [boxes.micrograph for boxes in read_all_picks("labels")] == ["a", "more/b"]


# What is passed by


def test_images_and_folders_that_are_not_read_are_said(here, monkeypatch, caplog):
    touch("m/a.mrc", "m/b.eer", "m/c.dm4", "m/d.mrc.zst", "m/README.txt", "m/.e.eer", "m/locked/f.mrc", "m/x.xml")
    Path("m/gone").symlink_to("nowhere")
    Path("m/self").symlink_to("self")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with passed_by_collected() as passed_by:
        assert names("m") == ["a.mrc"]
    said = {"m/b.eer", "m/c.dm4", "m/d.mrc.zst", "m/gone", "m/self", "m/locked"}
    assert {one.path for one in passed_by} == said
    assert all(any(path in line for line in caplog.messages) for path in said)
    source = FolderSource(Path("m"), Path("out"))
    source.scan(set())
    assert {one.path for one in source.passed_by} >= said - {"m/gone", "m/self"}


def test_an_error_says_what_is_there_instead_of_micrographs(here):
    touch("m/b.eer")
    for given in ("m", "m/*", "m/b.eer"):
        with pytest.raises(InputError, match="EER movie"):
            find_micrographs([given])


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("b.csv", "x;y;width;height\n104,62;8,38;27;27\n", "with commas"),
        ("b.csv", "104,62;8,38;27;27\n206,1;88,4;27;27\n", ""),
        ("b.csv", "Filename,X-Coordinate,Y-Coordinate,Diameter,Foo\n", ""),
        ("b.csv", "index,axis-0,axis-1\n0,10,20\n", ""),
        ("b.txt", "x_px y_px\n1 2\n", ""),
        ("b.txt", "10 20\n30 40\n", ""),
        ("b.star", "data_\n\nloop_\n_otherCoordinateX #1\n_otherCoordinateY #2\n1 2\n", ""),
        ("b.json", '{"shapes": [{"points": [[1, 2]]}]}', ""),
        ("b.xlsx", "PK", "spreadsheet"),
        ("b.box.gz", "", "unpack"),
    ],
)
def test_labels_that_are_not_understood_are_said_with_the_reason(here, name, text, reason, caplog):
    touch("labels/a.box", text=BOX)
    touch(f"labels/{name}", text=text)
    with passed_by_collected() as passed_by:
        parts = read_all_picks("labels")
    if len(parts) == 1:  # a later version may learn to read it
        assert [one.path for one in passed_by] == [f"labels/{name}"]
        assert reason in passed_by[0].reason
        assert any(name in line for line in caplog.messages)
        Path("labels/a.box").unlink()
        with pytest.raises(InputError, match=name):
            read_all_picks("labels")


def test_other_files_beside_labels_are_not_said(here):
    touch("l/a.box", text=BOX)
    touch("l/README.txt", text="Picked by x, y and z in 2024.\n1 2\n")
    touch("l/job.star", text="data_job\n_rlnJobTypeLabel relion.autopick\n")
    touch("l/quality.csv", text="micrograph,n_picks,junk_share\na.mrc,2,0.1\n")
    touch("l/run.log", "l/note.md", "l/x.pdf", text="1 2\n")
    touch("l/run.json", text='{"threshold": 1}')
    with passed_by_collected() as passed_by:
        read_all_picks("l")
    assert passed_by == []


# One image of each exposure

MOTIONCOR = [f"mic_1{ending}.mrc" for ending in ("", "_DW", "_DWS", "_EVN", "_ODD", "_PS")]


@pytest.mark.parametrize(
    ("files", "taken"),
    [
        (MOTIONCOR, "mic_1_DW.mrc"),
        ([name for name in MOTIONCOR if "_DW." not in name], "mic_1_DWS.mrc"),
        (["mic_1.mrc", "mic_1_PS.mrc", "mic_1_noDW.mrc"], "mic_1.mrc"),
        (["mic_1_noDW.mrc", "mic_1_PS.mrc"], "mic_1_noDW.mrc"),
        (
            ["x_patch_aligned.mrc", "x_patch_aligned_doseweighted.mrc", "x_background.mrc"],
            "x_patch_aligned_doseweighted.mrc",
        ),
        (["x_rigid_aligned.mrc", "x_thumb_@1x.png", "x_thumb_@2x.png"], "x_rigid_aligned.mrc"),
        (
            ["average/x.mrc", "average/even/x.mrc", "average/odd/x.mrc", "deconv/x.mrc", "powerspectrum/x.mrc"],
            "average/x.mrc",
        ),
        (["average/x.mrc", "x.tif", "thumbnails/x.png"], "average/x.mrc"),
        (["x_deconv.mrc", "x.mrc"], "x.mrc"),
        (["x_patch_aligned_doseweighted_denoised.mrc", "x_patch_aligned.mrc"], "x_patch_aligned.mrc"),
        (["x_DW_mask.mrc", "x_DW.mrc", "x_DW_powpair.jpg", "x_DW_pow.mrc"], "x_DW.mrc"),
        (["x_even.mrc", "x_odd.mrc", "x.mrc"], "x.mrc"),
        (["x.mrc", "x.jpg"], "x.mrc"),
        (["x.mrc", "x.mrc.gz"], "x.mrc"),
        (["x.mrc", "gain.mrc", "K3-gain-ref.mrc", "SuperRef_1.mrc", "GainReference.mrc"], "x.mrc"),
        (
            [
                "Data/FoilHole_12_Data_34_56_20240101_120000.mrc",
                "Data/FoilHole_12_Data_34_56_20240101_120000.jpg",
                "FoilHoles/FoilHole_12_20240101_115959.mrc",
                "GridSquare_20240101_110000.mrc",
            ],
            "Data/FoilHole_12_Data_34_56_20240101_120000.mrc",
        ),
    ],
)
def test_one_image_of_an_exposure_is_taken(here, files, taken):
    touch(*(f"m/{name}" for name in files))
    with passed_by_collected() as passed_by:
        assert names("m") == [taken]
    assert {one.path for one in passed_by} == {f"m/{name}" for name in files} - {f"m/{taken}"}
    (line,) = passed_by_lines(passed_by)
    assert line.startswith(f"{len(files) - 1} derived image")
    assert names("m/**/*.*") == [str(Path(taken))] == watched("m")


@pytest.mark.parametrize(
    "files",
    [
        ["mic_1_DW.mrc", "mic_2_DW.mrc"],
        ["mic_1.mrc", "mic_2_DW.mrc", "mic_3_DWS.mrc", "mic_4_noDW.mrc"],
        ["x_denoised.mrc", "y_denoised.mrc"],
        ["odd.mrc", "grid_even.mrc", "again.mrc", "adw.mrc", "gain_of_function_1.mrc", "PS.mrc", "sample_ps.mrc"],
        ["1/x.mrc", "2/x_DW.mrc"],
        ["a.png", "b.jpg"],
        ["even/x.mrc", "even/y.mrc"],
        ["FoilHole_12_Data_34_56_20240101_120000_fractions.mrc"],
        ["May08_03.05.02.mrc", "May08_03.05.03.mrc"],
    ],
)
def test_where_no_other_image_of_the_exposure_is_there_every_image_is_a_micrograph(here, files):
    touch(*(f"m/{name}" for name in files))
    assert sorted(names("m")) == sorted(files) == watched("m")


def test_nothing_but_power_spectra_is_an_error_that_names_the_option(here):
    touch("m/a_PS.mrc", "m/b_PS.mrc")
    with pytest.raises(InputError, match=r"2 images here.*power spectrum.*include='\*'"):
        find_micrographs(["m"])
    assert names("m", include=["_PS"]) == ["a_PS.mrc", "b_PS.mrc"]


def test_include_brings_back_an_ending_or_a_pattern(here):
    touch(*(f"m/{name}" for name in MOTIONCOR))
    assert names("m", include=["_EVN"]) == watched("m", include=["_EVN"]) == ["mic_1_DW.mrc", "mic_1_EVN.mrc"]
    assert names("m", include=["*_PS.mrc"]) == ["mic_1_DW.mrc", "mic_1_PS.mrc"]
    assert sorted(names("m", include=["*"])) == sorted(MOTIONCOR)


def test_what_was_asked_for_by_name_is_never_left_out(here, caplog):
    touch(*(f"m/{name}" for name in MOTIONCOR))
    assert names("m/*_EVN.mrc") == ["mic_1_EVN.mrc"]
    assert not caplog.messages
    assert sorted(names(*(f"m/{name}" for name in MOTIONCOR))) == sorted(MOTIONCOR)
    assert "5 images" in caplog.text


def test_the_micrographs_of_a_star_are_never_left_out(here):
    touch("m/a.mrc", "m/a_DW.mrc")
    Path("m.star").write_text("data_\n\nloop_\n_rlnMicrographName #1\nm/a.mrc\nm/a_DW.mrc\n")
    assert names("m.star") == ["m/a.mrc", "m/a_DW.mrc"]


def test_a_better_image_that_comes_after_the_picks_does_not_replace_the_one_with_picks(here):
    touch("m/a.mrc", "m/b.mrc")
    source = FolderSource(Path("m"), Path("out"))
    found = {file.name for file, _ in source.scan(set())}
    assert found == {"a.mrc", "b.mrc"}
    touch("m/a_DW.mrc", "m/b_DW.mrc", "m/c_DW.mrc", "m/c.mrc")
    # a.mrc is picked; b.mrc still waits, so its better sibling takes its place.
    found = {file.name for file, _ in source.scan({"a.mrc"})}
    assert found == {"a.mrc", "b_DW.mrc", "c_DW.mrc"}
    # The next watcher, or `pick`, knows it from the run folder.
    touch("out/micrographs/a.json", text="{}")
    assert watched("m") == names("m", leave_out=["out"]) == ["a.mrc", "b_DW.mrc", "c_DW.mrc"]
    # So do the labels of a project of `label`.
    touch("project/history/c.jsonl")
    assert names("m", leave_out=["project"]) == ["a_DW.mrc", "b_DW.mrc", "c.mrc"]


def test_images_of_20000_exposures_are_sorted_out_in_seconds(here):
    os.makedirs("m")
    for i in range(10_000):
        for ending in ("", "_DW"):
            os.mknod(f"m/mic_{i:05d}{ending}.mrc")
    start = time.perf_counter()
    assert len(names("m")) == 10_000
    assert time.perf_counter() - start < 10
