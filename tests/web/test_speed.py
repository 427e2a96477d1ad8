"""The page stays fluent, measured in the browser. The best of a few tries counts, and where more wants to run than
there are cores, all takes as much longer: a busy machine is not a bug."""

import os

import numpy as np
import pytest

from vitripick.formats import write_mrc, write_picks
from vitripick.formats.star.dialect import StarBlock, format_star, table_of
from vitripick.geometry import Boxes

N_PICKS, N_ROWS = 5_000, 20_000
TRIES = 6


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Two micrographs of 4096², one with 5,000 picks."""
    folder = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(0)
    image = rng.integers(-90, 90, (4096, 4096), dtype=np.int8)
    for i in range(3):
        write_mrc(folder / "mics" / f"large{i}.mrc", np.roll(image, 100 * i, axis=0).astype(np.float32), pixel_size=1.0)
    x, y = rng.uniform(0, 4095, (2, N_PICKS))
    picks = Boxes.at(x, y, size_px=60, confidence=rng.uniform(0.05, 1, N_PICKS))
    write_picks(picks, folder / "picks" / "cbox" / "large0.cbox")
    return folder


def frame_ms(page, action, n=40):
    """Median length of a frame, in ms, while `action` (JavaScript of `i`) runs once in each."""
    return page.evaluate(
        f"""() => new Promise((done) => {{
          const times = [];
          let i = 0;
          const tick = (now) => {{
            times.push(now);
            if (i === {n}) {{
              const gaps = times.slice(1).map((t, k) => t - times[k]).sort((a, b) => a - b);
              return done(gaps[Math.floor(gaps.length / 2)]);
            }}
            ({action});
            i += 1;
            requestAnimationFrame(tick);
          }};
          requestAnimationFrame(tick);
        }})"""
    )


def allowed(milliseconds):
    """The limit on a machine with nothing else to do, longer by how much this one is overcommitted."""
    return milliseconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def best(measure, enough):
    """The smallest of a few measurements; stops as soon as one is good enough."""
    smallest = float("inf")
    for _ in range(TRIES):
        smallest = min(smallest, measure())
        if smallest <= enough:
            break
    return smallest


def test_slider_and_pan_stay_above_thirty_frames_a_second_with_5000_boxes(browse, hand, large, tmp_path):
    page, _ = browse(large / "mics", "--out", tmp_path / "out", "--picks", large / "picks", "--box-size-px", 60)
    user = hand(page)
    page.click("#tab-picks")
    user.until(f"vitripick.shownPicks().length > {N_PICKS // 2}")
    slider = (
        "document.getElementById('threshold').value = 0.05 + 0.005 * (i % 20), "
        "document.getElementById('threshold').dispatchEvent(new Event('input'))"
    )
    pan = "vitripick.viewport.pan(i % 2 ? 9 : -9, 4), vitripick.redraw()"
    page.evaluate("vitripick.store.settings.threshold = 0.05")
    slow = {"slider": best(lambda: frame_ms(page, slider), 33), "pan": best(lambda: frame_ms(page, pan), 33)}
    print(slow)
    assert max(slow.values()) <= allowed(34)


def test_a_micrograph_of_4096_opens_within_a_second_and_the_next_one_at_once(browse, hand, large, tmp_path):
    page, server = browse(large / "mics", "--out", tmp_path / "out")
    user = hand(page)
    first = page.evaluate("vitripick.timings.showMs")
    # The second was fetched while the first was looked at.
    page.wait_for_timeout(1500)
    page.keyboard.press("n")
    user.until("vitripick.sheet().name === 'large1.mrc' && vitripick.currentPicture().id === vitripick.sheet().id")
    second = page.evaluate("vitripick.timings.showMs")
    if first > allowed(1000):
        first = best(lambda: _open_anew(browse, server, large, tmp_path), allowed(1000))
    print({"first": first, "second": second})
    assert first <= allowed(1000)
    assert second <= allowed(150)


def _open_anew(browse, server, large, tmp_path):
    _open_anew.n = getattr(_open_anew, "n", 0) + 1
    page, _ = browse(large / "mics", "--out", tmp_path / f"again{_open_anew.n}")
    return page.evaluate("vitripick.timings.showMs")


def test_twenty_thousand_micrographs_scroll_without_stutter(browse, hand, tmp_path, new_micrographs):
    folder = new_micrographs(tmp_path, n=1)
    names = ["mic0.mrc", *(f"grid{i // 500}/mic{i}.mrc" for i in range(1, N_ROWS))]
    text = format_star([StarBlock("micrographs", table=table_of({"rlnMicrographName": names}))])
    (folder / "all.star").write_text(text)
    page, _ = browse(folder / "all.star", "--out", tmp_path / "out", expect_errors=True)  # the next one is not there
    user = hand(page)
    assert f"{N_ROWS:,}" in page.inner_text("#list-counts")
    assert page.locator(".list-row").count() < 100
    scroll = "document.getElementById('list-scroll').scrollTop = i * 4321"
    length = best(lambda: frame_ms(page, scroll), 33)
    print({"scroll": length})
    assert length <= allowed(34)
    page.fill("#list-search", "mic19999")
    user.until("document.querySelectorAll('.list-row:not([hidden])').length === 1")
    assert "mic19999" in page.inner_text("#list-scroll")
