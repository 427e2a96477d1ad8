"""`vitripick report`: run folders in, one HTML file out."""

import json

import mrcfile
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from vitripick.cli.report import report
from vitripick.errors import InputError, UsageError
from vitripick.formats import write_picks
from vitripick.geometry import Boxes
from vitripick.picking.junk import write_junk
from vitripick.runs.report import gather_run

app = typer.Typer()
app.command()(report)


def invoke(*arguments):
    """Run the command; an error of ours is raised, as `vitripick.cli.app` expects."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def write_run(folder, *names):
    """A run folder as `pick` leaves it, with its micrographs beside it."""
    (folder / "micrographs").mkdir(parents=True)
    (folder / "cbox").mkdir()
    generator = np.random.default_rng(0)
    for name in names:
        stem = name.removesuffix(".mrc")
        mrcfile.write(folder.parent / name, generator.integers(-99, 99, (200, 300)).astype(np.int8), overwrite=True)
        picks = Boxes.at([100, 200], [100, 150], size_px=40, confidence=[0.9, 0.4])
        write_picks(picks, folder / "cbox" / f"{stem}.cbox")
        record = {
            "name": name,
            "path": str(folder.parent / name),
            "stem": stem,
            "shape": [200, 300],
            "pixel_size": None,
            "n_stored": 2,
            "n_picks": 1,
            "seconds": 0.5,
            "timings": {"read": 0.1, "pick": 0.4},
            "warnings": ["the header is odd"],
            "key": "0",
        }
        (folder / "micrographs" / f"{stem}.json").write_text(json.dumps(record))
    run = {
        "threshold": 0.5,
        "model": "general",
        "settings": {"diameter_px": 40.0, "formats": ["star", "cbox"]},
        "seconds": 1.25,
        "micrographs": [{"name": name} for name in names],
    }
    (folder / "run.json").write_text(json.dumps(run))
    failure = {"micrograph": "broken.mrc", "path": "broken.mrc", "error": "has 3 of 10 bytes"}
    (folder / "failures.jsonl").write_text(json.dumps(failure) + "\n")
    return folder


def write_labels(folder, *names):
    folder.mkdir()
    for name in names:
        write_picks(Boxes.at([100], [100], size_px=40), folder / f"{name}.box")
    return folder


def test_a_run_becomes_one_page(tmp_path):
    run = write_run(tmp_path / "run 1", "a.mrc", "b.mrc")
    out = tmp_path / "page.html"
    printed = json.loads(invoke(run, "--out", out, "--json").stdout)
    page = out.read_text(encoding="utf-8")
    assert printed["runs"] == [{"name": "run 1", "n_micrographs": 2, "n_picks": 2, "n_failed": 1}]
    for told in ("Picks: run 1", "a.mrc", "the header is odd", "has 3 of 10 bytes", "general"):
        assert told in page


def test_the_quality_line_and_the_junk_map_of_a_run_are_shown(tmp_path):
    run = write_run(tmp_path / "run", "a.mrc", "b.mrc")
    before = gather_run(run).micrographs[0].overlay_png
    quality = {
        "threshold": 0.5, "diameter_px": 40.0, "mean_confidence": 0.9, "covered_share": 0.02, "junk_share": 0.5,
        "edge_junk_share": 0.5, "n_on_junk": 0, "suspected": ["mostly junk", "carbon edge"],
    }  # fmt: skip
    path = run / "micrographs" / "a.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "quality": quality}))
    write_junk(run / "junk" / "a.png", np.repeat([[1, 0]], 10, axis=0).astype(np.float32))
    gathered = gather_run(run)
    assert [m.junk_share for m in gathered.micrographs] == [0.5, None]
    assert gathered.micrographs[0].suspected == ("mostly junk", "carbon edge")
    assert gathered.micrographs[0].overlay_png != before
    assert gathered.quality[0] == "suspected mostly junk: 1 (a.mrc 50% junk)"
    invoke(run, "--out", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "a.mrc: 1 picks · mostly junk; carbon edge<" in page
    assert "<td>mostly junk; carbon edge</td>" in page


def test_labels_bring_precision_and_recall(tmp_path):
    run = write_run(tmp_path / "run", "a.mrc")
    labels = write_labels(tmp_path / "labels", "a")
    invoke(run, "--labels", labels, "--out", tmp_path / "page.html", "--leak", "seen in training")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Against labels" in page
    assert "seen in training" in page


def test_labels_that_are_not_understood_are_in_the_json(tmp_path):
    run = write_run(tmp_path / "run", "a.mrc")
    labels = write_labels(tmp_path / "labels", "a")
    (labels / "b.xlsx").write_bytes(b"PK")
    printed = json.loads(invoke(run, "--labels", labels, "--out", tmp_path / "page.html", "--json").stdout)
    assert [one["path"] for one in printed["passed_by"]] == [str(labels / "b.xlsx")]


def test_labels_once_for_each_run_are_taken_in_order(tmp_path):
    one, two = write_run(tmp_path / "one", "a.mrc"), write_run(tmp_path / "two", "b.mrc")
    first, second = write_labels(tmp_path / "l1", "a"), write_labels(tmp_path / "l2", "b")
    invoke(one, two, "--labels", first, "--labels", second, "--out", tmp_path / "page.html")
    assert "All runs against labels" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_two_label_sets_for_three_runs_are_refused(tmp_path):
    with pytest.raises(UsageError, match="2 times for 3 runs"):
        invoke("a", "b", "c", "--labels", "x", "--labels", "y")


def test_a_folder_that_is_not_a_run_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"there is no run\.json"):
        invoke(tmp_path, "--out", tmp_path / "page.html")


def test_a_damaged_record_is_refused_by_name(tmp_path):
    run = write_run(tmp_path / "run", "a.mrc")
    (run / "micrographs" / "a.json").write_text("{")
    with pytest.raises(InputError, match=r"a\.json"):
        gather_run(run)


def test_a_micrograph_that_has_moved_away_has_no_overlay_and_the_report_says_why(tmp_path):
    run = write_run(tmp_path / "run", "a.mrc", "b.mrc")
    (tmp_path / "a.mrc").unlink()
    gathered = gather_run(run)
    assert [m.overlay_png is None for m in gathered.micrographs] == [True, False]
    assert "No overlay of a.mrc" in gathered.notes[0]


def test_overlays_are_taken_evenly_when_there_are_many_micrographs(tmp_path):
    run = write_run(tmp_path / "run", *[f"m{i}.mrc" for i in range(7)])
    gathered = gather_run(run, max_overlays=3)
    assert [m.name for m in gathered.micrographs if m.overlay_png] == ["m0.mrc", "m3.mrc", "m6.mrc"]


def test_steps_are_summed_over_the_micrographs(tmp_path):
    gathered = gather_run(write_run(tmp_path / "run", "a.mrc", "b.mrc"))
    assert gathered.timings["pick"] == pytest.approx(0.8)


def test_only_settings_that_were_set_are_listed(tmp_path):
    run = write_run(tmp_path / "run", "a.mrc")
    assert gather_run(run).settings == {"model": "general", "--diameter-px": 40.0}
    fields = json.loads((run / "run.json").read_text())
    found = {"unit": "px", "diameter": 40.0, "low": 38.0, "high": 42.0, "micrographs": []}
    chosen = {"threshold": 0.5, "chosen_by": "scores", "models_own": 0.4, "n_picks": 3, "micrographs": ["a.mrc"]}
    fields |= {"survey": {"diameter": found, "threshold": chosen}, "threshold_from": "survey"}
    fields["settings"] |= {"threshold": 0.5, "edge": "box"}
    (run / "run.json").write_text(json.dumps(fields))
    assert gather_run(run).settings == {"model": "general", "--edge": "box"}


def test_the_report_says_how_diameter_and_threshold_were_found(tmp_path):
    run = write_run(tmp_path / "run", "a.mrc")
    assert gather_run(run).found == ("diameter 40 px, as given", "threshold 0.5, the model's own")
    fields = json.loads((run / "run.json").read_text())
    chosen = {"threshold": 0.5, "chosen_by": "scores", "models_own": 0.4, "n_picks": 3, "micrographs": ["a.mrc"]}
    chosen |= {"expected_precision": 0.96, "expected_recall": 0.9}
    (run / "run.json").write_text(json.dumps({**fields, "survey": {"threshold": chosen}, "threshold_from": "survey"}))
    assert gather_run(run).found == (
        "diameter 40 px, as given",
        "threshold 0.5, chosen by itself on 1 micrograph (the model's own: 0.4)",
        "of 100 picks about 96 are expected to be particles; of 100 particles that the network sees, about 90 are "
        "picked",
    )
    (run / "run.json").write_text(json.dumps({**fields, "survey": {"threshold": "damaged"}}))
    assert gather_run(run).found == ("diameter 40 px, as given", "threshold 0.5, the model's own")


def test_the_report_begins_with_pictures(tmp_path):
    run = write_run(tmp_path / "run", "a.mrc")
    invoke(run, "--out", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    order = [page.index(text) for text in ("<h2>", 'details class="zoom"', "micrographs picked", "as given")]
    assert order == sorted(order)
    assert "as wide as the box that is written for a pick (40 px)" in page


def test_runs_of_one_name_are_told_apart_and_compared(tmp_path):
    runs = [write_run(tmp_path / day / "picks", "a.mrc") for day in ("monday", "tuesday")]
    labels = tmp_path / "labels"
    write_picks(Boxes.at([100], [100], size_px=40), labels / "a.csv")
    result = invoke(*runs, "--labels", labels, "--out", tmp_path / "report.html", "--json")
    assert [run["name"] for run in json.loads(result.stdout)["runs"]] == ["monday/picks", "tuesday/picks"]
    assert "All runs against" in (tmp_path / "report.html").read_text()


def test_labels_of_a_micrograph_that_failed_are_not_told_as_of_another_run(tmp_path):
    run = write_run(tmp_path / "run", "a.mrc")
    gathered = gather_run(run, write_labels(tmp_path / "labels", "a", "broken"))
    assert gathered.notes == ("Labels of micrographs that failed in this run, not judged: broken.mrc.",)
