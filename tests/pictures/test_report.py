"""The report: one file, whole, readable offline, safe whatever a file is called."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from vitripick.evaluation import evaluate
from vitripick.geometry import Boxes
from vitripick.pictures import (
    ReportMicrograph,
    ReportRun,
    montage_png,
    overlay_png,
    render_report,
    write_report,
)

_VOID = {"meta", "img", "br", "hr", "link", "input"}


class Checker(HTMLParser):
    """Raises at a tag that is closed but not open; gathers what the page would load and its images' texts."""

    def __init__(self):
        super().__init__()
        self.open, self.loads, self.alts = [], [], []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag not in _VOID:
            self.open.append(tag)
        if tag == "img":
            self.alts.append(attributes.get("alt"))
        self.loads += [attributes[key] for key in ("src", "href") if key in attributes]
        assert tag != "script"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def checked(page):
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    return checker


def a_run(*, name="run 1", labelled=True, failures=(), micrograph="a.mrc", **more):
    image = np.random.default_rng(0).normal(size=(200, 300)).astype(np.float32)
    labels = Boxes.at([100, 200], [100, 150], size_px=40, shape=(200, 300))
    picks = Boxes.at([100, 50], [100, 50], size_px=[40, 44], confidence=[0.9, 0.4], shape=(200, 300))
    found = evaluate({micrograph: picks}, {micrograph: labels}, threshold=0.3) if labelled else None
    overlay = overlay_png(image, picks, threshold=0.3)
    shown = ReportMicrograph(micrograph, 2, 2, 0.5, overlay, ("<5 pixels> were NaN",))
    return ReportRun(
        name=name,
        micrographs=[shown],
        picks={micrograph: picks},
        evaluation=found,
        threshold=0.3,
        settings={"diameter_angstrom": 130.0},
        timings={"network": 12.5},
        failures=list(failures),
        montage_png=montage_png(image, picks),
        **more,
    )


@pytest.fixture(scope="module")
def page():
    failures = [{"name": "broken.mrc", "error": "has 3 of 10 bytes"}]
    return render_report([a_run(failures=failures)], title="Picks & labels")


def test_every_tag_that_opens_closes(page):
    checked(page)


def test_nothing_is_loaded_from_outside(page):
    assert all(target.startswith(("data:image/", "#")) for target in checked(page).loads)
    assert not re.search(r"url\(|@import|https?://", page)


def test_every_picture_has_words_for_those_who_cannot_see_it(page):
    alts = checked(page).alts
    assert len(alts) == 5  # curve, two histograms, montage, overlay
    assert all(alts)


def test_names_from_files_cannot_become_html():
    run = a_run(name="<script>alert(1)</script>", micrograph='"><img src=x>')
    page = render_report([run], title="<i>title</i>")
    assert all(target.startswith("data:image/") for target in checked(page).loads)
    assert "<i>" not in page


def test_the_report_says_that_precision_is_a_lower_bound(page):
    assert "lower bounds" in page


def test_a_failure_is_named_with_its_reason(page):
    assert "broken.mrc" in page
    assert "has 3 of 10 bytes" in page


def test_without_labels_there_is_no_word_of_precision():
    page = render_report([a_run(labelled=False)], title="Picks")
    checked(page)
    assert "recision" not in page


def test_two_runs_share_a_figure_and_a_table_of_contents():
    page = render_report([a_run(name="one"), a_run(name="two")], title="Two")
    assert "All runs against labels" in page
    assert 'href="#run-2"' in page
    checked(page)


def row_of(page, name):
    (row,) = re.findall(rf"<tr><th scope=\"row\" class=\"name\">{re.escape(name)}</th>(.*?)</tr>", page, re.DOTALL)
    return [re.sub("<[^>]*>", "", cell).strip() for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)]


def test_the_table_of_micrographs_holds_the_quality():
    told = ReportMicrograph(
        "dirty.mrc", 12, 30, mean_confidence=0.714, junk_share=0.231, suspected=("carbon edge", "ice or contamination")
    )
    run = ReportRun(
        name="run", micrographs=[told, ReportMicrograph("bare.mrc", 0, 0)], quality=("suspected carbon edge: 1",)
    )
    page = render_report([run], title="Picks")
    checked(page)
    assert row_of(page, "dirty.mrc")[:5] == ["12", "30", "0.71", "23 %", "carbon edge; ice or contamination"]
    assert row_of(page, "bare.mrc")[2:5] == ["–", "–", ""]
    assert "suspected carbon edge: 1" in page
    assert "to look at" in page


def test_where_no_network_says_what_is_junk_there_is_no_word_of_it():
    page = render_report([a_run(labelled=False)], title="Picks")
    assert "junk" not in page


def test_an_empty_run_can_be_told():
    checked(render_report([ReportRun(name="nothing", micrographs=[])], title="Nothing"))


def test_the_report_is_written_whole(tmp_path):
    write_report(tmp_path / "report.html", [a_run()], title="Ünïcode")
    assert "<title>Ünïcode</title>" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(list(tmp_path.iterdir())) == 1
