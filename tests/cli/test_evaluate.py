"""`vitripick evaluate`: figures on stdout, what could not be paired on stderr."""

import json
import os

import mrcfile
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from made import relion_particles
from vitripick.cli.evaluate import evaluate
from vitripick.errors import FormatError, InputError
from vitripick.formats import write_picks
from vitripick.geometry import Boxes

app = typer.Typer()
app.command()(evaluate)


def invoke(*arguments):
    """Run the command; an error of ours is raised, as `vitripick.cli.app` expects."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def write_boxes(path, *places, confidence=np.nan, size_px=40.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    boxes = Boxes.at([x for x, _ in places], [y for _, y in places], size_px=size_px, confidence=confidence)
    write_picks(boxes, path)
    return path


def write_run(folder, *names, threshold=0.5):
    """A run folder as `pick` leaves it; on each micrograph a true pick at 0.9 and a false one at 0.4."""
    for name in names:
        stem = name.removesuffix(".mrc")
        write_boxes(folder / "cbox" / f"{stem}.cbox", (100, 100), (300, 300), confidence=[0.9, 0.4])
        record = {
            "name": name,
            "path": str(folder.parent / name),
            "stem": stem,
            "shape": [400, 500],
            "pixel_size": None,
            "n_stored": 2,
            "n_picks": 1,
            "seconds": 0.5,
            "timings": {"read": 0.1, "pick": 0.4},
            "warnings": [],
            "key": "0",
        }
        (folder / "micrographs").mkdir(parents=True, exist_ok=True)
        (folder / "micrographs" / f"{stem}.json").write_text(json.dumps(record))
    listed = [{"name": name, "n_picks": 1, "n_stored": 2} for name in names]
    (folder / "run.json").write_text(json.dumps({"threshold": threshold, "micrographs": listed}))
    return folder


def test_two_files_of_different_names_are_compared(tmp_path):
    picks = write_boxes(tmp_path / "mine.csv", (100, 100), (300, 300), confidence=[0.9, 0.4])
    labels = write_boxes(tmp_path / "hers.box", (100, 100))
    result = json.loads(invoke(picks, labels, "--json").stdout)
    assert result["criteria"]["iou"]["default"]["precision"] == 0.5


def test_the_table_is_plain_text_on_stdout(tmp_path):
    labels = write_boxes(tmp_path / "a.box", (100, 100))
    result = invoke(labels, labels, "--leak", "none of it", "--details")
    assert "IoU ≥ 0.6" in result.stdout
    assert "none of it" in result.stdout
    assert result.stderr == ""


def test_one_line_says_what_matters_and_the_table_is_asked_for(tmp_path):
    labels = write_boxes(tmp_path / "a.box", (100, 100), (300, 300))
    picks = write_boxes(tmp_path / "b.csv", (100, 100), (200, 300), (250, 100), confidence=[0.9, 0.4, 0.3])
    lines = invoke(picks, labels).stdout.splitlines()
    assert lines[0] == "1 of 2 labelled particles found; 1 of 3 picks right: F1 0.400 (distance ≤ d/4)"
    assert lines[1] == "at threshold 0.90 it would be F1 0.667"
    assert len(lines) == 3
    assert "IoU" not in "".join(lines)


def test_where_no_particle_is_labelled_each_pick_is_false(tmp_path):
    empty = write_boxes(tmp_path / "labels" / "a.csv")
    picks = write_boxes(tmp_path / "picks" / "a.csv", (100, 100), confidence=0.9)
    first, *_ = invoke(picks, empty).stdout.splitlines()
    assert first == "1 pick where no particle is labelled; each of them counts as false"


def test_folders_are_paired_by_name_and_what_is_left_is_named(tmp_path):
    for name in ("a", "b"):
        write_boxes(tmp_path / "picks" / f"{name}.csv", (100, 100), confidence=0.9)
    for name in ("a", "c"):
        write_boxes(tmp_path / "labels" / f"{name}.box", (100, 100))
    result = invoke(tmp_path / "picks", tmp_path / "labels", "--json")
    assert [row["name"] for row in json.loads(result.stdout)["micrographs"]] == ["a", "c"]
    assert "1 with picks without labels, not judged: b\n" in result.stderr
    assert "1 with labels without picks, judged as zero picks: c\n" in result.stderr


def test_what_is_passed_by_is_in_the_json(tmp_path):
    for name in ("picks/a.csv", "labels/a.box"):
        write_boxes(tmp_path / name, (100, 100), **({"confidence": 0.9} if name.endswith("csv") else {}))
    (tmp_path / "labels" / "b.csv").write_text("x;y\n1;2\n")
    result = json.loads(invoke(tmp_path / "picks", tmp_path / "labels", "--json").stdout)
    assert [one["path"] for one in result["passed_by"]] == [str(tmp_path / "labels" / "b.csv")]


def test_labels_that_fit_no_picks_are_an_error(tmp_path):
    picks = write_boxes(tmp_path / "picks" / "a.csv", (100, 100)).parent
    labels = write_boxes(tmp_path / "labels" / "z.box", (100, 100)).parent
    with pytest.raises(InputError, match="none of these labels"):
        invoke(picks, labels)


def test_a_run_brings_its_threshold_and_its_shapes(tmp_path):
    run = write_run(tmp_path / "run", "a.mrc")
    labels = write_boxes(tmp_path / "labels" / "a.box", (100, 100), (5, 200))
    result = json.loads(invoke(run, labels.parent, "--json").stdout)
    assert result["threshold"] == 0.5
    assert result["criteria"]["iou"]["default"]["precision"] == 1
    assert result["n_labels_ignored"] == 1
    assert result["notes"] == []


def test_a_threshold_that_is_given_goes_before_the_runs(tmp_path):
    run = write_run(tmp_path / "run", "a.mrc")
    labels = write_boxes(tmp_path / "labels" / "a.box", (100, 100))
    result = json.loads(invoke(run, labels.parent, "--threshold", 0.3, "--json").stdout)
    assert result["criteria"]["iou"]["default"]["precision"] == 0.5


def test_labels_of_micrographs_that_a_run_never_saw_are_not_judged(tmp_path):
    run = write_run(tmp_path / "run", "a.mrc")
    for name in ("a", "z"):
        write_boxes(tmp_path / "labels" / f"{name}.box", (100, 100))
    result = invoke(run, tmp_path / "labels", "--json")
    assert json.loads(result.stdout)["criteria"]["iou"]["default"]["recall"] == 1
    assert "1 with labels of a micrograph that was not picked, not judged: z\n" in result.stderr


def test_a_record_of_an_earlier_run_is_not_part_of_this_one(tmp_path):
    run = write_run(tmp_path / "run", "a.mrc", "old.mrc")
    listed = [{"name": "a.mrc"}]
    (run / "run.json").write_text(json.dumps({"threshold": 0.5, "micrographs": listed}))
    for name in ("a", "old"):
        write_boxes(tmp_path / "labels" / f"{name}.box", (100, 100))
    result = json.loads(invoke(run, tmp_path / "labels", "--json").stdout)
    assert [row["name"] for row in result["micrographs"]] == ["a.mrc"]


@pytest.mark.parametrize("names_stems", [True, False])
def test_an_older_record_of_the_same_micrograph_under_another_stem_is_not_judged(tmp_path, names_stems):
    run = write_run(tmp_path / "run", "a.mrc")
    write_boxes(run / "cbox" / "a.mrc.cbox", (300, 300), confidence=[0.9])
    old, new = run / "micrographs" / "a.mrc.json", run / "micrographs" / "a.json"
    old.write_text(json.dumps({**json.loads(new.read_text()), "stem": "a.mrc"}))
    os.utime(old, ns=(1, 1))
    listed = [{"name": "a.mrc", "stem": "a"} if names_stems else {"name": "a.mrc"}]
    (run / "run.json").write_text(json.dumps({"threshold": 0.5, "micrographs": listed}))
    write_boxes(tmp_path / "labels" / "a.box", (100, 100))
    result = json.loads(invoke(run, tmp_path / "labels", "--json").stdout)
    assert result["criteria"]["iou"]["default"]["recall"] == 1


def test_two_picks_files_of_one_micrograph_are_an_error(tmp_path):
    write_boxes(tmp_path / "picks" / "a.cbox", (100, 100), confidence=[0.9])
    write_boxes(tmp_path / "picks" / "a_autopick.star", (300, 300), confidence=[0.9])
    write_boxes(tmp_path / "labels" / "a.box", (100, 100))
    with pytest.raises(FormatError, match="two sets of picks have the name a;"):
        invoke(tmp_path / "picks", tmp_path / "labels")


def test_a_run_whose_record_is_lost_is_an_error(tmp_path):
    run = write_run(tmp_path / "run", "a.mrc")
    (run / "micrographs" / "a.json").unlink()
    labels = write_boxes(tmp_path / "labels" / "a.box", (100, 100))
    with pytest.raises(InputError, match=r"a\.mrc"):
        invoke(run, labels.parent)


def test_the_micrographs_tell_where_the_border_is(tmp_path):
    picks = write_boxes(tmp_path / "picks" / "a.csv", (100, 100), confidence=0.9).parent
    labels = write_boxes(tmp_path / "labels" / "a.box", (100, 100), (100, 195)).parent
    (tmp_path / "mics").mkdir()
    mrcfile.write(tmp_path / "mics" / "a.mrc", np.zeros((200, 300), dtype=np.int8))
    result = json.loads(invoke(picks, labels, "--micrographs", tmp_path / "mics", "--json").stdout)
    assert result["n_labels_ignored"] == 1
    assert result["criteria"]["iou"]["default"]["recall"] == 1


def test_picks_on_the_border_are_told_though_no_figure_counts_them(tmp_path):
    picks = write_boxes(tmp_path / "picks" / "a.csv", (100, 100), (5, 50), (298, 60), confidence=0.9).parent
    labels = write_boxes(tmp_path / "labels" / "a.box", (100, 100)).parent
    (tmp_path / "mics").mkdir()
    mrcfile.write(tmp_path / "mics" / "a.mrc", np.zeros((200, 300), dtype=np.int8))
    result = json.loads(invoke(picks, labels, "--micrographs", tmp_path / "mics", "--json").stdout)
    assert (result["n_picks"], result["n_picks_border"]) == (3, 2)
    assert result["criteria"]["iou"]["default"]["precision"] == 1
    told = invoke(picks, labels, "--micrographs", tmp_path / "mics", "--details").stdout
    assert "3 of 3 stored, 2 of them on the border" in told
    assert "on the border" not in invoke(picks, labels, "--details").stdout


def test_the_curves_are_drawn_where_asked(tmp_path):
    labels = write_boxes(tmp_path / "a.box", (100, 100))
    invoke(labels, labels, "--pr-png", tmp_path / "new" / "curve.png")
    assert (tmp_path / "new" / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_that_was_interrupted_is_no_heap_of_picks_without_a_threshold(tmp_path):
    run = write_run(tmp_path / "run", "a.mrc")
    (run / "run.json").unlink()
    labels = write_boxes(tmp_path / "labels" / "a.box", (100, 100))
    with pytest.raises(InputError, match=r"no run\.json.*run it again"):
        invoke(run, labels.parent)


def test_where_nothing_is_and_nothing_was_picked_the_run_knows_the_diameter(tmp_path):
    run = write_run(tmp_path / "run", "a.mrc")
    write_boxes(run / "cbox" / "a.cbox", confidence=[])
    record = json.loads((run / "micrographs" / "a.json").read_text())
    quality = {"threshold": 0.5, "diameter_px": 40.0, "mean_confidence": None, "covered_share": 0.0, "junk_share": None}
    record |= {"n_stored": 0, "n_picks": 0, "quality": {**quality, "suspected": []}}
    (run / "micrographs" / "a.json").write_text(json.dumps(record))
    labels = write_boxes(tmp_path / "labels" / "a.csv")
    result = json.loads(invoke(run, labels.parent, "--json").stdout)
    assert result["diameter_px"] == 40
    assert (result["n_particle_free"], result["n_picks_particle_free"]) == (1, 0)


def test_a_negative_seed_is_a_wrong_use(tmp_path):
    picks = write_boxes(tmp_path / "a.csv", (100, 100))
    assert invoke(picks, picks, "--seed", "-1").exit_code == 2


def test_labels_of_a_micrograph_that_failed_are_told_apart_from_those_of_one_never_given(tmp_path):
    run = write_run(tmp_path / "run", "a.mrc")
    failure = {"micrograph": "broken.mrc", "path": "broken.mrc", "error": "has 3 of 10 bytes"}
    (run / "failures.jsonl").write_text(json.dumps(failure) + "\n")
    for name in ("a", "broken", "z"):
        write_boxes(tmp_path / "labels" / f"{name}.box", (100, 100))
    result = invoke(run, tmp_path / "labels", "--json")
    assert "1 with labels of a micrograph that failed in this run, not judged: broken.mrc\n" in result.stderr
    assert "1 with labels of a micrograph that was not picked, not judged: z\n" in result.stderr
    assert [row["name"] for row in json.loads(result.stdout)["micrographs"]] == ["a.mrc"]


def test_where_all_labelled_micrographs_failed_the_error_says_that(tmp_path):
    run = write_run(tmp_path / "run", "a.mrc")
    (run / "failures.jsonl").write_text(json.dumps({"micrograph": "broken.mrc"}) + "\n")
    labels = write_boxes(tmp_path / "labels" / "broken.box", (100, 100))
    with pytest.raises(InputError, match=r"failed, for example broken\.mrc"):
        invoke(run, labels.parent)


def test_the_run_knows_the_diameter_though_only_other_micrographs_have_picks(tmp_path):
    run = write_run(tmp_path / "run", "empty.mrc", "full.mrc")
    write_boxes(run / "cbox" / "empty.cbox", confidence=[])
    record = json.loads((run / "micrographs" / "full.json").read_text())
    quality = {"threshold": 0.5, "diameter_px": 40.0, "mean_confidence": 0.9, "covered_share": 0.1, "junk_share": None}
    record |= {"quality": {**quality, "suspected": []}}
    (run / "micrographs" / "full.json").write_text(json.dumps(record))
    labels = write_boxes(tmp_path / "labels" / "empty.csv")
    assert json.loads(invoke(run, labels.parent, "--json").stdout)["diameter_px"] == 40


@pytest.mark.parametrize("content", ["{}", '{"micrographs": 3}', '{"micrographs": [3]}'])
def test_a_run_json_that_lists_no_micrographs_says_to_pick_again(tmp_path, content):
    run = write_run(tmp_path / "run", "a.mrc")
    (run / "run.json").write_text(content)
    labels = write_boxes(tmp_path / "labels" / "a.box", (100, 100))
    with pytest.raises(InputError, match=r"run\.json: .*Run pick again"):
        invoke(run, labels.parent)


@pytest.mark.parametrize(("threshold", "code"), [("nan", 2), ("inf", 2), ("-3", 0)])
def test_a_threshold_is_a_number_below_zero_too_as_topaz_scores_are(tmp_path, threshold, code):
    picks = write_boxes(tmp_path / "a.csv", (100, 100))
    assert invoke(picks, picks, "--threshold", threshold).exit_code == code


@pytest.mark.parametrize("more", [["--details"], ["--json"]])
def test_plain_files_that_agree_on_nothing_being_there_need_no_diameter(tmp_path, more):
    for folder in ("picks", "labels"):
        write_boxes(tmp_path / folder / "a.csv")
    told = invoke(tmp_path / "picks", tmp_path / "labels", *more).stdout
    assert (json.loads(told)["diameter_px"] is None) if "--json" in more else ("not known, no boxes" in told)


def test_labels_lie_where_a_refinement_found_them_unless_coordinates_are_to_stay(tmp_path):
    optics = {"rlnOpticsGroup": 1, "rlnOpticsGroupName": "one"}
    columns = {
        "rlnMicrographName": "a.mrc",
        "rlnCoordinateX": 100.0,
        "rlnCoordinateY": 100.0,
        "rlnOpticsGroup": 1,
        "rlnOriginXAngst": 80.0,
        "rlnOriginYAngst": 0.0,
    }
    labels = relion_particles(tmp_path / "labels.star", columns, optics=optics)
    picks = write_boxes(tmp_path / "a.cbox", (80, 100), confidence=0.9)
    given = (picks, labels, "--label-box-size-px", 40, "--json", "--border-px", 0)
    found = json.loads(invoke(*given, "--pixel-size", 4).stdout)
    left = json.loads(invoke(*given, "--keep-coordinates").stdout)
    assert [one["criteria"]["distance"]["default"]["recall"] for one in (found, left)] == [1.0, 0.0]
    with pytest.raises(FormatError, match="pixel size of a"):
        invoke(*given)


def test_picks_in_ignored_boxes_are_not_judged_and_boxes_of_other_micrographs_are_named(tmp_path):
    picks = write_boxes(tmp_path / "p" / "a.csv", (100, 100), (300, 300), confidence=0.9)
    labels = write_boxes(tmp_path / "l" / "a.csv", (100, 100))
    write_boxes(tmp_path / "i" / "a.csv", (300, 300))
    write_boxes(tmp_path / "i" / "other.csv", (300, 300))
    command = [picks.parent, labels.parent, "--json"]
    assert json.loads(invoke(*command).stdout)["criteria"]["distance"]["default"]["n_false"] == 1
    result = invoke(*command, "--ignored", tmp_path / "i")
    assert json.loads(result.stdout)["criteria"]["distance"]["default"]["n_false"] == 0
    assert "1 with boxes to ignore on a micrograph that is not judged, not used: other" in result.stderr
