"""The page while its server is away, answers late, or serves other windows too, in a browser."""

import json
import time

from vitripick.formats import read_picks
from web.windows import near


def test_what_is_not_saved_waits_for_the_server(browse, hand, serve, micrographs, tmp_path):
    page, server = browse(micrographs, "--out", tmp_path / "out", expect_errors=True)
    user = hand(page)
    user.click(30, 40)
    user.saved()
    server.kill()
    user.click(60, 50)
    user.until("document.getElementById('save-state').textContent.startsWith('not saved')")
    assert page.is_visible("#banner")
    port = str(server.port)
    again = serve(micrographs, "--out", tmp_path / "out", "--port", port, enter=False)
    other = page.context.new_page()
    other.goto(again.link)  # the new link, in another tab
    user.until("document.getElementById('save-state').textContent.startsWith('saved')")
    assert not page.is_visible("#banner")
    assert len(read_picks(tmp_path / "out/labels/mic0.csv")) == 2


def test_one_micrograph_the_server_has_lost_does_not_keep_the_others_from_being_saved(
    browse, hand, micrographs, tmp_path
):
    page, _ = browse(micrographs, "--out", tmp_path / "out", expect_errors=True)
    user = hand(page)
    lost = page.evaluate("vitripick.sheet().id")
    gone = {"status": 404, "json": {"error": "no such micrograph"}}
    page.route(f"**/api/micrographs/{lost}*", lambda route: route.fulfill(**gone))
    page.route(f"**/api/micrographs/{lost}/edit", lambda route: route.fulfill(**gone))
    user.click(30, 40)
    page.wait_for_selector("text=no such micrograph")
    page.keyboard.press("n")
    user.until("vitripick.sheet()?.name.includes('mic1')")
    user.click(60, 50)
    user.saved()
    assert len(read_picks(tmp_path / "out/labels/mic1.csv")) == 1
    assert not (tmp_path / "out/labels/mic0.csv").exists()


def test_who_comes_back_to_a_micrograph_sees_every_label_that_is_still_on_its_way(browse, hand, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out")
    user = hand(page)
    page.route("**/edit", lambda route: None)
    for x in range(20, 100, 20):
        user.click(x, 40)
    page.keyboard.press("n")
    user.until("vitripick.sheet().name.includes('mic1')")
    page.keyboard.press("p")
    page.wait_for_timeout(300)
    page.unroute("**/edit")  # lets go what is held
    user.until("vitripick.sheet().name.includes('mic0')")
    user.saved()
    assert len(user.labels()) == 4


def test_a_read_only_page_shows_and_offers_no_edits(browse, hand, serve, micrographs, tmp_path):
    serve(micrographs, "--out", tmp_path / "out").stop()
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--read-only")
    user = hand(page)
    user.click(30, 40)
    page.keyboard.press("f")
    assert user.labels() == []
    assert page.is_visible("#read-only-mark")
    assert not page.is_visible("#flag-complete")
    page.click("#tab-train")
    assert not page.is_visible("#train")


def test_an_edit_whose_answer_was_lost_takes_nothing_with_it_that_was_done_since(
    browse, hand, serve, micrographs, tmp_path
):
    page, server = browse(micrographs, "--out", tmp_path / "out", "--box-size-px", 4, expect_errors=True)
    user = hand(page)
    user.click(10, 10)
    user.saved()

    def answer_is_lost(route):
        route.fetch()
        server.kill()
        route.abort()

    page.route("**/edit", answer_is_lost, times=1)
    user.click(20, 10)
    user.until("document.getElementById('save-state').textContent.startsWith('not saved')")
    for x in range(30, 110, 10):
        user.click(x, 50)
    again = serve(micrographs, "--out", tmp_path / "out", "--port", str(server.port), enter=False)
    page.context.new_page().goto(again.link)
    user.until("document.getElementById('save-state').textContent.startsWith('saved')")
    wanted = [(10, 10), (20, 10), *((x, 50) for x in range(30, 110, 10))]
    assert near(sorted(user.labels()), sorted(map(list, wanted)))
    assert near(sorted(read_picks(tmp_path / "out/labels/mic0.csv").centres.tolist()), sorted(map(list, wanted)))


def test_a_window_looks_again_at_labels_that_the_server_has_not_read_since_they_changed(
    browse, hand, micrographs, tmp_path
):
    """A server that was started again, or that has put them aside, does not know their revision."""
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--box-size-px", 20)
    other = page.context.new_page()

    def without_revision(route):
        answer = route.fetch()
        body = answer.json()
        body["revisions"] = {name: None for name in body.get("revisions", {})}
        route.fulfill(response=answer, json=body)

    other.route("**/api/status*", without_revision)
    other.goto(page.url)
    hand(other).saved()
    page.bring_to_front()
    hand(page).click(30, 40)
    hand(page).saved()
    other.bring_to_front()
    hand(other).until("vitripick.sheet().labels.size === 1")


def test_edits_in_two_windows_are_all_kept(browse, hand, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--box-size-px", 4, expect_errors=True)
    other = page.context.new_page()
    other.goto(page.url)
    hand(other).saved()
    page.bring_to_front()
    for x in (10, 20, 30):
        hand(page).click(x, 20)
    hand(page).saved()
    assert len(hand(page).labels()) == 3
    other.bring_to_front()
    # This window knows nothing of the three, and gives its own the same numbers.
    for x in (60, 70, 80):
        hand(other).click(x, 60)
    hand(other).click(70, 60, button="right")
    hand(other).saved()
    wanted = [[10, 20], [20, 20], [30, 20], [60, 60], [80, 60]]
    assert near(sorted(hand(other).labels()), wanted)
    assert near(sorted(read_picks(tmp_path / "out/labels/mic0.csv").centres.tolist()), wanted)


def test_a_window_hears_of_what_another_one_did(browse, hand, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--box-size-px", 30)
    other = page.context.new_page()
    other.goto(page.url)
    hand(other).saved()
    page.bring_to_front()
    hand(page).click(30, 40)
    page.keyboard.press("f")
    hand(page).sets("#box-px", 44, "change")
    hand(page).saved()
    other.bring_to_front()
    hand(other).until("vitripick.sheet().labels.size === 1")
    hand(other).until("vitripick.store.rows[0].flag === 'complete' && vitripick.store.rows[0].labels === 1")
    hand(other).until("vitripick.sheet().boxSize === 44 && vitripick.store.settings.box_size_px === 44")


def test_a_late_answer_takes_back_no_setting_that_was_set_since(browse, hand, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--box-size-px", 16)
    user = hand(page)
    late = []

    def hold(route):
        response = route.fetch()
        if (response.json().get("settings") or {}).get("threshold") == 0.5:
            late.append((route, response))
        else:
            route.fulfill(response=response)

    page.route("**/api/status*", hold)
    user.sets("#threshold", 0.5)
    end = time.monotonic() + 60
    while not late:
        assert time.monotonic() < end
        page.wait_for_timeout(30)
    user.sets("#threshold", 0.7)
    page.wait_for_timeout(400)
    user.until("document.getElementById('save-state').textContent.includes('saved')")
    route, response = late[0]
    with page.expect_response("**/api/status*"):
        route.fulfill(response=response)
    page.wait_for_timeout(100)
    assert page.evaluate("vitripick.store.settings.threshold") == 0.7


def test_a_micrograph_that_was_opened_while_the_server_was_away_comes_when_it_is_back(
    browse, hand, serve, micrographs, tmp_path
):
    page, server = browse(micrographs, "--out", tmp_path / "out", expect_errors=True)
    user = hand(page)
    server.kill()
    page.keyboard.press("n")
    user.until("document.getElementById('stage-message').textContent.includes('does not answer')")
    again = serve(micrographs, "--out", tmp_path / "out", "--port", str(server.port), enter=False)
    page.context.new_page().goto(again.link)
    user.until("vitripick.sheet().name.includes('mic1') && vitripick.currentPicture()?.id === vitripick.sheet().id")
    assert page.evaluate("vitripick.store.rows.every((row) => !row.error)")


def test_a_setting_counts_as_saved_only_when_it_is_and_leaving_the_page_loses_none(browse, hand, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--box-size-px", 30)
    user = hand(page)
    user.saved()
    user.sets("#box-px", 44, "change")
    assert "saved" not in page.inner_text("#save-state")
    page.goto("about:blank")
    end = time.monotonic() + 60
    while json.loads((tmp_path / "out/project.json").read_text())["settings"]["box_size_px"] != 44:
        assert time.monotonic() < end
        time.sleep(0.05)
