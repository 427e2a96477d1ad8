"""The page in Firefox: mouse, keys, tabs, undo, and what is on the disk at the end."""

import time

import numpy as np
import pytest

from vitripick.formats import read_picks


@pytest.fixture
def page(firefox, serve, micrographs, tmp_path):
    server = serve(micrographs, "--out", tmp_path / "out", "--box-size-px", 24, enter=False)
    firefox.open(server.link)
    firefox.until("window.vitripick?.currentPicture() && vitripick.sheet()")
    before = None
    while before != (
        before := [*firefox.evaluate("document.getElementById('overlay').getBoundingClientRect()").values()]
    ):
        time.sleep(0.3)  # the page is still being laid out
    yield firefox
    assert firefox.errors == []


def place(page, x, y):
    box = page.evaluate("document.getElementById('overlay').getBoundingClientRect()")
    sx, sy = page.evaluate(f"vitripick.viewport.toScreen({x}, {y})")
    return box["x"] + sx, box["y"] + sy


def labels(page):
    page.evaluate("vitripick.flush()")
    return page.evaluate("[...vitripick.sheet().labels.values()]")


def test_labels_are_clicked_dragged_deleted_and_undone(page, tmp_path):
    for x, y in [(60, 60), (200, 120), (300, 250)]:
        page.point(place(page, x, y))
    page.point(place(page, 60, 60), place(page, 90, 75), place(page, 110, 90))
    page.point(place(page, 300, 250), button=2)
    assert np.allclose(labels(page), [[110, 90], [200, 120]], atol=1.5)
    page.press("Control", "z")
    page.until("vitripick.sheet().labels.size === 3")
    assert np.allclose(sorted(read_picks(tmp_path / "out/labels/mic0.csv").centres.tolist())[2], [300, 250], atol=1.5)


def test_the_keyboard_alone_labels_and_marks(page):
    page.evaluate("document.getElementById('overlay').focus()")
    page.press("k")
    page.until("vitripick.sheet().labels.size === 1")
    page.press("PageDown")
    (before,) = labels(page)
    page.press("ArrowRight")
    (after,) = labels(page)
    assert after[0] - before[0] == pytest.approx(1)
    page.press("f")
    page.until("vitripick.store.rows[0].flag === 'complete'")
    page.press("n")
    page.until("vitripick.sheet().name === 'mic1.mrc'")


def test_an_area_is_drawn_and_every_tab_and_view_opens(page):
    page.press("a")
    for x, y in [(50, 50), (150, 50), (100, 150), (50, 50)]:
        page.point(place(page, x, y))
    page.press("Escape")
    page.evaluate("vitripick.flush()")
    for name in page.evaluate("[...document.querySelectorAll('[role=tab]')].map((tab) => tab.id)"):
        page.evaluate(f"document.getElementById('{name}').click()")
        page.until(f"document.getElementById('{name}').getAttribute('aria-selected') === 'true'")
    page.evaluate("document.getElementById('denoised').click()")
    page.until("vitripick.currentPicture().filter.includes('denoised=1')")
