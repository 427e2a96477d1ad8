"""The same rules for tables of every format: several micrographs, 3-D, filaments, line ends, twin columns, numbers."""

import time
from pathlib import Path

import numpy as np
import pytest

from vitripick.errors import FormatError, UsageError
from vitripick.formats import (
    FORMATS,
    read_all_picks,
    read_micrographs_star,
    read_picks,
    write_coordinate_files_star,
    write_joined_picks,
    write_picks,
)
from vitripick.formats.passed_by import passed_by_collected
from vitripick.formats.picks.table import sniff
from vitripick.geometry import Boxes
from vitripick.programs.cryosparc_names import read_exposures
from vitripick.runs import convert_picks

DATA = Path(__file__).parents[2] / "data"
READ = [name for name, entry in FORMATS.items() if entry.read is not None]
# Formats that share a reader are tried under one name.
STARS = ("star", "cryosparc-star", "particles-star", "warp")


def star(labels, *rows):
    lines = ["", "data_", "", "loop_", *(f"_{label} #{i}" for i, label in enumerate(labels.split(), 1)), *rows]
    return "\n".join(lines) + "\n"


def cbox(labels, *rows):
    labels = "CoordinateX CoordinateY Width Height " + labels
    return star(labels, *rows).replace("data_", "data_cryolo")


def cs_bytes(path, rows, extra=()):
    dtype = [
        ("location/micrograph_path", "S40"),
        ("location/micrograph_shape", "<u4", (2,)),
        ("location/center_x_frac", "<f4"),
        ("location/center_y_frac", "<f4"),
        *extra,
    ]
    with path.open("wb") as file:
        np.save(file, np.array(rows, dtype))
    return path


SEVERAL = {
    "star": [
        star("rlnMicrographName rlnCoordinateX rlnCoordinateY", "m/a.mrc 10 20", "m/b.mrc 30 40", "m/a.mrc 50 60"),
        star("rlnCoordinateX rlnCoordinateY rlnImageName", "10 20 01@m/a.mrcs", "30 40 1@m/b.mrcs", "50 60 2@m/a.mrcs"),
        star("rlnCoordinateX rlnCoordinateY rlnMicrographMovieName", "10 20 a.eer", "30 40 b.eer", "50 60 a.eer"),
    ],
    "topaz": ["image_name\tx_coord\ty_coord\na\t10\t20\nb\t30\t40\na\t50\t60\n"],
    "cbox": [cbox("micrograph", "9 19 2 2 a.mrc", "29 39 2 2 b.mrc", "49 59 2 2 a.mrc")],
    "csv": [
        f"{column},x,y\n{a},10,20\n{b},30,40\n{a},50,60\n"
        for column, a, b in (
            *((name, "m/a.mrc", "m/b.mrc") for name in ("micrograph", "Micrograph Name", "micrograph_name", "mic")),
            *((name, "a.tif", "b.tif") for name in ("image_name", "filename", "file", "path", "rlnMicrographName")),
            ("taken_with_the_new_camera", "a.mrc", "b.mrc"),
            *((name, "a", "b") for name in ("image", "Exposure", "exposure_name", "basename")),
        )
    ],
}
TOMOGRAMS = {
    "star": [
        star("rlnCoordinateX rlnCoordinateY rlnCoordinateZ", "1 2 3"),
        star("rlnCoordinateX rlnCoordinateY rlnTomoName", "1 2 TS_1"),
        star("rlnMicrographName rlnCoordinateX rlnCoordinateY", "TS_01.tomostar 1 2"),
        star("rlnTomoName rlnCenteredCoordinateXAngst rlnCenteredCoordinateYAngst", "TS_1 1 2"),
    ],
    "cbox": [cbox("CoordinateZ", "1 2 3 4 5")],
    "topaz": ["image_name\tx_coord\ty_coord\tz_coord\na\t1\t2\t3\n"],
    "csv": ["x,y,z\n1,2,3\n", "x,y,Z (px)\n1,2,3\n", "x,y,tomogram\n1,2,TS_1\n", "x,y,micrograph\n1,2,TS_1.tomostar\n"],
    "eman2": [
        '{"boxes": [[1, 2, 3, "manual"]]}',
        '{"boxes_3d": [[1, 2, 3, "manual", 0, 0]]}',
        '{"boxes": [[1, 2, "manual"]], "boxes_3d": [[1, 2, 3, "manual", 0, 0]]}',
    ],
}
FILAMENTS = {
    "star": [
        star("rlnCoordinateX rlnCoordinateY rlnHelicalTubeID", "1 2 1"),
        star("rlnCoordinateX rlnCoordinateY rlnHelicalTrackLengthAngst", "1 2 0.0"),
    ],
    "cbox": [cbox("filamentid", "1 2 3 4 0")],
    "box": ["1 2 4 4 -1\n5 6 4 4 -2\n", "#helix: (1, 2),(3, 4),5\n"],
    "topaz": ["image_name\tx_coord\ty_coord\tfilament\na\t1\t2\t3\n"],
    "csv": ["x,y,helix_id\n1,2,1\n", "x,y,filament/filament_uid\n1,2,77\n"],
    "eman2": ['{"boxes": [[1, 2, "helix"]]}'],
}
TWINS = {
    "star": [star("rlnCoordinateX rlnCoordinateY rlnCoordinateX", "1 2 300")],
    "cbox": [cbox("CoordinateX", "1 2 3 4 300")],
    "topaz": ["image_name\tx_coord\ty_coord\tx_coord\na\t1\t2\t300\n"],
    "csv": ["x,y,x\n1,2,300\n", "X,x,y\n1,2,300\n", "x,y,note,note\n1,2,a,b\n"],
    "eman2": ['{"boxes": [[1, 2, "manual"]], "boxes": [[300, 2, "manual"]]}'],
}
ENDINGS = {"star": ".star", "cbox": ".cbox", "topaz": ".txt", "csv": ".csv", "eman2": "_info.json", "box": ".box"}


def each(table):
    return [pytest.param(name, text, id=f"{name}-{i}") for name, texts in table.items() for i, text in enumerate(texts)]


def written(folder, name, text):
    path = folder / f"labels{ENDINGS[name]}"
    path.write_text(text)
    return path


def test_every_format_that_is_read_is_tried_here():
    assert set(READ) - set(STARS) == {"cs"} | set(ENDINGS) - {"star"}


@pytest.mark.parametrize(("name", "text"), each(SEVERAL))
def test_a_table_is_split_by_the_micrographs_that_it_names(tmp_path, name, text):
    a, b = read_all_picks(written(tmp_path, name, text))
    assert [Path(boxes.micrograph).stem for boxes in (a, b)] == ["a", "b"]
    assert (a.x.tolist(), a.y.tolist()) == ([10, 50], [20, 60])
    assert (b.x.tolist(), b.y.tolist()) == ([30], [40])


def test_a_csv_of_several_micrographs_gives_a_file_for_each(tmp_path):
    source = DATA / "csv-of-several-micrographs" / "picks.csv"
    files = convert_picks(source, tmp_path, to="box", box_size_px=30)
    assert [file.name for file in files] == ["mic_a.box", "mic_b.box"]
    with pytest.raises(FormatError, match=r"2 micrographs .*mic_a\.mrc"):
        read_picks(source)


@pytest.mark.parametrize("column", ["image_id", "mic_no", "Micrograph Nr.", "img_number", "exposure_uid", "images idx"])
def test_a_table_that_has_only_numbers_of_several_micrographs_is_refused(tmp_path, column):
    path = written(tmp_path, "csv", f"{column},x,y\n1,10,20\n2,30,40\n")
    with pytest.raises(FormatError, match=rf"several micrographs, but it has only their numbers .{column.lower()}"):
        read_all_picks(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("csv", "micrograph,x,y\na.mrc,10,20\n,30,40\n"),
        ("topaz", "image_name\tx_coord\ty_coord\na.mrc\t10\t20\n\t30\t40\n"),
        ("star", star("rlnMicrographName rlnCoordinateX rlnCoordinateY", "a.mrc 10 20", "None 30 40")),
    ],
)
def test_a_row_without_a_micrograph_is_left_out_and_counted(tmp_path, caplog, name, text):
    (a,) = read_all_picks(written(tmp_path, name, text))
    assert (a.micrograph, a.x.tolist()) == ("a.mrc", [10])
    assert "1 of 2 rows name no micrograph and are left out (first in line" in caplog.text


def test_a_cs_row_without_a_micrograph_is_left_out_and_counted(caplog):
    (a,) = read_all_picks(DATA / "tables-of-a-job" / "one_without_a_micrograph.cs")
    assert len(a) == 2
    assert "1 of 3 rows name no micrograph and are left out (first in row 3)" in caplog.text


def test_what_was_left_out_is_in_the_result(tmp_path):
    with passed_by_collected() as passed_by:
        read_all_picks(DATA / "tables-of-a-job" / "one_without_a_micrograph.cs")
    assert [one.reason for one in passed_by] == ["1 of 3 rows name no micrograph (first in row 3)"]
    write_picks(PICKS, tmp_path / "b.star")
    write_coordinate_files_star([("m/a.mrc", "a.star"), ("m/b.mrc", "b.star")], tmp_path / "autopick.star")
    with passed_by_collected() as passed_by:
        assert len(read_all_picks(tmp_path / "autopick.star")) == 1
    assert [one.path for one in passed_by] == ["a.star"]


@pytest.mark.parametrize(("name", "text"), each(TOMOGRAMS))
def test_coordinates_of_a_tomogram_are_refused(tmp_path, name, text):
    path = written(tmp_path, name, text)
    with pytest.raises(FormatError, match=r"these are coordinates of a tomogram .* only 2-D micrographs are supported"):
        read_all_picks(path)
    with pytest.raises(FormatError, match="these are coordinates of a tomogram"):
        read_all_picks(tmp_path)  # a folder does not pass them by


@pytest.mark.parametrize(("name", "text"), each(FILAMENTS))
def test_filaments_are_refused(tmp_path, name, text):
    with pytest.raises(FormatError, match=r"these are filaments .* not particles"):
        read_all_picks(written(tmp_path, name, text))


def test_a_cs_file_with_z_is_refused(tmp_path):
    row, extra = (b"a.mrc", (40, 50), 0.5, 0.5, 0.5), [("location/center_z_frac", "<f4")]
    with pytest.raises(FormatError, match="these are coordinates of a tomogram"):
        read_all_picks(cs_bytes(tmp_path / "p.cs", [row], extra))


def test_filaments_of_a_cs_file_are_refused(tmp_path):
    path = cs_bytes(tmp_path / "p.cs", [(b"a.mrc", (40, 50), 0.5, 0.5, 77)], [("filament/filament_uid", "<u8")])
    with pytest.raises(FormatError, match=r"these are filaments .column filament/filament_uid"):
        read_all_picks(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("csv", "x,y,z\n10,20,0\n30,40,\n"),
        ("star", star("rlnCoordinateX rlnCoordinateY rlnCoordinateZ", "10 20 0.0", "30 40 0")),
    ],
)
def test_a_z_of_nothing_is_two_dimensions(tmp_path, name, text):
    assert len(read_picks(written(tmp_path, name, text))) == 2


@pytest.mark.parametrize("kind", ["filament-star", "tomo-star", "tomo-eman2"])
def test_files_of_filaments_and_tomograms_are_refused(kind):
    for path in sorted((DATA / kind).iterdir()):
        with pytest.raises(FormatError, match=r"not particles|only 2-D"):
            read_all_picks(path)


@pytest.mark.parametrize("file", ["a.csv", "a.txt"])
def test_files_with_two_columns_of_one_name_are_refused(file):
    with pytest.raises(FormatError, match="two columns have the name"):
        read_all_picks(DATA / "two-columns-of-one-name" / file)


@pytest.mark.parametrize(("name", "text"), each(TWINS))
def test_two_columns_of_one_name_are_refused(tmp_path, name, text):
    with pytest.raises(FormatError, match=r"two columns have the name|two keys have the name|occurs twice"):
        read_all_picks(written(tmp_path, name, text))


PICKS = Boxes.at([4721, 40], [30, 60], width=20, height=24, confidence=[0.5, 0.25], micrograph="a", shape=(300, 5000))


@pytest.mark.parametrize("end", ["\r", "\r\n", "\r\r\n"])
@pytest.mark.parametrize("name", [name for name in READ if name != "cs"])
def test_no_row_is_lost_over_line_ends(tmp_path, name, end):
    path = tmp_path / f"a{FORMATS[name].suffixes[0]}"
    write_picks(PICKS, path, format=name)
    path.write_bytes(path.read_bytes().replace(b"\n", end.encode()))
    assert sniff(path) is not None
    assert read_picks(path).x.tolist() == [4721, 40]


def test_the_oldest_cbox_and_a_box_of_an_old_mac_keep_their_rows():
    assert len(read_picks(DATA / "mac-line-ends" / "mac.box")) == 3
    assert len(read_picks(DATA / "mac-line-ends" / "mac.cbox")) == 2


@pytest.mark.parametrize("join", [" ", "", "\u2028", "\x85", "\x1e"])
@pytest.mark.parametrize("name", ["box", "cbox", "csv", "topaz"])
def test_two_rows_that_share_a_line_are_not_one_box(tmp_path, name, join):
    text = {
        "box": "10 20 40 40{}30 41 40 40\n",
        "cbox": "10 20 40 40 .9 38 38{}30 41 40 40 .8 38 38\n",
        "csv": "x,y,width,height\n10,20,40,40{}30,41,40,40\n",
        "topaz": "image_name\tx_coord\ty_coord\na\t10\t20{}a\t30\t41\n",
    }[name]
    with pytest.raises(FormatError, match=r"line [12]"):
        read_all_picks(written(tmp_path, name, text.format(join)))


def test_a_quote_that_stays_open_does_not_swallow_the_rows_after_it(tmp_path):
    path = written(tmp_path, "csv", 'x,y,note\n1,2,"ice\n3,4,b"\n')
    with pytest.raises(FormatError, match="line 2: the quotes of this line are wrong"):
        read_picks(path)


@pytest.mark.parametrize("number", ["47_11", "\u0664\u0667", "nan", "inf", "-inf", "1e999", "1e308", "0x10", ""])
@pytest.mark.parametrize("name", ["star", "cbox", "box", "topaz", "csv", "eman2"])
def test_a_place_that_cannot_be_is_refused_in_every_format(tmp_path, name, number):
    path = tmp_path / f"a{ENDINGS[name]}"
    write_picks(PICKS, path, format=name)
    text, place = path.read_text(), "4711" if name in ("box", "cbox") else "4721"
    assert place in text
    text = text.replace(f"{place}.000000", number).replace(f"{place}.0", number).replace(place, number)
    path.write_text({"nan": text.replace("nan", "NaN"), "inf": text.replace("inf", "Infinity")}.get(number, text))
    with pytest.raises(FormatError):
        read_picks(path, format=name)


def test_a_scale_that_leads_beyond_any_micrograph_is_refused(tmp_path):
    path = written(tmp_path, "csv", "x,y\n400000000,2\n")
    assert len(read_picks(path)) == 1
    with pytest.raises(FormatError, match=r"x of a box is 1.6e.09 px, which is beyond any micrograph"):
        read_picks(path, scale=4)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cbox", "10 20 40 40 0.9 -38 39\n"),
        ("csv", "x,y,estimated_width,estimated_height\n1,2,0,3\n"),
        ("csv", "x,y,width,height\n1,2,-4,3\n"),
        ("cbox", cbox("EstWidth", "1 2 3 4 -5")),
        ("box", "1 2 0 4\n"),
    ],
)
def test_a_size_that_cannot_be_is_refused(tmp_path, name, text):
    with pytest.raises(FormatError, match="should be above zero"):
        read_picks(written(tmp_path, name, text))


@pytest.mark.parametrize("name", [name for name in READ if FORMATS[name].holds_confidence and name != "warp"])
def test_a_confidence_outside_0_to_1_is_kept_and_said(tmp_path, caplog, name):
    path = tmp_path / f"a{FORMATS[name].suffixes[0]}"
    picks = Boxes.at([4, 5], [6, 7], size_px=3, confidence=[5, 0.5], micrograph="a.mrc", shape=(40, 50))
    write_picks(picks, path, format=name)
    assert read_picks(path).confidence.tolist() == [5, 0.5]
    assert "1 of 2 confidences lie outside 0 to 1 (0.5 to 5), as scores of other programs do" in caplog.text


def test_confidences_as_ours_are_read_without_a_word(tmp_path, caplog):
    write_picks(PICKS, tmp_path / "a.cbox")
    read_picks(tmp_path / "a.cbox")
    assert caplog.text == ""


def test_an_infinite_confidence_of_a_cs_file_is_refused(tmp_path):
    path = cs_bytes(tmp_path / "p.cs", [(b"a.mrc", (40, 50), 0.5, 0.5, np.inf)], [("pick_stats/ncc_score", "<f4")])
    with pytest.raises(FormatError, match=r"confidence of a box of a\.mrc is infinite"):
        read_picks(path)


@pytest.mark.parametrize("file", ["far.csv", "underscore.csv", "estimate.cbox"])
def test_files_of_numbers_that_cannot_be_are_refused(file):
    with pytest.raises(FormatError):
        read_picks(DATA / "numbers-that-cannot-be" / file)


@pytest.mark.parametrize("file", ["outside.cs", "outside.star"])
def test_places_outside_are_said_in_every_format(tmp_path, caplog, file):
    convert_picks(DATA / "numbers-that-cannot-be" / file, tmp_path / "a.csv")
    assert "lie outside their micrograph and stay in the file" in caplog.text


@pytest.mark.parametrize("size", ["zero", "negative", "nan", "text"])
def test_a_pixel_size_that_cannot_be_counts_as_unknown(tmp_path, size):
    path = DATA / "pixel-size-that-cannot-be" / "zero.star"
    text = path.read_text().replace(
        " 1 0.0 ", {"zero": " 1 0.0 ", "negative": " 1 -1.0 ", "nan": " 1 nan ", "text": " 1 ? "}[size]
    )
    (tmp_path / "p.star").write_text(text)
    a, b = read_all_picks(tmp_path / "p.star")
    assert (a.pixel_size, b.pixel_size) == (None, 0.885)
    with pytest.raises(UsageError, match=r"pixel size of MotionCorr/job002/a.mrc is not known"):
        convert_picks(tmp_path / "p.star", tmp_path / "o.txt", to="cistem")


def test_a_figure_of_merit_of_0_of_manual_picks_is_not_known(tmp_path):
    path = DATA / "manualpick-fom-zero" / "mic1_manualpick.star"
    assert np.isnan(read_picks(path).confidence).all()
    convert_picks(path, tmp_path / "o.csv", threshold=0.3)
    assert len(read_picks(tmp_path / "o.csv")) == 2


def test_a_manual_pick_among_those_of_a_program_has_no_confidence(tmp_path):
    labels = "rlnCoordinateX rlnCoordinateY rlnAnglePsi rlnAutopickFigureOfMerit"
    boxes = read_picks(written(tmp_path, "star", star(labels, "1 2 10 0.5", "3 4 -999.0 0.0", "5 6 20 0.0")))
    np.testing.assert_array_equal(boxes.confidence, [0.5, np.nan, 0])


@pytest.mark.parametrize("n_groups", [10, 1000, 20_000])
def test_coordinates_behind_many_optics_groups_are_found(tmp_path, n_groups):
    groups = [f"opticsGroup{i} {i} 0.885 300.0 2.7 0.1" for i in range(1, n_groups + 1)]
    optics = star(
        "rlnOpticsGroupName rlnOpticsGroup rlnMicrographPixelSize rlnVoltage rlnSphericalAberration "
        "rlnAmplitudeContrast",
        *groups,
    ).replace("data_", "data_optics")
    rows = [f"m/{i}.mrc 10 20 {i}" for i in (1, 2, n_groups)]
    particles = star("rlnMicrographName rlnCoordinateX rlnCoordinateY rlnOpticsGroup", *rows)
    path = tmp_path / "particles.star"
    path.write_text(optics + particles.replace("data_", "data_particles"))
    assert sniff(path).name == "star"
    assert [boxes.pixel_size for boxes in read_all_picks(tmp_path)] == [0.885] * 3


def test_a_large_star_of_something_else_is_not_taken_for_picks(tmp_path):
    (tmp_path / "model.star").write_text(star("rlnSpectralIndex rlnResolution", *["1 2"] * 40_000))
    assert sniff(tmp_path / "model.star") is None


def test_a_cs_table_of_hundreds_of_columns_is_read_without_pickling(tmp_path):
    extra = [(f"alignments_class3D_{i}/cross_cor", "<f4") for i in range(900)]
    path = cs_bytes(tmp_path / "p.cs", [(b"a.mrc", (40, 50), 0.5, 0.5, *[0.0] * 900)] * 2, extra)
    assert len(read_picks(path)) == 2


def test_a_cs_table_of_twenty_thousand_micrographs_is_read_in_seconds(tmp_path):
    rows = [(f"{i}.mrc".encode(), (40, 50), 0.5, 0.5) for i in range(20_000)] * 3
    cs_bytes(tmp_path / "p.cs", rows)
    start = time.perf_counter()
    parts = read_all_picks(tmp_path / "p.cs")
    assert (len(parts), len(parts[0])) == (20_000, 3)
    assert time.perf_counter() - start < 20


@pytest.mark.parametrize("kind", ["S4", "<u4"])
def test_a_cs_column_of_the_wrong_kind_is_refused(tmp_path, kind):
    dtype = [
        ("location/micrograph_path", "<u4"),
        ("location/micrograph_shape", "<u4", (2,)),
        ("location/center_x_frac", kind),
        ("location/center_y_frac", "<f4"),
    ]
    with (tmp_path / "p.cs").open("wb") as file:
        np.save(file, np.zeros(2, dtype))
    with pytest.raises(FormatError, match="should hold"):
        read_all_picks(tmp_path / "p.cs")


def test_movies_and_slices_are_refused_in_words_that_help():
    with pytest.raises(FormatError, match="these are movies; run motion correction first"):
        read_micrographs_star(DATA / "tables-of-a-job" / "movies.star")
    with pytest.raises(FormatError, match="these are movies; run motion correction first"):
        read_all_picks(DATA / "tables-of-a-job" / "movies.star")
    with pytest.raises(FormatError, match="this lists micrographs, but holds no coordinates"):
        read_all_picks(DATA / "names-from-cryosparc" / "micrographs_ctf.star")
    with pytest.raises(FormatError, match=r"names with @, such as 000001@.*, are slices of a stack"):
        read_micrographs_star(DATA / "tables-of-a-job" / "slices.star")
    with pytest.raises(FormatError, match="these are coordinates of a tomogram"):
        read_all_picks(DATA / "tables-of-a-job" / "centred.star")
    with pytest.raises(FormatError, match="this is about tomograms"):
        read_micrographs_star(DATA / "tables-of-a-job" / "centred.star")


def test_a_list_of_names_of_an_old_mac_has_all_of_them():
    assert [exposure.path for exposure in read_exposures(DATA / "mac-line-ends" / "mac.txt")] == ["a.mrc", "b.mrc"]


def test_rows_without_a_name_are_no_exposures():
    (exposure,) = read_exposures(DATA / "tables-of-a-job" / "one_without_a_micrograph.cs")
    assert exposure.path


@pytest.fixture
def relion_project(tmp_path):
    from vitripick.formats import write_mrc

    for name in ("mic1", "mic2"):
        path = tmp_path / "MotionCorr" / "job002" / "Movies" / f"{name}.mrc"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_mrc(path, np.zeros((48, 64), np.float32), pixel_size=1.5)
    for file in (DATA / "names-from-cryosparc").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


MIC1, MIC2 = "MotionCorr/job002/Movies/mic1.mrc", "MotionCorr/job002/Movies/mic2.mrc"
JOINED = [name for name in READ if FORMATS[name].write_joined is not None]


def called(name, format):
    if format == "topaz":
        return Path(name).stem
    return Path(name).name if format == "cryosparc-star" else name


@pytest.mark.parametrize("format", JOINED)
def test_the_micrographs_of_a_star_give_their_own_names(relion_project, format, caplog):
    out = relion_project / f"out{FORMATS[format].suffixes[0]}"
    convert_picks(relion_project / "picks.cs", out, to=format, micrographs=relion_project / "micrographs_ctf.star")
    assert [b.micrograph for b in read_all_picks(out)] == [called(name, format) for name in (MIC1, MIC2)]
    assert "RELION" not in caplog.text


@pytest.mark.parametrize("format", JOINED)
def test_the_micrographs_of_a_folder_give_their_own_names(relion_project, format):
    out = relion_project / f"out{FORMATS[format].suffixes[0]}"
    convert_picks(relion_project / "picks.cs", out, to=format, micrographs=relion_project / "MotionCorr" / "job002")
    names = [called(name.removeprefix("MotionCorr/job002/"), format) for name in (MIC1, MIC2)]
    assert [boxes.micrograph for boxes in read_all_picks(out)] == names


def test_single_files_lie_under_the_micrographs_own_names(relion_project):
    star_file, out = relion_project / "micrographs_ctf.star", relion_project / "out"
    files = convert_picks(relion_project / "picks.cs", out, to="star", micrographs=star_file)
    assert [str(file.relative_to(out)) for file in files] == [
        str(Path(name).with_suffix(".star")) for name in (MIC1, MIC2)
    ]


def test_a_name_that_leads_to_the_same_file_from_here_stays(relion_project, monkeypatch):
    monkeypatch.chdir(relion_project)
    write_joined_picks([Boxes.at([1], [2], micrograph=MIC1)], "p.star")
    convert_picks("p.star", "q.star", to="particles-star", micrographs="MotionCorr/job002")
    assert read_picks("q.star").micrograph == MIC1


@pytest.mark.parametrize("format", ["star", "particles-star"])
def test_names_that_relion_will_not_find_are_warned_about(tmp_path, caplog, format):
    topaz = "image_name\tx_coord\ty_coord\na\t10\t20\nb\t30\t40\n"
    convert_picks(written(tmp_path, "topaz", topaz), tmp_path / "out.star", to=format)
    assert "2 of 2 names of micrographs have no suffix" in caplog.text
    assert "will find no particles there; give Boxes.micrograph" in caplog.text
    caplog.clear()
    convert_picks(DATA / "names-from-cryosparc" / "picks.cs", tmp_path / "out.star", to=format)
    assert "2 of 2 names of micrographs are cryoSPARC's" in caplog.text


def test_files_under_cryosparcs_names_are_warned_about(tmp_path, caplog):
    convert_picks(DATA / "names-from-cryosparc" / "picks.cs", tmp_path / "out", to="star")
    assert "2 of 2 names of micrographs are cryoSPARC's" in caplog.text
    assert "suffix" not in caplog.text


def test_a_name_that_meets_no_micrograph_is_warned_about(relion_project, caplog):
    parts = [Boxes.at([1], [2], micrograph=name) for name in (MIC1, "mic9.mrc")]
    write_joined_picks(parts, relion_project / "p.star")
    micrographs = relion_project / "micrographs_ctf.star"
    convert_picks(relion_project / "p.star", relion_project / "q.star", to="particles-star", micrographs=micrographs)
    assert "mic9.mrc: no micrograph of this name is in" in caplog.text
    assert "RELION will find no particles of it" in caplog.text


def test_many_names_that_meet_no_micrograph_are_one_warning(relion_project, caplog):
    names = (MIC1, *(f"mic{i}.mrc" for i in range(9, 30)))
    write_joined_picks([Boxes.at([1], [2], micrograph=name) for name in names], relion_project / "p.star")
    micrographs = relion_project / "micrographs_ctf.star"
    convert_picks(relion_project / "p.star", relion_project / "q.star", to="star", micrographs=micrographs)
    assert "mic9.mrc: no micrograph of this name (and of 20 more)" in caplog.text
    assert caplog.text.count("no micrograph of this name") == 1


def test_names_with_umlauts_blanks_and_separators_come_back_from_every_joined_format(tmp_path):
    for name in JOINED:
        for micrograph in ("Größe/粒子 1.mrc", "a\u2028b.mrc", "a#b.mrc"):
            path = tmp_path / f"out{FORMATS[name].suffixes[0]}"
            write_joined_picks([Boxes.at([1], [2], micrograph=micrograph, shape=(40, 50))], path, format=name)
            assert read_picks(path).micrograph == called(micrograph, name)


def test_a_name_with_a_tab_does_not_break_a_topaz_table(tmp_path):
    with pytest.raises(UsageError, match="cannot hold the name"):
        write_picks(Boxes.at([1], [2], micrograph="a\tb.mrc"), tmp_path / "a.txt")
    write_picks(Boxes.at([1], [2], micrograph="a\tb.mrc"), tmp_path / "a.star", format="particles-star")
    assert read_picks(tmp_path / "a.star").micrograph == "a\tb.mrc"
