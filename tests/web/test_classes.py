"""The tab Classes: picks are sorted in the worker, culled by a click, and teach what is a particle and what is none."""

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from made import rings
from vitripick.formats import read_all_picks, read_picks, write_mrc, write_picks
from vitripick.geometry import Boxes
from vitripick.web.requests import ClassesRequest
from vitripick.web.session import open_session

ROWS, OF_RINGS, OF_DOTS = (80, 200, 320, 440), (80, 200, 320), (440, 560, 680)
AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"


def sort(server, pick_set="given", n=2):
    """Sort a set of picks, and return its classes."""
    status, answer = server.post(f"/api/classes/{pick_set}", {"n": n})
    assert status == 200, answer
    end = time.monotonic() + 180
    while (job := server.get("/api/status")[1]["job"])["running"]:
        assert time.monotonic() < end, job
        time.sleep(0.05)
    assert job["stage"] == "done", job
    return server.get(f"/api/classes/{pick_set}")[1]


@pytest.fixture(scope="module")
def sorted_project(tmp_path_factory, running_server):
    """A project with two micrographs, 12 rings and 12 dots on each, and picks of them in two classes."""
    folder = tmp_path_factory.mktemp("classes")
    for seed in range(2):
        image = rings(seed, shape=(520, 760), x=OF_RINGS, y=ROWS)
        rows, columns = np.indices(image.shape)
        for x in OF_DOTS:
            for y in ROWS:
                image[np.hypot(columns - x, rows - y) < 9] -= 6
        write_mrc(folder / "mics" / f"m{seed}.mrc", image, pixel_size=2.0)
        x, y = (axis.ravel() for axis in np.meshgrid([*OF_RINGS, *OF_DOTS], ROWS))
        picks = Boxes.at(x.astype(float), y.astype(float), size_px=60, confidence=0.9)
        write_picks(picks, folder / "picks" / f"m{seed}.csv")
    given = (folder / "mics", "--out", folder / "out", "--picks", folder / "picks", "--box-size-px", 60)
    with running_server(*given) as server:
        assert server.get("/api/classes/given")[1]["key"] == ""
        assert len(sort(server)["classes"]) == 2
    return folder


@pytest.fixture
def project(sorted_project, tmp_path):
    """What `vitripick label` gets to open a copy of it."""
    shutil.copytree(sorted_project / "out", tmp_path / "out")
    return (sorted_project / "mics", "--out", tmp_path / "out", "--picks", sorted_project / "picks")


def of_rings(server):
    """The number of the class that holds the rings."""
    answer = server.get(f"/api/picks/given/{server.ids()['m0.mrc']}")[1]
    rows = zip(answer["picks"], answer["classes"], strict=True)
    return int(np.median([number for (x, *_), number in rows if x < 400]))


def test_the_server_exports_what_the_page_shows(serve, project, tmp_path):
    server = serve(*project)
    known, good = server.get("/api/classes/given")[1], of_rings(server)
    assert known["n_particles"] == 48
    choice = {"key": known["key"], "good": [good], "cull": True}
    assert server.post("/api/settings", {"class_choices": {"given": choice}})[0] == 200
    status, answer = server.post("/api/export", {"what": "picks", "formats": ["star"]})
    assert (status, answer["n_boxes"]) == (200, 24)
    exported = np.concatenate([boxes.centres for boxes in read_all_picks(tmp_path / "out" / "exports" / "001")])
    assert exported[:, 0].max() < 400
    # A choice among other classes of these picks means nothing.
    server.post("/api/settings", {"class_choices": {"given": {**choice, "key": "0" * 16}}})
    assert server.post("/api/export", {"what": "picks", "formats": ["star"]})[1]["n_boxes"] == 48


def test_good_classes_become_labels_and_the_rest_known_non_particles(serve, project, tmp_path):
    server = serve(*project)
    known, good = server.get("/api/classes/given")[1], of_rings(server)
    assert server.post("/api/classes/given/teach")[0] == 400
    server.post("/api/settings", {"class_choices": {"given": {"key": known["key"], "good": [good], "cull": False}}})
    told = server.post("/api/classes/given/teach")[1]
    assert (told["n_labels"], told["n_rejected"], len(told["micrographs"])) == (24, 24, 2)
    assert len(read_picks(tmp_path / "out" / "labels" / "m0.csv")) == 12
    areas = json.loads((tmp_path / "out" / "areas" / "m0.json").read_text())
    assert min(x for x, _ in areas["rejected"]) > 400
    assert server.post("/api/classes/given/teach")[1]["micrographs"] == []


def test_a_run_outside_of_the_project_is_read_and_left_as_it_is(sorted_project, tmp_path):
    run = sorted_project / "out" / "classes" / "given" / "run"
    session = open_session([sorted_project / "mics"], tmp_path / "new", picks=run)
    assert session.classes.described("given")["n_particles"] == 48
    folder, job = session.classes.job("given", ClassesRequest(n=7))
    assert (job.picks, job.n_classes) == (str(run), 7)
    assert job.classes == str(folder.path / "classes") == str(tmp_path / "new" / "classes" / "given" / "classes")


def test_a_click_culls_the_picks_and_one_button_teaches_with_them(browse, hand, project):
    page, _ = browse(*project)
    user = hand(page)
    user.until("vitripick.shownPicks().length === 24")
    page.click("#tab-classes")
    user.until("document.querySelectorAll('.class-tile').length === 2")
    user.reads("#classes-note", "48 picks")
    page.click("#classes-none")
    page.check("#classes-cull")
    user.until("vitripick.shownPicks().length === 0")
    page.locator(".class-tile").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    user.until("document.querySelectorAll('.class-tile[aria-pressed=true]').length === 1")
    user.until("vitripick.shownPicks().length === 12")
    page.click("#classes-teach")
    user.until("vitripick.sheet().labels.size === 12 && vitripick.sheet().rejected.size === 12")
    page.keyboard.press("Control+z")
    user.until("vitripick.sheet().labels.size === 0 && vitripick.sheet().rejected.size === 0")


def test_axe_finds_nothing_on_the_tab_with_classes(browse, hand, project):
    page, _ = browse(*project)
    user = hand(page)
    page.click("#tab-classes")
    user.until("document.querySelectorAll('.class-tile').length === 2")
    page.locator(".class-tile").first.click()
    page.evaluate(AXE.read_text(encoding="utf-8") + "; 0")
    for theme in ("light", "dark"):
        user.until(f"document.documentElement.dataset.theme === '{theme}'")
        result = page.evaluate("axe.run(document.getElementById('panel'), { resultTypes: ['violations'] })")
        found = [(rule["id"], [node["target"] for node in rule["nodes"]][:3]) for rule in result["violations"]]
        assert (theme, found) == (theme, [])
        page.click("#theme")
