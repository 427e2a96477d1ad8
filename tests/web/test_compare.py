"""Two sets of picks side by side, and particles of all micrographs."""

from vitripick.formats import write_picks
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
    rows = dict(
        line.split("\t", 1) for line in page.inner_text("#compare-table").splitlines() if line.strip().count("\t") == 2
    )
    assert rows["picks here"].split("\t") == ["3", "2"]
    assert rows["only in this one"].split("\t") == ["2", "1"]
    page.check("#only-differences")
    drawn = page.evaluate("Object.values(vitripick.picksToDraw()).map((picks) => picks.map((p) => [p.x, p.y]))")
    assert drawn == [[[60, 50], [90, 20]], [[100, 70]]]
    page.select_option("#compare-set", "")
    assert page.evaluate("vitripick.picksToDraw().picks.length") == 3
