"""What leads a newcomer through the page, and what spares others many clicks."""

from vitripick.formats import write_picks
from vitripick.geometry import Boxes


def test_the_first_round_counts_labels_and_says_what_comes_next(browse, hand, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out")
    user = hand(page)

    def current():
        return page.inner_text("#round [aria-current]")

    assert current() == "1 Set the box size"
    page.click("#box-larger")
    assert current() == "2 Click 20 particles (0/20)"
    assert "No particle on it at all" in page.inner_text("#flag-hint")
    for i in range(20):
        user.click(15 + 11 * (i % 8), 20 + 20 * (i // 8))
        if i == 6:
            user.until("document.querySelector('#round [aria-current]').textContent.includes('(7/20)')")
            assert current() == "2 Click 20 particles (7/20)"
    user.until("document.querySelector('#round [aria-current]').textContent.includes('Train')")
    assert current() == "3 Train"
    assert "teaches little" in page.inner_text("#flag-hint")
    page.keyboard.press("f")
    user.until("document.getElementById('flag-hint').textContent.startsWith('Fully labelled')")
    page.click("#round-train")
    assert page.is_visible("#page-train")


def test_several_micrographs_are_flagged_at_once(browse, hand, new_micrographs, tmp_path):
    page, _ = browse(new_micrographs(tmp_path / "mics", n=5), "--out", tmp_path / "out")
    user = hand(page)
    rows = page.locator(".list-row:not([hidden])")
    rows.nth(1).click(modifiers=["Shift"])
    rows.nth(3).click(modifiers=["Control"])
    assert page.inner_text("#marked-count").startswith("3 micrographs")
    page.click("#marked [data-flag=excluded]")
    user.until("vitripick.store.rows.filter((row) => row.flag === 'excluded').length === 3")
    assert page.evaluate("vitripick.store.rows.map((row) => row.flag)") == [
        "excluded",
        "excluded",
        None,
        "excluded",
        None,
    ]
    page.click("#marked-none")
    assert page.is_hidden("#marked")


def test_the_title_of_the_tab_says_how_far_a_job_is_and_how_long_it_takes(browse, micrographs, tmp_path):
    page, _ = browse(micrographs, "--out", tmp_path / "out")
    page.route("**/api/status*", lambda route: None)  # no answer comes between
    told = page.evaluate(
        """() => {
          const job = { run: "001", kind: "train", stage: "training", message: "", losses: [], rows: [], done: 0 };
          const say = (step, milliseconds) => {
            performance.now = () => milliseconds;
            const now = { ...job, total: 0, step, steps: 100, running: true, seconds: 5 };
            vitripick.store.status = { ...vitripick.store.status, job: now };
            vitripick.changed("status");
          };
          say(0, 1e6);
          say(25, 1e6 + 60_000);
          return document.getElementById("job-stage").textContent;
        }"""
    )
    assert told.endswith("about 3 min left")
    assert page.title().startswith("25 % · mic0.mrc")


def test_an_export_is_downloaded_and_picks_are_dropped_in(browse, hand, micrographs, tmp_path):
    picks = Boxes.at([30, 60], [40, 50], size_px=16, confidence=[0.9, 0.4])
    write_picks(picks, tmp_path / "made" / "mic0.cbox")
    page, _ = browse(micrographs, "--out", tmp_path / "out", "--box-size-px", 16)
    user = hand(page)
    user.click(30, 40)
    page.click("#tab-files")
    page.click("#export")
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "vitripick-export-001.zip"
    page.select_option("#import-as", "picks")
    page.set_input_files("#import", tmp_path / "made" / "mic0.cbox")
    user.until("vitripick.shownPicks().length === 2")
    user.reads("#import-result", "mic0.cbox: 2 picks on mic0.mrc (2)")
