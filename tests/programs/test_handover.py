"""A hand-over tried dry: what fits, and each way in which a run and a project may not fit."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from made import rings
from vitripick.errors import InputError, UsageError
from vitripick.formats import read_picks, write_mrc, write_picks
from vitripick.models import open_model
from vitripick.programs.handover import check_handover
from vitripick.runs import pick_many
from vitripick.settings.pick import PickSettings

STAR = "CtfFind/job003/micrographs_ctf.star"
EMPTY = "MotionCorr/job002/empty.mrc"
NAMES = ("MotionCorr/job002/grid1/a.mrc", "MotionCorr/job002/grid2/a.mrc", EMPTY)
FIRST = "picks/star/MotionCorr/job002/grid1/a_autopick.star"
# Not square, and not the same upside down, so that every other reading of the picks is another picture.
SHAPE = (600, 560)
N = 16


def sixteen_rings(seed):
    return rings(seed, shape=SHAPE, x=(80, 200, 340, 480), y=(60, 130, 250, 430))


COLUMNS = {"rlnVoltage": 300, "rlnSphericalAberration": 2.7, "rlnAmplitudeContrast": 0.1, "rlnMicrographPixelSize": 2}


def write_star(names=NAMES, *, without=(), path=STAR, **changed):
    columns = {"rlnOpticsGroup": 1, "rlnOpticsGroupName": "opticsGroup1", **COLUMNS, **changed}
    columns = {name: value for name, value in columns.items() if name not in without}
    labels = "".join(f"_{name} #{i}\n" for i, name in enumerate(columns, 1))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(
        f"\n# version 30001\n\ndata_optics\n\nloop_\n{labels}{' '.join(map(str, columns.values()))}\n\n\n"
        "data_micrographs\n\nloop_\n_rlnMicrographName #1\n_rlnOpticsGroup #2\n"
        + "".join(f"{name} 1\n" for name in names)
        + "\n"
    )


def pick(names=(STAR,), out="picks", **settings):
    settings = {"diameter_px": 60, "threshold": 0.4, **settings}
    pick_many(list(names), out, open_model("general"), PickSettings(**settings))


@pytest.fixture(scope="module")
def picked(tmp_path_factory):
    """A RELION project with a run: two micrographs of sixteen rings in two folders, and one with nothing in it."""
    folder = tmp_path_factory.mktemp("picked")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for seed, name in enumerate(NAMES[:2]):
            write_mrc(name, sixteen_rings(seed), pixel_size=2.0)
        write_mrc(EMPTY, np.full(SHAPE, 7, np.float32), pixel_size=2.0)
        write_star()
        pick()
    return folder


@pytest.fixture
def project(picked, tmp_path, monkeypatch):
    folder = tmp_path / "project"
    shutil.copytree(picked, folder)
    monkeypatch.chdir(folder)
    return folder


def check(about, *, to="relion", run="picks", **options):
    """Return the hand-over, and what the checks of this kind said."""
    found = check_handover(run, to, **options)
    chosen = [one for one in found.checks if one.about == about]
    return found, {one.result for one in chosen}, " ".join(one.text for one in chosen)


def test_a_run_that_fits_says_how_many_particles_relion_will_extract_and_what_to_type(project):
    found = check_handover("picks", "relion")
    assert found.fits
    assert found.n_taken == found.n_picks == 2 * N
    assert {one.about: one.result for one in found.checks} == {
        "names": "fits",
        "exports": "fits",
        "images": "fits",
        "stacks": "fits",
        "optics": "fits",
        "border": "fits",
        "empty": "note",
        "orientation": "fits",
    }
    later, older = found.steps
    assert later.where == "RELION 4 and 5"
    assert "Extract, Input coordinates: picks/autopick.star" in later.lines
    folder = "picks/star/MotionCorr/job002/"
    assert older.lines[0] == f"echo {STAR} > {folder}coords_suffix_autopick.star"
    assert f"Extract, Input coordinates: {folder}coords_suffix_autopick.star" in older.lines
    assert f"--coord_dir {folder} --coord_suffix _autopick.star" in older.lines[-1]


def test_a_project_of_one_version_is_told_the_steps_of_this_version(project):
    Path("default_pipeline.star").write_text("data_pipeline_processes\n\nloop_\n_rlnPipeLineProcessType #1\n")
    assert [steps.where for steps in check_handover("picks", "relion").steps] == ["RELION 3.1"]
    Path("default_pipeline.star").write_text("data_pipeline_processes\n\nloop_\n_rlnPipeLineProcessTypeLabel #1\n")
    assert [steps.where for steps in check_handover("picks", "relion").steps] == ["RELION 4 and 5"]


def test_a_project_may_lie_elsewhere_than_one_works(project, monkeypatch):
    monkeypatch.chdir(project.parent)
    found = check_handover("project/picks", "relion", project="project")
    assert found.fits
    assert str(found.micrographs) == STAR


def test_the_star_with_most_of_the_run_and_fewest_others_is_taken(project):
    write_star(NAMES[:1], path="Select/job009/micrographs.star")
    write_star([*NAMES, "MotionCorr/job002/z.mrc"], path="CtfFind/job011/micrographs_ctf.star")
    assert str(check_handover("picks", "relion").micrographs) == STAR


def test_micrographs_under_another_name_lose_their_picks(project):
    theirs = NAMES[1].replace("grid2", "grid9")
    write_star([NAMES[0], theirs])
    found, results, text = check("names")
    assert not found.fits
    assert results == {"misfit"}
    assert "1 of 2 micrographs with picks are not in" in text
    assert f"{NAMES[1]}; the STAR has {theirs}" in text
    assert found.n_taken == N


def test_a_micrograph_that_is_listed_twice_is_extracted_twice(project):
    write_star([*NAMES, NAMES[0]])
    found, results, text = check("names")
    assert not found.fits
    assert (found.n_picks, found.n_taken, results) == (2 * N, 3 * N, {"misfit"})
    assert f"more than once ({NAMES[0]})" in text


def test_a_folder_with_a_blank_is_a_misfit(project):
    pick(out="my picks")
    found, results, text = check("blanks", run="my picks")
    assert (found.n_taken, results) == (0, {"misfit"})
    assert "'my picks/autopick.star'" in text


def test_micrographs_that_were_not_picked_are_named(project):
    other = "MotionCorr/job002/later.mrc"
    write_mrc(other, rings(), pixel_size=2.0)
    write_star([*NAMES, other])
    found, results, text = check("names")
    assert found.fits
    assert results == {"note"}
    assert other in text


def test_picks_of_a_folder_fit_only_if_it_was_named_from_the_project(project):
    pick(["MotionCorr"], "relative")
    assert check_handover("relative", "relion").fits
    pick([project / "MotionCorr"], "absolute")
    found, results, text = check("names", run="absolute")
    assert (found.n_taken, results) == (0, {"misfit"})
    assert "Pick from this STAR" in text


def test_a_run_without_files_for_relion_says_which_format_to_write(project):
    pick(out="cboxes", formats=("cbox",))
    found, results, text = check("exports", run="cboxes")
    assert not found.fits
    assert results == {"misfit"}
    assert "formats='star'" in text or "formats=('star',)" in text


def test_a_missing_coordinate_file_is_a_misfit(project):
    Path(FIRST).unlink()
    found, results, text = check("exports")
    assert (found.n_taken, results) == (N, {"misfit"})
    assert FIRST in text


def test_files_of_another_threshold_are_stale(project):
    write_picks(read_picks(FIRST).select([0, 1]), FIRST)
    found, results, text = check("exports")
    assert not found.fits
    assert results == {"misfit"}
    assert f"2 rows for {N} picks" in text


def test_a_table_that_lacks_a_micrograph_is_a_misfit(project):
    table = Path("picks/autopick.star")
    lines = [line for line in table.read_text().splitlines(keepends=True) if "grid2" not in line]
    table.write_text("".join(lines))
    found, results, text = check("exports")
    assert (found.n_taken, results) == (N, {"misfit"})
    assert NAMES[1] in text


def test_a_table_from_another_folder_names_files_that_relion_does_not_find(project, monkeypatch):
    monkeypatch.chdir(project.parent)
    pick([f"project/{STAR}"], "project/from_above")
    monkeypatch.chdir(project)
    found, results, text = check("exports", run="from_above")
    assert (found.n_taken, results) == (0, {"misfit"})
    assert "from_above" in text


def test_an_image_of_another_shape_is_not_the_one_that_was_picked(project):
    write_mrc(NAMES[0], rings(shape=(300, 280)), pixel_size=4.0)
    _, results, text = check("images")
    assert results == {"misfit", "note"}
    assert "300 x 280 pixels, the picked one 600 x 560" in text


def test_a_missing_image_is_a_misfit(project):
    Path(NAMES[1]).unlink()
    found, results, text = check("images")
    assert (found.n_taken, results) == (N, {"misfit"})
    assert NAMES[1] in text
    Path(NAMES[0]).unlink()
    assert check("images")[0].n_taken == 0, "RELION stops where the first of the STAR is missing"


def test_an_image_that_was_written_again_is_noted(project):
    os.utime(NAMES[0], (1, 1))
    found, results, text = check("images")
    assert found.fits
    assert results == {"note"}
    assert NAMES[0] in text


@pytest.mark.parametrize(("pipeline", "result"), [("Type", "misfit"), ("TypeLabel", "fits"), (None, "note")])
def test_float16_stops_relion_3(project, pipeline, result):
    for name in NAMES:
        write_mrc(name, sixteen_rings(0), pixel_size=2.0, dtype=np.float16)
    pick(out="halves")
    if pipeline is not None:
        Path("default_pipeline.star").write_text(f"data_pipeline_nodes\n\nloop_\n_rlnPipeLineNode{pipeline} #1\n")
    found, results, text = check("images", run="halves")
    assert results == {result}
    assert found.n_taken == (0 if result == "misfit" else found.n_picks)
    assert ("float16" in text) is (result != "fits")


def test_images_that_relion_does_not_read_are_named(project):
    import cv2

    grey = np.clip(sixteen_rings(0) * 20 + 128, 0, 255).astype(np.uint8)
    cv2.imwrite("MotionCorr/job002/a.png", grey)
    write_star(["MotionCorr/job002/a.png"])
    pick(out="pictures")
    found, results, text = check("images", run="pictures")
    assert (found.n_taken, results) == (0, {"misfit"})
    assert "neither" in text


def test_micrographs_whose_stacks_would_meet_are_a_misfit(project):
    """RELION's Extract names a stack by the path after the job, so one stack overwrites the other."""
    twin = NAMES[0].replace("job002", "job007")
    Path(twin).parent.mkdir(parents=True)
    shutil.copy(NAMES[0], twin)
    write_star([NAMES[0], twin])
    pick(out="twins")
    found, results, text = check("stacks", run="twins")
    assert not found.fits
    assert results == {"misfit"}
    assert twin in text
    assert [steps.where for steps in found.steps] == ["RELION 4 and 5"], "no folder suits RELION 3.1"


def test_relion_3_cannot_find_files_of_two_jobs(project):
    other = "MotionCorr/job007/b.mrc"
    write_mrc(other, rings(), pixel_size=2.0)
    write_star([NAMES[0], other])
    pick(out="two_jobs")
    assert check_handover("two_jobs", "relion").fits
    Path("default_pipeline.star").write_text("data_pipeline_nodes\n\nloop_\n_rlnPipeLineNodeType #1\n")
    found, results, text = check("names", run="two_jobs")
    assert (found.n_taken, found.steps) == (0, ())
    assert "misfit" in results
    assert "RELION 3.1 looks" in text


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ("rlnVoltage", "no voltage"),
        ("rlnSphericalAberration", "no spherical aberration"),
        ("rlnMicrographPixelSize", "no pixel size"),
    ],
)
def test_optics_that_relion_stops_without_are_a_misfit(project, column, says):
    write_star(without=[column])
    found, results, text = check("optics")
    assert (found.n_taken, results) == (0, {"misfit"})
    assert says in text


def test_optics_without_an_amplitude_contrast_are_noted(project):
    write_star(without=["rlnAmplitudeContrast"])
    found, results, _ = check("optics")
    assert found.fits
    assert results == {"note"}


def test_a_star_without_optics_is_a_misfit(project):
    Path(STAR).write_text("\ndata_\n\nloop_\n_rlnMicrographName #1\n" + "\n".join(NAMES) + "\n\n")
    found, results, text = check("optics")
    assert (found.n_taken, results) == (0, {"misfit"})
    assert "relion_convert_star" in text


def test_another_pixel_size_than_the_run_used_is_a_misfit(project):
    write_star(rlnMicrographPixelSize=1.5)
    found, results, text = check("optics")
    assert not found.fits
    assert results == {"misfit"}
    assert "2 Å per pixel" in text
    assert "1.5" in text


def test_boxes_that_stick_out_are_counted(project):
    _, results, text = check("border", box_size_px=100)
    assert results == {"fits"}
    _, results, text = check("border", box_size_px=140)
    assert results == {"note"}
    assert text.startswith("8 of 32 boxes of 140 px stick out")
    assert "pads" in text
    _, _, text = check("border", box_size_px=600)
    assert text.startswith("32 of 32 boxes")


def test_coordinates_of_a_larger_image_lie_outside_and_stop_relion(project):
    boxes = read_picks(FIRST)
    write_picks(boxes.scaled(4.0), FIRST)
    found, results, text = check("border", box_size_px=100)
    assert not found.fits
    assert results == {"misfit"}
    assert NAMES[0] in text


def test_a_run_without_any_picks_is_a_misfit(project):
    pick(out="none", threshold=1.0)
    found, results, _ = check("empty", run="none")
    assert (found.n_picks, found.fits, results) == (0, False, {"misfit"})


@pytest.mark.parametrize(
    ("mirror", "words"), [(lambda image: image[::-1], "with y flipped"), (lambda image: image, None)]
)
def test_picks_of_mirrored_images_are_noticed(project, mirror, words):
    for seed, name in enumerate(NAMES[:2]):
        write_mrc(name, np.ascontiguousarray(mirror(sixteen_rings(seed))), pixel_size=2.0)
    found, results, text = check("orientation")
    assert results == ({"fits"} if words is None else {"misfit"})
    assert found.fits is (words is None)
    assert words is None or words in text


def test_images_that_show_nothing_of_the_picks_are_noted(project):
    for name in NAMES[:2]:
        write_mrc(name, np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32), pixel_size=2.0)
    assert check("orientation")[1] == {"note"}


def test_what_is_no_run_or_has_no_list_of_micrographs_is_an_error(project):
    with pytest.raises(InputError, match=r"no run\.json"):
        check_handover("MotionCorr", "relion")
    with pytest.raises(UsageError, match="relion or cryosparc"):
        check_handover("picks", "eman2")
    with pytest.raises(UsageError, match="even number"):
        check_handover("picks", "relion", box_size_px=101)
    with pytest.raises(InputError, match="no such folder"):
        check_handover("picks", "relion", project="nowhere")
    Path(STAR).unlink()
    with pytest.raises(InputError, match="Give micrographs="):
        check_handover("picks", "relion")


def write_exposures(*paths, shape=SHAPE, pixel_size=2.0, dtype="<u4", path="J12/J12_passthrough_exposures.cs"):
    fields = [("uid", "<u8"), ("micrograph_blob/path", "S100"), ("micrograph_blob/shape", dtype, (2,))]
    rows = np.zeros(len(paths), [*fields, ("micrograph_blob/psize_A", "<f4")])
    for row, name in zip(rows, paths, strict=True):
        row["micrograph_blob/path"] = name
        row["micrograph_blob/shape"] = shape
        row["micrograph_blob/psize_A"] = pixel_size
    rows["uid"] = np.arange(1, len(paths) + 1)
    Path(path).parent.mkdir(exist_ok=True)
    with open(path, "wb") as file:
        np.save(file, rows)
    return path


@pytest.fixture
def of_cryosparc(project):
    """A run of two micrographs whose base names differ."""
    for seed, name in enumerate("ab"):
        write_mrc(f"S1/{name}.mrc", sixteen_rings(seed), pixel_size=2.0)
    pick(["S1"], "for_cryosparc")
    return {"to": "cryosparc", "run": "for_cryosparc"}


def test_a_run_that_fits_cryosparc_says_so_and_what_to_type(of_cryosparc):
    source = write_exposures("J12/imported/a.mrc", "J12/imported/b.mrc", "J12/imported/c.mrc")
    found, results, _ = check("names", **of_cryosparc)
    assert found.fits
    assert results == {"fits"}
    assert (str(found.micrographs), found.n_taken) == (source, 2 * N)
    (steps,) = found.steps
    assert steps.lines[0] == (
        f"vitripick cryosparc for_cryosparc --out for_cryosparc/for_cryosparc.star --against {source}"
    )


@pytest.mark.parametrize(
    ("pattern", "options"),
    [
        ("{}_patch_aligned.mrc", "--add-suffix=_patch_aligned"),
        ("x1_{}_DW.mrc", "--add-prefix=x1_ --add-suffix=_DW"),
    ],
)
def test_steps_that_make_the_names_equal_are_found_and_given(of_cryosparc, pattern, options):
    write_exposures(*(f"J12/imported/{pattern.format(name)}" for name in "ab"))
    found, _, _ = check("names", **of_cryosparc)
    assert found.fits
    assert found.steps[0].lines[0].endswith(options)


def test_names_that_cryosparc_does_not_have_are_a_misfit(of_cryosparc):
    write_exposures("J12/imported/a.mrc", "J12/imported/q.mrc")
    found, results, text = check("names", **of_cryosparc)
    assert (found.n_taken, results) == (N, {"misfit"})
    assert "b.mrc" in text


def test_two_exposures_of_one_base_name_are_a_misfit(of_cryosparc):
    write_exposures("J12/g1/a.mrc", "J12/g2/a.mrc", "J12/g2/b.mrc")
    found, results, text = check("names", **of_cryosparc)
    assert (found.n_taken, results) == (N, {"misfit"})
    assert "two exposures have the base name a.mrc" in text


@pytest.mark.parametrize(
    ("options", "says"), [({"shape": (1200, 1120)}, "1200 x 1120"), ({"pixel_size": 1.0}, "has 1")]
)
def test_exposures_of_another_size_are_a_misfit(of_cryosparc, options, says):
    write_exposures("J12/imported/a.mrc", "J12/imported/b.mrc", **options)
    found, results, text = check("images", **of_cryosparc)
    assert not found.fits
    assert results == {"misfit"}
    assert says in text


def test_exposures_that_do_not_say_their_shape_are_noted(of_cryosparc):
    write_exposures("J12/imported/a.mrc", "J12/imported/b.mrc", dtype="S9")
    found, results, _ = check("images", **of_cryosparc)
    assert found.fits
    assert results == {"note"}


def test_two_micrographs_of_one_base_name_are_a_misfit(of_cryosparc):
    write_mrc("S2/a.mrc", sixteen_rings(2), pixel_size=2.0)
    pick(["S1", "S2"], "both")
    write_exposures("J12/imported/a.mrc", "J12/imported/b.mrc")
    found, results, text = check("names", to="cryosparc", run="both")
    assert not found.fits
    assert results == {"misfit"}
    assert "S1/a.mrc and S2/a.mrc have one base name" in text
