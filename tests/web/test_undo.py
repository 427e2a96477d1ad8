"""What undo takes back, and what keys and fields must not do by the way, in a real browser."""

import pytest

from vitripick.formats import write_picks
from vitripick.geometry import Boxes


def said(user, words):
    user.until(f"document.getElementById('toasts').textContent.includes({words!r})")


def test_undo_goes_back_in_order_from_one_micrograph_to_the_other_and_says_where(browse, hand, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--box-size-px", 16)
    user = hand(page)
    user.click(30, 40)
    page.keyboard.press("f")
    user.until("vitripick.store.rows[0].flag === 'complete'")
    page.keyboard.press("n")
    user.until("vitripick.sheet().name === 'mic1.mrc'")
    user.saved()
    user.click(60, 50)
    page.keyboard.press("Control+z")
    user.until("vitripick.sheet().name === 'mic1.mrc' && vitripick.sheet().labels.size === 0")
    said(user, "1 label away, on mic1.mrc")
    page.keyboard.press("Control+z")
    user.until("vitripick.store.rows[0].flag === null && vitripick.sheet().name === 'mic0.mrc'")
    page.keyboard.press("Control+z")
    user.until("vitripick.sheet().name === 'mic0.mrc' && vitripick.sheet().labels.size === 0")
    page.keyboard.press("Control+z")
    said(user, "Nothing to undo here")
    for expected in (
        "labels.size === 1",
        "labels.size === 1",
        "name === 'mic1.mrc' && vitripick.sheet().labels.size === 1",
    ):
        page.keyboard.press("Control+y")
        user.until(f"vitripick.sheet().{expected}")
    assert page.evaluate("vitripick.store.rows[0].flag") == "complete"


def test_picks_that_were_accepted_with_a_mark_are_taken_back_at_once(browse, hand, micrographs, tmp_path):
    for name in ("mic0", "mic1"):
        write_picks(Boxes.at([30, 80], [40, 50], size_px=16, confidence=0.9), tmp_path / "picks" / f"{name}.csv")
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--picks", tmp_path / "picks", "--box-size-px", 16)
    user = hand(page)
    user.until("vitripick.shownPicks().length === 2")
    page.keyboard.press("Shift+Enter")
    user.until("vitripick.sheet().name === 'mic1.mrc'")
    page.keyboard.press("Control+z")
    user.until("vitripick.sheet().name === 'mic0.mrc' && vitripick.sheet().labels.size === 0")
    assert page.evaluate("vitripick.store.rows[0].flag") is None


def test_enter_in_the_list_opens_and_accepts_nothing(browse, hand, micrographs, tmp_path):
    write_picks(Boxes.at([30, 80], [40, 50], size_px=16, confidence=0.9), tmp_path / "picks" / "mic0.csv")
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--picks", tmp_path / "picks", "--box-size-px", 16)
    user = hand(page)
    user.until("vitripick.shownPicks().length === 2")
    page.focus("#list-scroll")
    page.keyboard.press("Enter")
    user.saved()
    assert user.labels() == []
    page.focus("#overlay")
    page.keyboard.press("Enter")
    assert len(user.labels()) == 2


def test_marks_of_several_micrographs_are_undone_together_and_each_to_what_it_was(browse, hand, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--box-size-px", 16)
    user = hand(page)
    page.keyboard.press("f")
    user.until("vitripick.store.rows[0].flag === 'complete'")
    rows = page.locator(".list-row:not([hidden])")
    rows.nth(1).click(modifiers=["Shift"])
    page.click("#marked [data-flag=excluded]")
    user.until("vitripick.store.rows.every((row) => row.flag === 'excluded')")
    page.focus("#overlay")
    page.keyboard.press("Control+z")
    said(user, "marks of 2 micrographs")
    assert page.evaluate("vitripick.store.rows.map((row) => row.flag)") == ["complete", None]
    page.keyboard.press("Control+y")
    user.until("vitripick.store.rows.every((row) => row.flag === 'excluded')")


@pytest.mark.parametrize("text", ["", "0", "-3"])
def test_a_box_that_is_none_leaves_the_box_as_it_was(browse, hand, micrographs, tmp_path, text):
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--box-size-px", 30)
    user = hand(page)
    page.fill("#box-px", text)
    page.keyboard.press("Tab")
    user.saved()
    assert page.evaluate("vitripick.sheet().boxSize") == 30
    assert page.input_value("#box-px") == "30"


def test_a_change_of_box_is_undone_as_one(browse, hand, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--box-size-px", 30)
    user = hand(page)
    for _ in range(4):
        page.keyboard.press("]")
    assert page.evaluate("vitripick.sheet().boxSize") == 34
    page.keyboard.press("Control+z")
    user.until("vitripick.sheet().boxSize === 30")
    said(user, "box of 30 px")


def test_while_an_area_is_drawn_the_last_corner_is_taken_back_and_no_label(browse, hand, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--box-size-px", 16)
    user = hand(page)
    user.click(30, 40)
    page.keyboard.press("a")
    for at in ((50, 20), (80, 20), (80, 60), (50, 60)):
        user.click(*at)
        page.wait_for_timeout(350)  # no double-click
    page.keyboard.press("Backspace")
    page.keyboard.press("Control+z")
    assert len(user.labels()) == 1
    page.keyboard.press("Enter")
    said(user, "An area needs three corners")


def test_the_tool_for_areas_is_put_away_at_the_next_micrograph(browse, hand, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--box-size-px", 16)
    user = hand(page)
    page.keyboard.press("a")
    page.keyboard.press("n")
    user.until("vitripick.sheet().name === 'mic1.mrc'")
    user.saved()
    user.click(60, 50)
    assert len(user.labels()) == 1


def test_the_low_pass_that_is_shown_is_the_one_that_is_drawn(browse, hand, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--box-size-px", 30)
    user = hand(page)
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "low=" in request.url else None)
    page.fill("#box-px", "50")
    page.keyboard.press("Tab")
    user.until("document.getElementById('low-pass-value').textContent === '8 Å'")
    page.wait_for_timeout(600)
    assert "low=8&" in asked[-1]


def test_an_emptied_pixel_size_is_the_headers_again(browse, hand, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--pixel-size", 3)
    user = hand(page)
    assert page.input_value("#pixel-size") == "3"
    page.fill("#pixel-size", "")
    page.keyboard.press("Tab")
    user.until("document.getElementById('pixel-size').value === '2'")
