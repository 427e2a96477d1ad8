"""Filaments on the page: drawn, bent, cut, joined and deleted, in a real browser; saved where other commands read."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from vitripick.errors import UsageError
from vitripick.formats import write_mrc
from vitripick.formats.filaments import read_filaments, write_filaments
from vitripick.geometry import Filament, Filaments
from vitripick.web.project import open_project

AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"


def lines(page):
    """The labelled filaments on the screen, each as [[x, y], …]."""
    return page.evaluate("[...vitripick.sheet().lines.values()]")


def near(found, expected, tolerance=1.0):
    return len(found) == len(expected) and all(
        len(a) == len(b) and np.allclose(a, b, atol=tolerance) for a, b in zip(found, expected, strict=True)
    )


def draw(user, *places):
    for place in places:
        user.click(*place)
    user.page.keyboard.press("Enter")


@pytest.fixture
def page_of(browse, micrographs, tmp_path):
    """Open a project of filaments; more arguments of `vitripick label` may follow."""

    def opened(*arguments, **options):
        where = (micrographs, "--out", tmp_path / "out", "--filaments", "--width-px", 6)
        return browse(*where, *arguments, **options)[0]

    return opened


def test_a_filament_is_drawn_saved_deleted_and_brought_back(page_of, hand, tmp_path):
    page = page_of()
    user = hand(page)
    draw(user, (20, 20), (50, 30), (90, 25))
    user.click(20, 70)
    user.click(100, 60)
    user.click(100, 60)  # the same place again ends it
    assert near(lines(page), [[(20, 20), (50, 30), (90, 25)], [(20, 70), (100, 60)]])
    user.saved()
    (found,) = read_filaments(tmp_path / "out/labels/mic0.csv")
    assert near([one.points for one in found], lines(page), 0.01)
    assert [one.width for one in found] == [6, 6]
    user.click(70, 28, button="right")
    assert len(lines(page)) == 1
    page.keyboard.press("Control+z")
    user.until("vitripick.sheet().lines.size === 2")
    user.until("document.getElementById('toasts').textContent.includes('1 filament back')")
    page.reload()
    user.saved()
    assert len(lines(page)) == 2
    assert page.evaluate("vitripick.store.rows[0].labels") == 2


def test_backspace_takes_the_last_point_and_escape_gives_up(page_of, hand):
    page = page_of()
    user = hand(page)
    for place in ((20, 20), (50, 30), (90, 80)):
        user.click(*place)
    page.keyboard.press("Backspace")
    user.click(80, 20)
    page.keyboard.press("Control+z")
    page.keyboard.press("Enter")
    assert near(lines(page), [[(20, 20), (50, 30)]])
    user.click(20, 70)
    user.click(90, 70)
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    assert len(lines(page)) == 1


def test_a_filament_is_bent_cut_and_joined_and_each_is_one_undo(page_of, hand):
    page = page_of()
    user = hand(page)
    draw(user, (20, 20), (100, 20))
    user.drag((60, 20), (60, 50))  # the line itself gets a point there
    assert near(lines(page), [[(20, 20), (60, 50), (100, 20)]])
    user.drag((60, 50), (60, 40))
    assert near(lines(page), [[(20, 20), (60, 40), (100, 20)]])
    page.keyboard.down("Shift")
    user.click(60, 40)
    page.keyboard.up("Shift")
    assert near(lines(page), [[(20, 20), (60, 40)], [(60, 40), (100, 20)]])
    page.keyboard.press("m")
    assert near([sorted(line) for line in lines(page)], [[(20, 20), (60, 40), (100, 20)]])
    user.saved()
    for expected in (2, 1):
        page.keyboard.press("Control+z")
        user.until(f"vitripick.sheet().lines.size === {expected}")
    page.keyboard.press("Control+z")
    user.until("[...vitripick.sheet().lines.values()][0][1][1] > 45")
    assert near(lines(page), [[(20, 20), (60, 50), (100, 20)]])


def test_an_end_that_is_dragged_onto_another_end_joins_both(page_of, hand):
    page = page_of()
    user = hand(page)
    draw(user, (20, 20), (50, 20))
    draw(user, (70, 24), (100, 30))
    user.click(35, 20)
    user.drag((50, 20), (70, 24))
    user.saved()
    assert near(lines(page), [[(20, 20), (70, 24), (100, 30)]])


def test_the_keyboard_alone_draws_bends_cuts_and_deletes(page_of, hand):
    page = page_of()
    user = hand(page)
    page.evaluate("document.getElementById('one-to-one').focus()")
    page.keyboard.press("Shift+Tab")
    while page.evaluate("document.activeElement.id") != "overlay":
        page.keyboard.press("Shift+Tab")
    middle = page.evaluate("vitripick.viewport.toImage(vitripick.viewport.width / 2, vitripick.viewport.height / 2)")
    x, y = middle
    page.keyboard.press("k")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("k")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    assert near(lines(page), [[(x - 10, y), (x + 20, y)]], 0.02)
    page.keyboard.press("g")  # a point in the middle, with the ring
    page.keyboard.press("ArrowDown")
    assert near(lines(page), [[(x - 10, y), (x + 5, y + 1), (x + 20, y)]], 0.02)
    user.reads("#spoken", "point 2 of 3")
    page.keyboard.press("s")
    assert len(lines(page)) == 2
    page.keyboard.press("PageDown")
    page.keyboard.press("End")
    page.keyboard.press("Escape")
    page.keyboard.press("PageDown")
    page.keyboard.press("Delete")
    user.saved()
    assert len(lines(page)) == 1


def test_two_windows_that_bend_the_same_filament_do_not_overwrite_each_other(page_of, hand):
    page = page_of(expect_errors=True)  # the server says that the first edit does not fit
    page.route("**/api/status*", lambda route: None)  # never answered: the page does not hear of it before
    user = hand(page)
    draw(user, (20, 20), (60, 20), (100, 20))
    user.saved()
    edit = """async (points) => {
      const one = vitripick.sheet(), key = sessionStorage.getItem("vitripick-key");
      const body = { revision: one.revision, id: "another-window", bend: [[[...one.lines.keys()][0], points]] };
      const headers = { "Content-Type": "application/json", "X-Vitripick-Key": key };
      const to = `api/micrographs/${one.id}/edit`;
      return (await fetch(to, { method: "POST", headers, body: JSON.stringify(body) })).status;
    }"""
    assert page.evaluate(edit, [[20, 20], [60, 70], [100, 20]]) == 200
    user.drag((60, 20), (60, 40))  # of what the other window has bent meanwhile
    user.until("document.getElementById('toasts').textContent.includes('removed or changed')")
    user.saved()
    assert near(lines(page), [[(20, 20), (60, 70), (100, 20)]])


def test_filaments_are_imported_and_exported_in_their_formats(serve, micrographs, tmp_path):
    server = serve(micrographs, "--out", tmp_path / "out", "--filaments")
    rod = Filaments([Filament.through([(20, 20), (100, 24)], width=9)], "mic0.mrc", (90, 120), 2.0)
    write_filaments(rod, tmp_path / "mic0.star", spacing_px=8)
    status, answer = server.send_file("mic0.star", (tmp_path / "mic0.star").read_bytes())
    assert (status, answer["n_labels"]) == (200, 1)
    assert server.send_file("mic0.star", (tmp_path / "mic0.star").read_bytes())[1]["n_labels"] == 0  # it is there
    formats = ["star", "start-end-star", "cbox", "box", "helix-box", "cs", "csv"]
    status, answer = server.post("/api/export", {"formats": formats})
    assert (status, answer["n_boxes"]) == (200, 1)
    folder = tmp_path / "out/exports/001"
    for name in formats:
        path = next(folder.glob("*.cs")) if name == "cs" else next((folder / name).iterdir())
        ((found,),) = read_filaments(path, format=name)
        assert found.length == pytest.approx(rod.length, abs=10)
    assert (folder / "autopick.star").is_file()
    assert server.post("/api/export", {"formats": ["star"], "spacing_angstrom": 40})[0] == 200
    ((found,),) = read_filaments(next((tmp_path / "out/exports/002/star").iterdir()))
    assert len(found.points) == pytest.approx(rod.length / 20, abs=1)


def test_a_project_knows_that_its_labels_are_filaments(serve, micrographs, tmp_path):
    server = serve(micrographs, "--out", tmp_path / "out", "--filaments", "--width-px", 6)
    (name, *_) = server.ids().values()
    body = {"revision": 0, "id": "edit-0001", "add_lines": [[1, [[10, 10], [50, 12]]]]}
    assert server.post(f"/api/micrographs/{name}/edit", body)[0] == 200
    status, answer = server.post(f"/api/micrographs/{name}/edit", {"revision": 2, "add": [[2, 10, 10]]})
    assert (status, answer["error"]) == (400, "the labels of this project are filaments.")
    server.stop()
    again = serve(micrographs, "--out", tmp_path / "out")
    assert again.get("/api/project")[1]["settings"]["filaments"] is True
    assert again.get(f"/api/micrographs/{name}")[1]["lines"] == [[1, [[10, 10], [50, 12]]]]
    assert [row[2] for row in again.get("/api/project")[1]["micrographs"]] == [1, 0]
    again.stop()
    particles = serve(micrographs, "--out", tmp_path / "boxes")
    assert particles.post(f"/api/micrographs/{name}/edit", {"revision": 0, "add": [[1, 10, 10]]})[0] == 200
    particles.stop()
    with pytest.raises(UsageError, match="the labels of this project are particles"):
        open_project([micrographs], tmp_path / "boxes", filaments=True)
    with pytest.raises(UsageError, match="filaments have no box"):
        open_project([micrographs], tmp_path / "out", box_size_px=20)
    with pytest.raises(UsageError, match="needs filaments=True"):
        open_project([micrographs], tmp_path / "boxes", width_px=20)


def test_a_file_of_filaments_that_another_program_changed_is_an_edit_to_undo(serve, micrographs, tmp_path):
    server = serve(micrographs, "--out", tmp_path / "out", "--filaments", "--width-px", 6)
    (name, *_) = server.ids().values()
    body = {"revision": 0, "id": "edit-0001", "add_lines": [[1, [[10, 10], [50, 12]]]]}
    server.post(f"/api/micrographs/{name}/edit", body)
    server.stop()
    (tmp_path / "out/labels/mic0.csv").write_text("filament,x,y,width\n1,10,10,6\n1,70,80,6\n")
    again = serve(micrographs, "--out", tmp_path / "out")
    answer = again.get(f"/api/micrographs/{name}")[1]
    assert [line for _, line in answer["lines"]] == [[[10, 10], [70, 80]]]
    assert answer["can_undo"] == 2
    last = json.loads((tmp_path / "out/history/mic0.jsonl").read_text().splitlines()[-1])
    assert set(last["edit"]) == {"add_lines", "remove_lines"}


def traced(tmp_path):
    """Three traced filaments of one micrograph, as `pick --filaments` writes them."""
    path = np.column_stack([np.linspace(20, 100, 41), np.full(41, 20.0)])  # far more points than it needs
    found = [
        Filament.through(path, width=6, confidence=0.9),
        Filament.through([(20, 50), (100, 54)], width=6, confidence=0.7),
        Filament.through([(20, 80), (100, 80)], width=6, confidence=0.4),
    ]
    write_filaments(Filaments(found, "mic0.mrc", (90, 120), 2.0), tmp_path / "picks/mic0.csv")
    return "--picks", tmp_path / "picks"


def test_traced_filaments_are_filtered_accepted_rejected_and_exported(page_of, hand, tmp_path):
    page = page_of(*traced(tmp_path))
    user = hand(page)
    user.until("vitripick.shownPicks().length === 3")
    page.click("#tab-picks")
    user.sets("#threshold", 0.5)
    user.until("vitripick.shownPicks().length === 2")
    user.click(60, 20)
    assert near(lines(page), [[(20, 20), (100, 20)]])  # as few points as follow it
    user.click(60, 52, button="right")
    user.until("vitripick.shownPicks().length === 1")
    user.sets("#threshold", 0.3)
    user.until("vitripick.shownPicks().length === 2")
    page.click("#accept")  # only what has no label yet
    user.saved()
    assert near(lines(page), [[(20, 20), (100, 20)], [(20, 80), (100, 80)]])
    page.click("#tab-files")
    page.select_option("#export-what", "picks")
    page.uncheck("#export-formats [value=star]")
    page.check("#export-formats [value=csv]")
    page.click("#export")
    user.until("document.getElementById('export-result').textContent.startsWith('2 filaments of 1')")
    (found,) = read_filaments(tmp_path / "out/exports/001/csv/mic0.csv")
    assert np.allclose(sorted(one.confidence for one in found), [0.4, 0.9])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_the_page_of_filaments(page_of, hand, tmp_path, theme):
    page = page_of(*traced(tmp_path))
    user = hand(page)
    draw(user, (20, 35), (100, 40))
    if theme == "dark":
        page.click("#theme")
    user.until("vitripick.shownPicks().length === 3")
    page.evaluate(AXE.read_text(encoding="utf-8") + "; 0")
    user.until("!document.getElementById('toasts').children.length")
    found = []
    for tab in ("label", "picks", "train", "files"):
        page.click(f"#tab-{tab}")
        result = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        found += [(tab, rule["id"], [node["target"] for node in rule["nodes"]][:3]) for rule in result["violations"]]
    assert found == []


def test_two_thousand_filaments_are_drawn_with_few_points_each(page_of, hand, tmp_path):
    rng = np.random.default_rng(0)
    starts, angles = rng.uniform((10, 10), (110, 80), (2000, 2)), rng.uniform(0, 6.28, 2000)
    along = np.linspace(0, 8, 60)[:, None]
    paths = [start + along * (np.cos(angle), np.sin(angle)) for start, angle in zip(starts, angles, strict=True)]
    found = [Filament.through(path, width=1, confidence=0.9) for path in paths]
    write_filaments(Filaments(found, "mic0.mrc", (90, 120), 2.0), tmp_path / "picks/mic0.csv")
    page = page_of("--picks", tmp_path / "picks")
    user = hand(page)
    user.until("vitripick.shownPicks().length === 2000")
    count = """() => {
      const own = CanvasRenderingContext2D.prototype.lineTo;
      window.nPoints = 0;
      CanvasRenderingContext2D.prototype.lineTo = function (x, y) { window.nPoints += 1; own.call(this, x, y); };
      vitripick.redraw();
    }"""
    page.evaluate(count)
    user.until("window.nPoints > 0")
    assert page.evaluate("window.nPoints") < 3 * 2000


def test_precision_and_recall_of_traced_filaments_go_by_length(serve, micrographs, tmp_path):
    server = serve(micrographs, "--out", tmp_path / "out", "--filaments", "--width-px", 6, *traced(tmp_path))
    (name, *_) = server.ids().values()
    body = {"revision": 0, "id": "edit-0001", "add_lines": [[1, [[20, 20], [100, 20]]], [2, [[20, 50], [60, 52]]]]}
    assert server.post(f"/api/micrographs/{name}/edit", body)[0] == 200
    answer = server.get("/api/picks/given/curve")[1]
    by_threshold = {threshold: (precision, recall) for threshold, precision, recall in answer["points"]}
    assert by_threshold[0.9] == pytest.approx((1, 80 / 120), abs=0.02)
    assert by_threshold[0.4] == pytest.approx((120 / 240, 1), abs=0.02)
    counts = server.get("/api/picks/given")[1] and server.get("/api/picks/given/counts?threshold=0.5")[1]["counts"]
    assert counts == {name: 2}


def test_the_page_trains_on_filaments_and_traces_with_the_new_model(serve, tmp_path):
    rows, columns = np.mgrid[:256, :256]
    image = np.random.default_rng(0).standard_normal((256, 256)).astype(np.float32)
    image -= 2 * np.exp(-(((rows - 60 - 0.1 * columns) / 7) ** 2)).astype(np.float32)
    write_mrc(tmp_path / "mics/rod.mrc", image, pixel_size=3.0)
    server = serve(tmp_path / "mics", "--out", tmp_path / "out", "--filaments", "--width-px", 18)
    (name,) = server.ids().values()
    while (machine := server.get("/api/status")[1]["machine"]) is None:
        time.sleep(0.1)
    assert [model["name"] for model in machine["released"]] == ["filaments"]
    train = {"start": "released:filaments", "steps": 2, "then_pick": "this", "micrograph": name}
    assert "no filament yet" in server.post("/api/train", train)[1]["error"]
    body = {"revision": 0, "id": "edit-0001", "add_lines": [[1, [[0, 60], [255, 85.5]]]]}
    assert server.post(f"/api/micrographs/{name}/edit", body)[0] == 200
    assert server.post("/api/train", train)[0] == 200
    while (status := server.get("/api/status")[1])["job"]["running"]:
        time.sleep(0.1)
    assert status["job"]["stage"] == "done", status["job"]
    (run,) = status["runs"]
    assert run["title"] == "1 filament on 1 micrograph, from filaments"
    assert (run["has_model"], run["has_picks"], status["pick_set"]) == (True, True, run["id"])
    assert status["threshold"] == pytest.approx(machine["released"][0]["threshold"])
    (line, *_) = server.get(f"/api/picks/{run['id']}/{name}")[1]["lines"]
    assert np.hypot(*np.subtract(line[0], line[-1])) > 150


def test_a_killed_server_keeps_every_cut_and_join_that_it_acknowledged_and_takes_none_twice(
    serve, micrographs, tmp_path
):
    options = (micrographs, "--out", tmp_path / "out", "--filaments", "--width-px", 6)
    server = serve(*options)
    (name, *_) = server.ids().values()
    edits = [
        {"add_lines": [[1, [[10, 10], [50, 12], [90, 10]]]]},
        {"bend": [[1, [[10, 10], [50, 12]]]], "add_lines": [[2, [[50, 12], [90, 10]]]]},
        {"bend": [[2, [[50, 12], [90, 30]]]]},
    ]
    for i, edit in enumerate(edits):
        body = {"revision": 0 if i == 0 else i + 1, "id": f"edit-000{i}", **edit}
        assert server.post(f"/api/micrographs/{name}/edit", body)[0] == 200
    server.kill()
    (tmp_path / "out/labels/mic0.csv").unlink()  # as if it had not been written yet
    with (tmp_path / "out/history/mic0.jsonl").open("a") as log:
        log.write('{"id":"torn","edit":{"remove_li')
    again = serve(*options)
    assert again.post(f"/api/micrographs/{name}/edit", body)[0] == 200  # its answer was lost, so it comes again
    expected = [[1, [[10, 10], [50, 12]]], [2, [[50, 12], [90, 30]]]]
    answer = again.get(f"/api/micrographs/{name}")[1]
    assert (answer["lines"], answer["can_undo"]) == (expected, 3)
    (found,) = read_filaments(tmp_path / "out/labels/mic0.csv")
    assert [one.points.tolist() for one in found] == [line for _, line in expected]
    for _ in range(2):
        answer = again.post(f"/api/micrographs/{name}/undo", {"revision": answer["revision"]})[1]
    assert answer["lines"] == [[1, [[10, 10], [50, 12], [90, 10]]]]
