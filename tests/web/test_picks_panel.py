"""What the page says about picks: exact counts, and whose threshold it is; and names that can be told apart."""

import shutil

from vitripick.formats import write_picks
from vitripick.geometry import Boxes


def test_the_list_counts_picks_exactly_at_any_threshold(browse, hand, micrographs, tmp_path):
    confidence = [0.341, 0.342, 0.346, 0.347, 0.9]  # in one bin of the histogram, but for the last
    picks = Boxes.at([20, 40, 60, 80, 100], [20] * 5, size_px=9, confidence=confidence)
    write_picks(picks, tmp_path / "picks" / "mic0.csv")
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--picks", tmp_path / "picks", "--box-size-px", 16)
    user = hand(page)
    user.until("vitripick.shownPicks().length === 5")
    user.sets("#threshold", 0.345)
    user.until("document.querySelector('.list-row .picks').textContent === '3'")


def test_the_page_says_whose_threshold_is_shown_and_goes_back_to_the_models(browse, hand, micrographs, tmp_path):
    write_picks(Boxes.at([20], [20], size_px=9, confidence=0.9), tmp_path / "picks" / "mic0.csv")
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--picks", tmp_path / "picks", "--box-size-px", 16)
    user = hand(page)
    page.click("#tab-picks")
    assert "none of their own" in page.inner_text("#threshold-whose")
    page.route("**/api/status*", lambda route: None)  # it would bring the set without a threshold again
    page.evaluate("vitripick.store.status.pick_sets[0].threshold = 0.4321")
    user.sets("#threshold", 0.7)
    user.until("document.getElementById('threshold-whose').textContent === 'set here'")
    page.click("#threshold-own")
    user.until("document.getElementById('threshold-whose').textContent.includes('own')")
    assert page.evaluate("vitripick.store.settings.threshold") == 0.4321


def test_names_in_the_list_show_where_they_differ(browse, tmp_path, new_micrographs):
    folder = new_micrographs(tmp_path / "mics", n=2)
    for i, name in enumerate(("0017", "0018")):
        shutil.move(
            folder / f"mic{i}.mrc",
            folder / f"FoilHole_24993402_Data_{name}_20261128_fractions_patch_aligned_doseweighted.mrc",
        )
    page, _ = browse(folder, "--out", tmp_path / "out")
    shown = [text.replace("\u200e", "") for text in page.locator(".list-row:not([hidden]) .name").all_text_contents()]
    assert shown == ["…a_0017_20…", "…a_0018_20…"] or all(
        f"001{d}" in text for d, text in zip("78", shown, strict=True)
    )
    assert all(len(text) < 20 for text in shown)
    titles = page.locator(".list-row:not([hidden])").evaluate_all("rows => rows.map((row) => row.title)")
    assert titles[0].endswith("doseweighted.mrc")


def test_a_run_without_a_title_is_named_and_the_project_opens(micrographs, tmp_path, serve):
    (tmp_path / "out/runs/001/picks").mkdir(parents=True)
    (tmp_path / "out/runs/001/job.json").write_text('{"kind": "pick"}')
    server = serve(micrographs, "--out", tmp_path / "out")
    status, answer = server.get("/api/project")
    assert status == 200
    assert len(answer["micrographs"]) == 2
