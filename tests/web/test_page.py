"""Journeys of a user, in a real browser."""

import json
import time

import cv2
import numpy as np
import pytest
import tifffile

from vitripick.formats import read_all_picks, read_picks, write_mrc, write_picks
from vitripick.geometry import Boxes
from web.windows import near


def test_add_move_delete_undo_redo_flag_and_reload(browse, hand, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--box-size-px", 16)
    user = hand(page)
    user.click(30, 40)
    user.click(60, 50)
    user.click(90, 20)
    assert near(user.labels(), [(30, 40), (60, 50), (90, 20)])
    user.drag((60, 50), (70, 66))
    assert near(user.labels(), [(30, 40), (70, 66), (90, 20)])
    user.click(30, 40, button="right")
    page.keyboard.down("Alt")
    user.click(90, 20)
    page.keyboard.up("Alt")
    assert near(user.labels(), [(70, 66)])
    user.saved()
    for expected in (2, 3):
        page.keyboard.press("Control+z")
        user.until(f"vitripick.sheet().labels.size === {expected}")
    page.keyboard.press("Control+Shift+z")
    user.until("vitripick.sheet().labels.size === 2")
    page.keyboard.press("f")
    user.until("vitripick.store.rows[0].flag === 'complete'")
    assert "saved" in page.inner_text("#save-state")

    page.reload()
    user.saved()
    assert near(user.labels(), [(70, 66), (90, 20)])
    assert page.get_attribute("#flag-complete", "aria-pressed") == "true"
    page.click("#undo")  # still knows the way back, and asks before it goes
    user.until("document.getElementById('toasts').textContent.includes('Press again')")
    assert len(user.labels()) == 2
    page.click("#undo")
    user.until("vitripick.sheet().labels.size === 3")
    assert near(read_picks(tmp_path / "out/labels/mic0.csv").centres, user.labels(), 0.01)


def test_shift_drag_erases_and_is_one_undo(browse, hand, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--box-size-px", 10)
    user = hand(page)
    for x in (20, 40, 60, 100):
        user.click(x, 45)
    page.keyboard.down("Shift")
    user.drag((16, 45), (64, 45))
    page.keyboard.up("Shift")
    assert near(user.labels(), [(100, 45)])
    page.keyboard.press("Control+z")
    user.until("vitripick.sheet().labels.size === 4")


def test_dragging_empty_ground_moves_the_view_and_adds_nothing(browse, hand, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--box-size-px", 10)
    user = hand(page)
    before = user.place(50, 50)
    page.mouse.move(*before)
    page.mouse.down()
    page.mouse.move(before[0] + 60, before[1] - 30, steps=3)
    page.mouse.up()
    assert user.labels() == []
    assert np.allclose(user.place(50, 50), (before[0] + 60, before[1] - 30), atol=1)


def test_the_wheel_zooms_at_the_pointer(browse, hand, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out")
    user = hand(page)
    place = user.place(90, 20)
    scale = page.evaluate("vitripick.viewport.scale")
    page.mouse.move(*place)
    page.mouse.wheel(0, -400)
    user.until(f"vitripick.viewport.scale > {scale * 1.2}")
    assert np.allclose(user.place(90, 20), place, atol=0.5)
    page.keyboard.press("0")
    user.until(f"Math.abs(vitripick.viewport.scale - {scale}) < 1e-6")


def test_a_crystal_leaves_the_ice_its_contrast(browse, hand, tmp_path):
    """A tenth of the picture, forty standard deviations darker: of the scale that is shown, a sixth stays for one."""
    image = np.random.default_rng(0).standard_normal((256, 256)).astype(np.float32)
    image[:, :26] -= 40
    write_mrc(tmp_path / "mics" / "crystal.mrc", image, pixel_size=1.0)
    page, _ = browse(tmp_path / "mics", "--out", tmp_path / "out")
    hand(page).until("vitripick.currentPicture()")
    of_scale = page.evaluate(
        """() => {
          const { whole, auto } = vitripick.currentPicture();
          const ice = whole.grey.pixels.filter((_, i) => i % whole.grey.width > 40);
          const mean = ice.reduce((sum, value) => sum + value, 0) / ice.length;
          const variance = ice.reduce((sum, value) => sum + (value - mean) ** 2, 0) / ice.length;
          return Math.sqrt(variance) / (auto[1] - auto[0]);
        }"""
    )
    assert of_scale > 0.1


def test_an_area_is_drawn_and_removed(browse, hand, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out")
    user = hand(page)
    page.keyboard.press("a")
    for place in ((20, 20), (60, 20), (60, 60)):
        user.click(*place)
    page.keyboard.press("Enter")
    user.saved()
    content = json.loads((tmp_path / "out/areas/mic0.json").read_text())
    assert np.allclose(content["ignored"][0], [(20, 20), (60, 20), (60, 60)], atol=1)
    user.click(50, 30, button="right")
    user.saved()
    assert not (tmp_path / "out/areas/mic0.json").exists()


def test_picks_are_filtered_accepted_and_rejected(browse, hand, micrographs, tmp_path):
    picks = Boxes.at([30, 60, 90, 100], [40, 50, 20, 70], size_px=16, confidence=[0.9, 0.6, 0.4, 0.1])
    write_picks(picks, tmp_path / "picks" / "cbox" / "mic0.cbox")
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--picks", tmp_path / "picks", "--box-size-px", 16)
    user = hand(page)
    page.click("#tab-picks")
    user.until("vitripick.shownPicks().length === 3")  # 0.3 is where it starts
    user.sets("#threshold", 0.5)
    user.until("vitripick.shownPicks().length === 2")
    user.reads("#pick-count", "2 of 4 picks")
    user.click(60, 50, button="right")  # rejects
    user.until("vitripick.shownPicks().length === 1")
    page.click("#accept")
    user.saved()
    assert near(user.labels(), [(30, 40)], 0.01)
    user.click(91, 21)  # hidden by the threshold: a label where the click was, not where the pick is
    page.keyboard.press("Control+z")
    user.until("vitripick.sheet().labels.size === 1")
    user.sets("#threshold", 0.3)
    user.click(91, 21)  # on a shown pick: accepted where the model has it
    assert near(user.labels(), [(30, 40), (90, 20)], 0.01)
    page.wait_for_timeout(500)
    page.reload()
    user.saved()
    user.until("vitripick.store.settings.threshold === 0.3")
    assert page.evaluate("vitripick.sheet().rejected.size") == 1


def test_rejecting_in_the_montage(browse, hand, micrographs, tmp_path):
    picks = Boxes.at([30, 60, 90], [40, 50, 20], size_px=16, confidence=[0.9, 0.8, 0.7])
    write_picks(picks, tmp_path / "picks" / "cbox" / "mic0.cbox")
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--picks", tmp_path / "picks", "--box-size-px", 16)
    user = hand(page)
    page.click("#tab-particles")
    page.click("#montage", position={"x": 30, "y": 30})
    assert np.allclose(
        page.evaluate("vitripick.viewport.toImage(vitripick.viewport.width / 2, vitripick.viewport.height / 2)"),
        (30, 40),
        atol=0.5,
    )
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Delete")
    user.until("vitripick.shownPicks().length === 2")
    assert page.evaluate("vitripick.shownPicks().map((p) => p.x)") == [30, 90]
    user.reads("#montage-count", "2 particles")


@pytest.mark.parametrize("kind", ["mrc", "tif"])
def test_a_click_on_a_bright_pixel_lands_on_it_in_the_exported_star(browse, hand, tmp_path, kind):
    """Not square, nothing symmetric: a flip, an exchange of axes or a half-pixel slip would all show."""
    rows, columns, row, column = 211, 334, 58, 263
    # A slope, so that the greys are spread, and one pixel that stands out of it.
    stored = np.add.outer(np.arange(rows) * 0.2, np.arange(columns) * 0.1).astype(np.uint8)
    stored[row, column] = 255
    if kind == "mrc":
        write_mrc(tmp_path / "mics/one.mrc", stored.astype(np.float32), pixel_size=1.5)
        expected = (column, row)
    else:
        (tmp_path / "mics").mkdir()
        tifffile.imwrite(tmp_path / "mics/one.tif", stored)
        # A TIFF stores its top row first; y counts from the other end (docs/micrographs.md).
        expected = (column, rows - 1 - row)
    page, _ = browse(tmp_path / "mics", "--out", tmp_path / "out", "--box-size-px", 20)
    user = hand(page)
    # Where the bright pixel is seen, by what is on the screen and nothing else.
    user.sets("#low-pass", 0)
    page.mouse.move(5, 5)
    page.wait_for_timeout(600)
    box = page.locator("#picture").bounding_box()
    page.evaluate("document.getElementById('overlay').style.opacity = 0")
    shot = cv2.imdecode(np.frombuffer(page.screenshot(clip=box), np.uint8), cv2.IMREAD_GRAYSCALE)
    page.evaluate("document.getElementById('overlay').style.opacity = 1")
    above = shot.astype(float) - cv2.medianBlur(shot, 15)
    above[:110] = above[-110:] = 0  # the outline of the micrograph on the stage
    above[:, :20] = above[:, -20:] = 0
    ys, xs = np.nonzero(above > 0.6 * above.max())
    assert 1 <= len(xs) < 100
    page.mouse.click(box["x"] + xs.mean() + 0.5, box["y"] + ys.mean() + 0.5)
    user.saved()
    page.click("#tab-files")
    page.click("#export")
    page.wait_for_selector("#export-result:has-text('written')")
    picks = read_picks(tmp_path / "out/exports/001/star/one_autopick.star")
    assert np.round(picks.centres).astype(int).tolist() == [list(expected)]


def test_train_on_the_bundled_set_pick_accept_and_export(browse, hand, tmp_path):
    page, _ = browse(
        "examples/apoferritin/micrographs", "--out", tmp_path / "out", "--labels", "examples/apoferritin/labels"
    )
    user = hand(page)
    page.click("#flag-complete")
    user.until("vitripick.store.rows[0].flag === 'complete'")
    page.click("#tab-train")
    user.until("document.getElementById('train-start').options.length >= 2", 60)
    assert page.input_value("#train-start").startswith("released:")  # the bundled model, unless the user chooses
    # A few steps are enough to see the way through.
    page.route(
        "**/api/train",
        lambda route: route.continue_(post_data=json.dumps({**route.request.post_data_json, "steps": 2})),
    )
    page.click("#train")
    page.wait_for_selector("#stop")
    user.until("vitripick.store.status.job?.stage === 'done'", 90)
    user.until("vitripick.shownPicks().length > 50")
    assert "done" in page.inner_text("#job-stage")
    assert "F1" in page.inner_text("#job-figures")
    page.click("#tab-picks")
    before = len(user.labels())
    shown = page.evaluate("vitripick.shownPicks().length")
    page.click("#tab-label")
    page.click("#clear-labels")
    page.click("#tab-picks")
    page.click("#accept")
    user.saved()
    assert len(user.labels()) == shown
    assert before > 100
    page.click("#tab-files")
    for name in ("cbox", "csv"):
        page.check(f"#export-formats input[value={name}]")
    page.wait_for_selector("#export-preview:has-text('autopick.star')")
    page.click("#export")
    page.wait_for_selector("#export-result:has-text('written')")
    name = page.evaluate("vitripick.sheet().name").removesuffix(".mrc")
    folder = tmp_path / "out/exports/001"
    wanted = sorted(map(tuple, user.labels()))
    for path in (f"star/{name}_autopick.star", f"cbox/{name}.cbox", f"csv/{name}.csv"):
        assert np.allclose(sorted(map(tuple, read_picks(folder / path).centres)), wanted, atol=0.01)
    assert len(read_all_picks(folder / "autopick.star")) == 2
    # And it says so when the same labels come back.
    page.set_input_files("#import", folder / f"csv/{name}.csv")
    page.wait_for_selector("#import-result:has-text('0 labels added')")
    (tmp_path / "nameless.csv").write_text(f"x,y,micrograph\n30,40,{name}.mrc\n60,50,\n")
    page.set_input_files("#import", tmp_path / "nameless.csv")
    page.wait_for_selector("#import-result:has-text('not used: nameless.csv (1 of 2 rows name no micrograph')")


def test_a_training_is_stopped_and_goes_on(serve, tmp_path):

    server = serve(
        "examples/apoferritin/micrographs", "--out", tmp_path / "out", "--labels", "examples/apoferritin/labels"
    )

    def wait(condition, seconds=60):
        end = time.monotonic() + seconds
        while True:
            job = server.get("/api/status")[1]["job"]
            if condition(job):
                return job
            assert time.monotonic() < end, job
            time.sleep(0.1)

    assert server.post("/api/train", {"start": "scratch", "then_pick": "none", "steps": 400})[0] == 200
    assert server.post("/api/train", {"start": "scratch"})[0] == 400  # one at a time
    wait(lambda job: job["step"] >= 2)
    assert server.post("/api/stop")[0] == 200
    stopped = wait(lambda job: not job["running"])
    assert stopped["stage"] == "stopped"
    assert server.get("/api/status")[1]["runs"][0]["outcome"] == "stopped"
    assert server.post("/api/runs/001/resume")[0] == 200
    assert wait(lambda job: job["step"] > 0 or not job["running"])["step"] > stopped["step"]
    server.post("/api/stop")
    wait(lambda job: not job["running"])


def test_every_control_has_a_name_and_every_key_is_shown(browse, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out")
    nameless = page.evaluate(
        """[...document.querySelectorAll('button, input, select, [role=listbox], [role=application], [role=img]')]
          .filter((node) => {
          if (node.id === 'job-chip') return false;  // says what runs, once something does
          const label = node.labels?.length ? node.labels[0].textContent : '';
          return !(node.getAttribute('aria-label') || node.getAttribute('aria-labelledby') || label.trim()
            || node.textContent.trim() || node.title);
        }).map((node) => node.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
    page.keyboard.press("?")
    text = page.inner_text("#help")
    for words in ("undo", "fully labelled", "zoom at the pointer", "accept picks", "next doubtful pick"):
        assert words in text
    page.keyboard.press("Escape")
    assert not page.is_visible("#help")


def test_nothing_is_cut_off_at_1280_by_800(browse, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out")
    for tab in ("label", "picks", "particles", "train", "files"):
        page.click(f"#tab-{tab}")
        wide = page.evaluate(
            "[...document.querySelectorAll('#panel, #list, #stage-bar, #view-bar, main')]"
            ".filter((node) => node.scrollWidth > node.clientWidth + 1).map((node) => node.id || node.tagName)"
        )
        assert wide == [], tab


def test_picks_are_as_large_as_their_run_says_and_labels_as_the_project_says(browse, hand, micrographs, tmp_path):
    picks = Boxes.at([30, 60], [40, 50], size_px=12, confidence=[0.9, 0.8])
    write_picks(picks, tmp_path / "picks" / "cbox" / "mic0.cbox")
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--picks", tmp_path / "picks", "--box-size-px", 30)
    user = hand(page)
    user.until("vitripick.shownPicks().length === 2")
    assert page.evaluate("vitripick.pickBoxSize()") == 12
    assert page.evaluate("vitripick.sheet().boxSize") == 30
    page.keyboard.press("n")
    user.until("vitripick.sheet().name.includes('mic1')")
    assert page.evaluate("vitripick.pickBoxSize()") == 30


def test_train_waits_until_the_bundled_models_are_known(browse, hand, micrographs, tmp_path, serve):
    server = serve(micrographs, "--out", tmp_path / "out", enter=False)
    page, _ = browse(server=server)
    user = hand(page)
    user.until("vitripick.store.status.machine", 60)

    def not_yet(route):
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "machine": None})

    for path in ("project", "status"):
        page.route(f"**/api/{path}*", not_yet)
    page.reload()
    user.saved()
    page.click("#tab-train")
    assert page.is_disabled("#train")
    assert "being read" in page.inner_text("#train-start")
    for path in ("project", "status"):
        page.unroute(f"**/api/{path}*")
    user.until("!document.getElementById('train').disabled")
    assert page.input_value("#train-start").startswith("released:")
