"""Two sets of picks side by side, and particles of all micrographs."""

import cv2
import numpy as np

from vitripick.formats import write_mrc, write_picks
from vitripick.geometry import Boxes


def drop(page, user, path):
    page.click("#tab-files")
    page.select_option("#import-as", "picks")
    page.set_input_files("#import", path)
    user.until("document.getElementById('import-result').textContent.includes('picks on')")


def test_two_sets_are_compared_pick_by_pick(browse, hand, micrographs, tmp_path):
    first = Boxes.at([30, 60, 90], [40, 50, 20], size_px=16, confidence=[0.9, 0.8, 0.7])
    write_picks(first, tmp_path / "first" / "mic0.cbox")
    second = Boxes.at([31, 100], [41, 70], size_px=16, confidence=[0.9, 0.8])
    write_picks(second, tmp_path / "second" / "mic0.cbox")
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--picks", tmp_path / "first", "--box-size-px", 16)
    user = hand(page)
    drop(page, user, tmp_path / "second" / "mic0.cbox")
    page.click("#tab-picks")
    page.select_option("#pick-set", "given")
    user.until("vitripick.shownPicks().length === 3")
    page.select_option("#compare-set", label="mic0.cbox")
    user.until("vitripick.picksToDraw().others.length === 2")
    user.reads("#compare-table", "about 2 on 1")  # counted meanwhile
    rows = dict(
        line.split("\t", 1) for line in page.inner_text("#compare-table").splitlines() if line.strip().count("\t") == 2
    )
    assert rows["picks here"].split("\t") == ["3", "2"]
    assert rows["only in this one"].split("\t") == ["2", "1"]
    assert rows["picks on micrographs"].split("\t") == ["about 3 on 1", "about 2 on 1"]
    page.check("#only-differences")
    drawn = page.evaluate("Object.values(vitripick.picksToDraw()).map((picks) => picks.map((p) => [p.x, p.y]))")
    assert drawn == [[[60, 50], [90, 20]], [[100, 70]]]
    page.select_option("#compare-set", "")
    assert page.evaluate("vitripick.picksToDraw().picks.length") == 3


def test_particles_of_all_micrographs_lie_side_by_side_by_confidence(browse, hand, micrographs, tmp_path):
    for name, sure in (("mic0", [0.9, 0.5]), ("mic1", [0.8, 0.6])):
        write_picks(Boxes.at([30, 60], [40, 50], size_px=16, confidence=sure), tmp_path / "picks" / f"{name}.cbox")
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--picks", tmp_path / "picks", "--box-size-px", 16)
    user = hand(page)
    page.click("#tab-particles")
    page.select_option("#montage-where", "all")
    user.until("document.getElementById('montage-count').textContent === '4 particles'")
    page.locator("#montage").click(position={"x": 110, "y": 30})  # the second surest
    user.until("vitripick.sheet().name === 'mic1.mrc'")
    assert page.get_attribute("#montage-scroll", "aria-label") == "Particle 2 of 4, confidence 0.80"
    user.saved()
    page.keyboard.press("Delete")
    user.until("vitripick.sheet().rejected.size === 1")
    user.until("document.getElementById('montage-scroll').getAttribute('aria-label').startsWith('Particle 2 of 3')")


def test_no_picture_is_asked_for_before_the_particles_of_all_micrographs_are_known(browse, hand, micrographs, tmp_path):
    write_picks(Boxes.at([30, 60], [40, 50], size_px=16, confidence=[0.9, 0.5]), tmp_path / "picks" / "mic0.cbox")
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--picks", tmp_path / "picks", "--box-size-px", 16)
    user = hand(page)
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "api/montage" in request.url else None)
    page.click("#tab-particles")
    user.reads("#montage-count", "2 particles")
    user.sets("#montage-where", "all", "change")
    user.sets("#montage-size", 80)  # draws again at once
    page.wait_for_timeout(600)
    assert asked
    assert not [url for url in asked if "places=&" in url]


def test_a_square_of_the_montage_has_its_particle_in_the_middle(serve, tmp_path):
    image = np.zeros((300, 400), np.float32)
    image[118:123, 248:253] = 1  # centre (250, 120)
    write_mrc(tmp_path / "mics" / "spot.mrc", image, pixel_size=1.0)
    server = serve(tmp_path / "mics", "--out", tmp_path / "out", "--box-size-px", 40)
    (name,) = server.ids().values()
    status, _, data = server.raw("GET", f"/api/montage?side=128&places={name},250,120;{name},10,10")
    assert status == 200
    sheet = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert sheet.shape == (128, 256)
    rows, columns = np.nonzero(sheet[:, :128] > 200)
    assert abs(rows.mean() - 63.5) < 1
    assert abs(columns.mean() - 63.5) < 1
    for places in ("", "x", f"{name},1,nan", ";".join([f"{name},1,1"] * 65)):
        assert server.raw("GET", f"/api/montage?side=128&places={places}")[0] == 400


def test_picks_outside_a_box_of_confidence_and_contrast_are_rejected(browse, hand, tmp_path):
    image = np.random.default_rng(0).standard_normal((300, 400)).astype(np.float32)
    for x in (60, 160):
        image[140:160, x - 10 : x + 10] -= 4
    write_mrc(tmp_path / "mics" / "two.mrc", image, pixel_size=1.0)
    picks = Boxes.at([60, 160, 300], [150, 150, 150], size_px=24, confidence=[0.9, 0.8, 0.85])
    write_picks(picks, tmp_path / "picks" / "two.cbox")
    page, _ = browse(tmp_path / "mics", "--out", tmp_path / "out", "--picks", tmp_path / "picks", "--box-size-px", 24)
    user = hand(page)
    user.until("vitripick.shownPicks().length === 3")
    page.click("#tab-picks")
    page.click("#second-axis summary")
    page.locator("#scatter").scroll_into_view_if_needed()
    box = page.locator("#scatter").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 5, box["y"] + box["height"] * 0.52, steps=3)
    page.mouse.up()
    assert page.inner_text("#reject-outside") == "Reject 1 pick outside the box"
    page.click("#reject-outside")
    user.until("vitripick.shownPicks().length === 2")
    assert page.evaluate("vitripick.shownPicks().map((pick) => pick.x)") == [60, 160]
