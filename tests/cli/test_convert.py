"""`vitripick convert`, and the library call under it."""

import dataclasses
import json
import logging
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import starfile
import typer
from typer.testing import CliRunner

from made import relion_particles
from vitripick.cli.convert import convert
from vitripick.errors import FormatError, InputError, UsageError
from vitripick.formats import FORMATS, read_all_picks, read_picks, write_mrc, write_picks
from vitripick.geometry import Boxes
from vitripick.runs import convert_picks

# 60 rows, 90 columns; boxes wider than high, off the diagonal.
PICKS = Boxes.at([20, 80], [10, 55], width=[8, 8], height=[4, 4], confidence=[0.75, 0.25])


def micrograph(path, shape=(60, 90)):
    path.parent.mkdir(parents=True, exist_ok=True)
    with mrcfile.new(path) as file:
        file.set_data(np.random.default_rng(0).normal(size=shape).astype(np.float32))
        file.voxel_size = 1.25
    return path


def run(*arguments):
    app = typer.Typer()
    app.command()(convert)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_file_becomes_another(tmp_path):
    write_picks(PICKS, tmp_path / "a.cbox")
    assert convert_picks(tmp_path / "a.cbox", tmp_path / "out" / "a.star") == [tmp_path / "out" / "a.star"]
    back = read_picks(tmp_path / "out" / "a.star")
    assert (back.x.tolist(), back.y.tolist()) == ([20, 80], [10, 55])


def test_the_command_says_what_it_wrote(tmp_path):
    write_picks(PICKS, tmp_path / "a.cbox")
    result = run(tmp_path / "a.cbox", tmp_path / "a.box", "--threshold", 0.5, "--box-size-px", 10)
    assert result.exit_code == 0
    assert result.stdout == f"1 picks of 1 micrograph: {tmp_path / 'a.box'}\n"
    assert (tmp_path / "a.box").read_text() == "15\t5\t10\t10\n"


def test_the_command_prints_json(tmp_path):
    write_picks(PICKS, tmp_path / "a.cbox")
    result = run(tmp_path / "a.cbox", tmp_path / "out", "--to", "csv", "--json")
    assert json.loads(result.stdout) == {
        "micrographs": 1,
        "picks": 2,
        "files": [str(tmp_path / "out" / "a.csv")],
        "passed_by": [],
    }


def test_a_label_file_that_is_not_understood_is_said_and_listed(tmp_path):
    write_picks(PICKS, tmp_path / "in" / "a.csv")
    (tmp_path / "in" / "b.csv").write_text("x;y;width;height\n104,62;8,38;27;27\n")
    result = run(tmp_path / "in", tmp_path / "out", "--to", "box", "--json")
    (passed_by,) = json.loads(result.stdout)["passed_by"]
    assert passed_by["path"] == str(tmp_path / "in" / "b.csv")
    assert "with commas" in passed_by["reason"]


def test_a_folder_becomes_a_folder_and_keeps_its_folders(tmp_path):
    for name in ("g1/a_autopick.star", "g2/a_autopick.star"):
        write_picks(PICKS, tmp_path / "in" / name)
    written = convert_picks(tmp_path / "in", tmp_path / "out", to="eman2")
    assert written == [tmp_path / "out" / "g1" / "a_info.json", tmp_path / "out" / "g2" / "a_info.json"]
    assert all(path.is_file() for path in written)


def test_a_folder_becomes_one_joined_file_and_back(tmp_path):
    for name in "ab":
        write_picks(PICKS, tmp_path / "in" / f"{name}.csv")
    convert_picks(tmp_path / "in", tmp_path / "p.txt")
    assert [boxes.micrograph for boxes in read_all_picks(tmp_path / "p.txt")] == ["a", "b"]
    written = convert_picks(tmp_path / "p.txt", tmp_path / "out", to="box", box_size_px=6)
    assert written == [tmp_path / "out" / "a.box", tmp_path / "out" / "b.box"]
    assert written[1].read_text() == "17\t7\t6\t6\n77\t52\t6\t6\n"


def test_names_in_a_file_do_not_lead_out_of_the_target(tmp_path):
    (tmp_path / "p.txt").write_text("image_name\tx_coord\ty_coord\n../../a\t1\t2\n/tmp/b\t1\t2\n")
    written = convert_picks(tmp_path / "p.txt", tmp_path / "out", to="star")
    assert written == [tmp_path / "out" / "a.star", tmp_path / "out" / "tmp" / "b.star"]


def test_several_micrographs_do_not_fit_a_format_for_one(tmp_path):
    for name in "ab":
        write_picks(PICKS, tmp_path / "in" / f"{name}.csv")
    with pytest.raises(UsageError, match="2 micrographs do not fit one file of the format cbox"):
        convert_picks(tmp_path / "in", tmp_path / "p.cbox")


def test_a_folder_to_write_to_needs_a_format(tmp_path):
    with pytest.raises(UsageError, match="have: to="):
        convert_picks(tmp_path / "a.csv", tmp_path / "out")


def test_the_micrograph_gives_shape_and_name(tmp_path):
    write_picks(PICKS, tmp_path / "labels.csv")
    convert_picks(tmp_path / "labels.csv", tmp_path / "p.cs", micrographs=micrograph(tmp_path / "a.mrc"))
    rows = np.load(tmp_path / "p.cs")
    assert rows["location/micrograph_path"].tolist() == [b"a.mrc"] * 2
    assert rows["location/center_y_frac"].tolist() == pytest.approx([10 / 60, 55 / 60])


def test_the_micrograph_gives_the_rows_to_turn_y_round_once(tmp_path):
    write_picks(PICKS, tmp_path / "a.csv")
    convert_picks(tmp_path / "a.csv", tmp_path / "b.csv", micrographs=micrograph(tmp_path / "a.mrc"), flip_y=True)
    assert read_picks(tmp_path / "b.csv").y.tolist() == [49, 4]
    with pytest.raises(UsageError, match=r"give Boxes\.shape"):
        convert_picks(tmp_path / "a.csv", tmp_path / "b.csv", flip_y=True)


def test_the_micrograph_chooses_from_a_joined_file_or_a_folder(tmp_path):
    (tmp_path / "p.txt").write_text("image_name\tx_coord\ty_coord\na\t1\t2\nb\t3\t4\n")
    b = micrograph(tmp_path / "m" / "b.mrc")
    convert_picks(tmp_path / "p.txt", tmp_path / "out" / "b.csv", micrographs=b)
    assert read_picks(tmp_path / "out" / "b.csv").x.tolist() == [3]
    convert_picks(tmp_path / "out", tmp_path / "c.csv", micrographs=b)
    assert read_picks(tmp_path / "c.csv").x.tolist() == [3]
    with pytest.raises(FormatError, match=r"is c\.mrc"):
        convert_picks(tmp_path / "p.txt", tmp_path / "c.csv", micrographs=micrograph(tmp_path / "m" / "c.mrc"))


def test_a_folder_of_micrographs_gives_every_shape_and_name(tmp_path, caplog):
    micrograph(tmp_path / "m" / "g1" / "a.mrc", (60, 90))
    micrograph(tmp_path / "m" / "b_DW.mrc", (120, 180))
    for name in ("g1/a.csv", "b.csv", "other.csv"):
        write_picks(PICKS, tmp_path / "in" / name)
    with caplog.at_level(logging.WARNING, "vitripick"):
        written = convert_picks(tmp_path / "in", tmp_path / "out", to="csv", micrographs=tmp_path / "m")
    assert [str(path.relative_to(tmp_path / "out")) for path in written] == [
        "b_DW.csv",
        "g1/a.csv",
        "other.csv",
    ]
    assert "other: no micrograph of this name" in caplog.text
    (tmp_path / "in" / "other.csv").unlink()
    convert_picks(tmp_path / "in", tmp_path / "p.cs", micrographs=tmp_path / "m")
    b, a = read_all_picks(tmp_path / "p.cs")
    assert (b.micrograph, b.shape, a.micrograph, a.shape) == ("b_DW.mrc", (120, 180), "g1/a.mrc", (60, 90))


MICROGRAPHS_STAR = (
    "data_optics\n\nloop_\n_rlnOpticsGroupName #1\n_rlnOpticsGroup #2\n_rlnMicrographPixelSize #3\n_rlnVoltage #4\n"
    "afis1 1 0.83 300\nafis2 2 0.83 300\n\n\ndata_micrographs\n\nloop_\n_rlnMicrographName #1\n_rlnOpticsGroup #2\n"
    "m/a.mrc 1\nm/b.mrc 2\n"
)


def picks_of_a_star(folder):
    for name in "ab":
        micrograph(folder / "m" / f"{name}.mrc")
        write_picks(PICKS, folder / "in" / f"{name}.cbox")
    (folder / "m.star").write_text(MICROGRAPHS_STAR)


def test_the_pixel_size_of_a_micrographs_star_goes_before_the_headers(tmp_path):
    picks_of_a_star(tmp_path)
    run(tmp_path / "in", tmp_path / "p.txt", "--to", "cistem", "--micrograph", tmp_path / "m.star")
    assert (tmp_path / "p.txt").read_text().splitlines()[1] == "m/a.mrc 16.6 8.3"


def test_the_pixel_size_in_the_picks_goes_before_the_headers(tmp_path):
    write_picks(PICKS.of(micrograph="a.mrc", pixel_size=0.83), tmp_path / "p.star", format="particles-star")
    run(tmp_path / "p.star", tmp_path / "p.txt", "--to", "cistem", "--micrograph", micrograph(tmp_path / "a.mrc"))
    assert (tmp_path / "p.txt").read_text().splitlines()[1] == "a.mrc 16.6 8.3"


@pytest.mark.parametrize("target", ["p.star", "folder"])
def test_the_optics_groups_of_a_micrographs_star_reach_the_particles(tmp_path, target):
    picks_of_a_star(tmp_path)
    arguments = ["--to", "particles-star", "--micrograph", tmp_path / "m.star", "--threshold", 0.5]
    run(tmp_path / "in", tmp_path / target, *arguments)
    file = tmp_path / "p.star" if target == "p.star" else tmp_path / "folder" / "m" / "b.star"
    tables = starfile.read(file, always_dict=True)
    assert tables["optics"].iloc[-1].tolist() == [2, "afis2", 300, 0.83]
    assert tables["particles"]["rlnOpticsGroup"].tolist() == ([1, 2] if target == "p.star" else [2])


def test_micrographs_that_belong_to_none_of_the_picks_are_an_error(tmp_path):
    micrograph(tmp_path / "m" / "a.mrc")
    for name in ("b.csv", "c.csv"):
        write_picks(PICKS, tmp_path / "in" / name)
    with pytest.raises(InputError, match="none of the 1 micrographs"):
        convert_picks(tmp_path / "in", tmp_path / "out", to="csv", micrographs=tmp_path / "m")


def test_a_name_that_is_a_relion_string_stays_verbatim(tmp_path):
    (tmp_path / "p.star").write_text(
        "data_\nloop_\n_rlnMicrographName\n_rlnCoordinateX\n_rlnCoordinateY\nMotionCorr/job002/a.mrc 1 2\n"
    )
    convert_picks(tmp_path / "p.star", tmp_path / "p.cs", micrographs=micrograph(tmp_path / "a.mrc"))
    assert read_picks(tmp_path / "p.cs").micrograph == "MotionCorr/job002/a.mrc"


def test_picks_of_a_binned_image_are_scaled_back(tmp_path):
    (tmp_path / "p.txt").write_text("image_name\tx_coord\ty_coord\na\t10\t20\n")
    assert run(tmp_path / "p.txt", tmp_path / "a.csv", "--scale", 4).exit_code == 0
    assert (tmp_path / "a.csv").read_text() == "x,y,width,height\n41.5,81.5,,\n"


def test_a_preview_is_drawn_on_the_micrograph(tmp_path):
    write_picks(PICKS, tmp_path / "a.csv")
    image = micrograph(tmp_path / "a.mrc")
    result = run(tmp_path / "a.csv", tmp_path / "a.star", "--micrograph", image, "--preview", tmp_path / "a.png")
    assert result.exit_code == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "arguments", [["--preview", "a.png"], ["--scale", "0"], ["--box-size-px", "-3"], ["--threshold", "nan"]]
)
def test_options_that_cannot_work_end_as_a_usage_error(vitripick, tmp_path, arguments):
    write_picks(PICKS, tmp_path / "a.csv")
    outcome = vitripick("convert", tmp_path / "a.csv", tmp_path / "a.star", *arguments)
    assert outcome.code == 2
    assert arguments[0] in outcome.err


def test_picks_are_filtered_by_confidence_size_and_distance(tmp_path):
    size = [10, 10, 40, 10]
    picks = Boxes.at(
        [50, 53, 90, 150],
        [50] * 4,
        size_px=10,
        confidence=[0.9, 0.8, 0.9, 0.2],
        estimated_width=size,
        estimated_height=size,
    )
    write_picks(picks, tmp_path / "a.cbox")
    filters = ["--minimum-distance-px", 5, "--minimum-size-px", 5, "--maximum-size-px", 20, "--threshold", 0.5]
    assert run(tmp_path / "a.cbox", tmp_path / "a.star", *filters).exit_code == 0
    assert read_picks(tmp_path / "a.star").x.tolist() == [50]
    assert run(tmp_path / "a.cbox", tmp_path / "b.star", *filters[2:]).exit_code == 0
    assert read_picks(tmp_path / "b.star").x.tolist() == [50, 53]


def test_two_sets_of_picks_of_one_micrograph_are_not_joined(tmp_path):
    for name in ("m.box", "m_autopick.star"):
        write_picks(PICKS, tmp_path / "two" / name)
    with pytest.raises(UsageError, match="several sets of picks of m"):
        run(tmp_path / "two", tmp_path / "all.star")


@pytest.mark.parametrize("name", FORMATS)
def test_the_command_counts_the_picks_that_are_in_the_file(tmp_path, name):
    outside_too = Boxes.at([20, 200, -5], [10, 20, 20], size_px=8, confidence=[0.9, 0.8, 0.3])
    write_picks(outside_too, tmp_path / "a.cbox")
    image = micrograph(tmp_path / "a.mrc")
    told = json.loads(run(tmp_path / "a.cbox", tmp_path / "out", "--to", name, "--micrograph", image, "--json").stdout)
    (file,) = told["files"]
    n_lines_below_comment = len(Path(file).read_bytes().splitlines()) - 1  # cisTEM's are not read
    assert told["picks"] == (n_lines_below_comment if name == "cistem" else len(read_picks(file, format=name)))


def test_a_preview_says_which_option_mends_labels_in_another_frame(vitripick, tmp_path):
    stem = "May08_03.05.02"
    mic = f"examples/apoferritin/micrographs/{stem}.mrc"
    labels = read_picks(f"examples/apoferritin/labels/{stem}.csv")
    swapped = dataclasses.replace(labels, x=labels.y, y=labels.x)
    write_picks(swapped, tmp_path / f"{stem}.csv")
    call = (
        "convert",
        tmp_path / f"{stem}.csv",
        tmp_path / "b.csv",
        "--micrograph",
        mic,
        "--preview",
        tmp_path / "p.png",
    )
    assert "--swap-xy" in vitripick(*call).err
    mended = vitripick(*call, "--swap-xy")
    assert "--swap-xy" not in mended.err
    assert read_picks(tmp_path / "b.csv").x == pytest.approx(labels.x, abs=0.01)


def test_corners_are_moved_to_centres(vitripick, tmp_path):
    write_picks(Boxes.at([10.0, 50.0], [20.0, 60.0], size_px=30), tmp_path / "a.csv")
    assert vitripick("convert", tmp_path / "a.csv", tmp_path / "b.csv", "--move-px", 15).code == 0
    assert read_picks(tmp_path / "b.csv").centres.tolist() == [[25, 35], [65, 75]]


FORMS = [
    ("out", "--to", "box"),
    ("--out", "out", "--format", "box"),
    ("out", "--format", "box"),
    ("--out", "out", "--to", "box"),
    ("out", "--out", "out", "--to", "box", "--format", "box"),
]


@pytest.mark.parametrize("arguments", FORMS, ids=" ".join)
def test_where_and_how_to_write_is_said_in_the_old_form_or_as_other_commands_do(
    vitripick, tmp_path, monkeypatch, arguments
):
    monkeypatch.chdir(tmp_path)
    write_picks(PICKS, "a.cbox")
    assert json.loads(vitripick("convert", "a.cbox", *arguments, "--json").out)["files"] == ["out/a.box"]
    assert Path("out/a.box").is_file()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("out", "--out", "other", "--to", "box"), "TARGET says out"),
        (("out", "--format", "box", "--to", "csv"), "--to says csv"),
        (("--format", "box"), "say where to write"),
        (("--out", "out"), "should have: --format"),
    ],
)
def test_two_targets_or_formats_that_disagree_or_none_are_refused(vitripick, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    write_picks(PICKS, "a.cbox")
    outcome = vitripick("convert", "a.cbox", *arguments)
    assert outcome.code == 2
    assert says in outcome.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.cbox"]


def test_the_command_takes_the_threshold_of_a_run(vitripick, ring_micrograph, tmp_path):
    vitripick("pick", ring_micrograph, "--out", tmp_path / "run")
    (stored,) = read_all_picks(tmp_path / "run" / "cbox")
    threshold = float(np.median(stored.confidence))
    assert vitripick("pick", ring_micrograph, "--out", tmp_path / "run", "--threshold", threshold).code == 0
    call = ("convert", tmp_path / "run", tmp_path / "p.star", "--to", "particles-star")
    assert vitripick(*call).out.startswith(f"{len(stored.above(threshold))} picks of 1 micrograph")
    assert f"at the run's threshold of {threshold:g}; --threshold 0 takes all" in vitripick(*call).out
    assert json.loads(vitripick(*call, "--json").out)["threshold"] == pytest.approx(threshold)
    assert vitripick(*call, "--threshold", 0).out.startswith(f"{len(stored)} picks of 1 micrograph")


def refined(path, **optics):
    """Write a particles STAR in which the particle lies 5 px of 2 Å left of its coordinate."""
    columns = {
        "rlnMicrographName": "a.mrc",
        "rlnCoordinateX": 40.0,
        "rlnCoordinateY": 20.0,
        "rlnOpticsGroup": 1,
        "rlnOriginXAngst": 10.0,
        "rlnOriginYAngst": 0.0,
    }
    return relion_particles(path, columns, optics={"rlnOpticsGroup": 1, "rlnOpticsGroupName": "one", **optics})


def test_refined_shifts_are_applied_unless_coordinates_are_to_stay(vitripick, tmp_path, caplog):
    source = refined(tmp_path / "p.star", rlnMicrographPixelSize=2.0)
    vitripick("convert", source, tmp_path / "moved.star")
    assert "1 of 1 coordinates are moved by their refined shifts" in caplog.text
    assert "--keep-coordinates leaves them as they stand" in caplog.text
    vitripick("convert", source, tmp_path / "left.star", "--keep-coordinates")
    assert [read_picks(tmp_path / name).x[0] for name in ("moved.star", "left.star")] == [35.0, 40.0]


def test_the_micrographs_pixel_size_serves_the_shifts(vitripick, tmp_path):
    write_mrc(tmp_path / "micrographs/a.mrc", np.zeros((60, 90), np.float32), pixel_size=2.0)
    source = refined(tmp_path / "p.star", rlnMicrographOriginalPixelSize=0.5)
    vitripick("convert", source, tmp_path / "moved.star", "--micrograph", tmp_path / "micrographs")
    assert read_picks(tmp_path / "moved.star").x[0] == 35.0


def test_shifts_without_a_pixel_size_end_with_the_options_that_help(vitripick, tmp_path):
    source = refined(tmp_path / "p.star")
    told = vitripick("convert", source, tmp_path / "moved.star").err
    assert "--pixel-size" in told
    assert "--keep-coordinates" in told
    vitripick("convert", source, tmp_path / "moved.star", "--pixel-size", "5")
    assert read_picks(tmp_path / "moved.star").x[0] == 38.0
