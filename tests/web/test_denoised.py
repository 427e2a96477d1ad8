"""The denoised view: another picture of the same micrograph, marked as what it is."""

import cv2
import numpy as np


def picture(server, an_id, query):
    status, _, data = server.raw("GET", f"/api/micrographs/{an_id}/image?{query}")
    assert status == 200
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE).astype(float)


def test_tiles_of_the_denoised_view_look_like_its_whole(serve, new_micrographs, tmp_path):
    folder = new_micrographs(tmp_path / "mics", n=1, shape=(1100, 2500))
    server = serve(folder, "--out", tmp_path / "out")
    (an_id,) = server.ids().values()
    whole = picture(server, an_id, "denoised=1")
    noisy = picture(server, an_id, "low=0")
    assert whole.shape == noisy.shape
    assert np.abs(np.diff(whole)).mean() < 0.5 * np.abs(np.diff(noisy)).mean()
    status, _, data = server.raw("GET", f"/api/micrographs/{an_id}/tiles/1/0?denoised=1")
    tile = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE).astype(float)
    part = cv2.resize(whole, (2500, 1100), interpolation=cv2.INTER_LINEAR)[:1024, 1024:2048]
    assert status == 200
    assert np.abs(tile - part).mean() < 3


def test_the_denoised_view_says_that_it_is_one_and_has_no_low_pass(browse, hand, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--box-size-px", 20)
    user = hand(page)
    assert page.is_hidden("#denoised-note")
    page.click("#denoised")
    user.until("vitripick.currentPicture().filter.includes('denoised=1')")
    assert page.is_visible("#denoised-note")
    assert page.is_disabled("#low-pass")
    user.click(30, 40)  # labels are made on it as on any other view
    user.saved()
    assert len(user.labels()) == 1
    page.focus("#overlay")
    page.keyboard.press("v")
    user.until("vitripick.currentPicture().filter.startsWith('low=')")
    assert page.is_hidden("#denoised-note")
