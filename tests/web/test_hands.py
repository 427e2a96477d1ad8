"""The page by keyboard, by fingers, by trackpad, on a small screen, and for who sees little."""

from pathlib import Path

import numpy as np
import pytest

from vitripick.formats import write_picks
from vitripick.geometry import Boxes

AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"


@pytest.fixture
def fingers():
    """(page) -> (kind, *places): put fingers on the screen, move them, or lift them."""

    def of(page):
        session = page.context.new_cdp_session(page)
        session.send("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 5})

        def act(kind, *places):
            points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
            session.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})

        return act

    return of


def test_the_keyboard_alone_labels_a_micrograph(browse, hand, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--box-size-px", 16)
    user = hand(page)
    page.evaluate("document.getElementById('one-to-one').focus()")
    page.keyboard.press("Shift+Tab")
    while page.evaluate("document.activeElement.id") != "overlay":
        page.keyboard.press("Shift+Tab")
    middle = page.evaluate("vitripick.viewport.toImage(vitripick.viewport.width / 2, vitripick.viewport.height / 2)")
    page.keyboard.press("k")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    ((x, y),) = user.labels()
    assert np.allclose((x, y), (middle[0] + 1, middle[1] - 10), atol=0.02)
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowLeft")  # without a ring, the micrograph moves
    page.keyboard.press("k")
    assert len(user.labels()) == 2
    assert user.labels()[0] == [x, y]
    page.keyboard.press("PageDown")
    page.keyboard.press("]")
    page.keyboard.press("Delete")
    user.saved()
    assert len(user.labels()) == 1
    assert page.evaluate("vitripick.sheet().boxSize") == 17
    user.reads("#spoken", "label at x")


def test_page_down_goes_round_all_labels(browse, hand, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--box-size-px", 16)
    user = hand(page)
    for place in ((90, 20), (30, 20), (60, 70)):
        user.click(*place)
    page.mouse.move(5, 5)
    said = []
    for _ in range(4):
        page.keyboard.press("PageDown")
        said.append(page.inner_text("#spoken").split(",")[0])
    assert len(set(said)) == 3
    assert said[0] == said[3]


@pytest.mark.parametrize(("by", "stays"), [("pointerdown", False), ("keydown", True)])
def test_keys_are_the_micrographs_again_after_a_choice_by_mouse(browse, hand, micrographs, tmp_path, by, stays):
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--box-size-px", 16)
    page.focus("#list-sort")
    page.dispatch_event("#list-sort", by)
    page.select_option("#list-sort", "labels")
    assert (page.evaluate("document.activeElement.id") == "list-sort") == stays


def test_two_fingers_zoom_and_add_nothing(browse, hand, fingers, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--box-size-px", 16)
    user, touch = hand(page), fingers(page)
    before = page.evaluate("vitripick.viewport.scale")
    x, y = user.place(60, 45)
    touch("Start", (x - 40, y))
    touch("Start", (x - 40, y), (x + 40, y))
    for apart in (60, 80):
        touch("Move", (x - apart, y), (x + apart, y))
    touch("End", (x - 80, y))
    touch("End")
    assert page.evaluate("vitripick.viewport.scale") / before == pytest.approx(2, rel=0.05)
    assert np.allclose(user.place(60, 45), (x, y), atol=3)
    touch("Start", (x, y))
    touch("Start", (x, y), (x + 50, y))
    touch("End", (x, y))
    touch("End")
    assert user.labels() == []


def test_a_finger_adds_by_a_tap_and_deletes_by_a_long_press(browse, hand, fingers, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--box-size-px", 16)
    user, touch = hand(page), fingers(page)
    place = user.place(60, 45)
    touch("Start", place)
    touch("End")
    user.until("vitripick.sheet().labels.size === 1")
    touch("Start", place)
    page.wait_for_timeout(700)
    touch("End")
    assert user.labels() == []


def test_a_pinch_on_a_trackpad_zooms_as_elsewhere_and_a_sideways_wheel_moves(browse, hand, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out")
    before = page.evaluate("vitripick.viewport.scale")
    page.evaluate(
        """() => { for (let i = 0; i < 20; i++) document.getElementById("overlay").dispatchEvent(
          new WheelEvent("wheel", { deltaY: -3, ctrlKey: true, clientX: 500, clientY: 400, cancelable: true })); }"""
    )
    assert 1.6 < page.evaluate("vitripick.viewport.scale") / before < 2.0
    left = page.evaluate("vitripick.viewport.x0")
    page.mouse.move(*hand(page).place(60, 45))
    page.mouse.wheel(60, 0)
    hand(page).until(f"vitripick.viewport.x0 > {left}")


def test_panels_fold_and_stay_so(browse, hand, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out")
    wide = page.locator("#canvas-box").bounding_box()["width"]
    page.click("#fold-panel")
    page.click("#fold-list")
    assert page.locator("#canvas-box").bounding_box()["width"] == pytest.approx(1280, abs=2)
    assert wide < 800
    page.reload()
    hand(page).saved()
    assert page.get_attribute("#fold-list", "aria-expanded") == "false"
    page.keyboard.press("b")
    assert page.is_visible("#list")
    assert page.is_visible("#panel")


@pytest.mark.parametrize(("width", "height"), [(640, 400), (390, 800)])
def test_at_twice_the_size_and_on_a_phone_nothing_is_cut_off(browse, micrographs, tmp_path, width, height):
    page, _ = browse(micrographs, "--out", tmp_path / "out", width=width, height=height)
    box = page.locator("#canvas-box").bounding_box()
    assert box["width"] == width
    assert box["height"] >= 240
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cut = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select")].filter((node) => {
          const box = node.getBoundingClientRect();
          return box.width && (box.right > innerWidth + 1 || box.left < -1);
        }).map((node) => node.id)"""
    )
    assert cut == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_any_tab(browse, hand, micrographs, tmp_path, theme):
    if not AXE.is_file():
        pytest.fail("axe-core is not here; run: npm install --no-package-lock")
    picks = Boxes.at([30, 60, 90], [40, 50, 20], size_px=16, confidence=[0.9, 0.6, 0.4])
    write_picks(picks, tmp_path / "picks" / "cbox" / "mic0.cbox")
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--picks", tmp_path / "picks")
    user = hand(page)
    user.click(30, 40)
    if theme == "dark":
        page.click("#theme")
    user.until("vitripick.shownPicks().length === 3")
    user.until("document.querySelector('.list-row[aria-selected=true] .count.picks')?.textContent === '3'")
    page.evaluate(AXE.read_text(encoding="utf-8") + "; 0")
    page.wait_for_timeout(300)  # a toast that is still rising has no colours yet
    found = []
    for tab in ("label", "picks", "particles", "classes", "train", "files"):
        page.click(f"#tab-{tab}")
        result = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        found += [(tab, rule["id"], [node["target"] for node in rule["nodes"]][:3]) for rule in result["violations"]]
    assert found == []
