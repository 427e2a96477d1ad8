"""A format is one file and one row: the `.xyz` of CONTRIBUTING.md, as that page shows it, works everywhere."""

import re
from pathlib import Path

import pytest

from vitripick.errors import FormatError
from vitripick.formats import FORMATS, PicksFormat, read_all_picks, read_picks, write_picks
from vitripick.geometry import Boxes
from vitripick.runs import convert_picks
from vitripick.runs.export import check_formats, place_of

PAGE = Path("CONTRIBUTING.md").read_text(encoding="utf-8")
PICKS = Boxes.at([40, 450.5], [30, 220], confidence=[0.75, float("nan")], micrograph="a.mrc")


@pytest.fixture(autouse=True)
def _xyz(monkeypatch):
    file, row = re.findall(r"```python\n(.*?)```", PAGE.split("## Add a format")[1].split("\n## ")[0], re.DOTALL)
    names = {"PicksFormat": PicksFormat}
    exec(file, names)
    entry = eval(f"({row.strip().rstrip(',')})", names)
    monkeypatch.setitem(FORMATS, entry.name, entry)


def test_the_format_of_the_page_gives_back_what_it_holds(tmp_path):
    write_picks(PICKS, tmp_path / "a.xyz")
    assert (tmp_path / "a.xyz").read_text() == "40 30 0.750000\n450.5 220 nan\n"
    back = read_picks(tmp_path / "a.xyz")
    assert back.centres.tolist() == PICKS.centres.tolist()
    assert back.confidence.tolist()[0] == 0.75
    write_picks(Boxes.empty(), tmp_path / "none.xyz")
    assert len(read_picks(tmp_path / "none.xyz")) == 0


def test_a_wrong_line_is_named(tmp_path):
    (tmp_path / "a.xyz").write_text("1 2 0.5\n1 2\n")
    with pytest.raises(FormatError, match=r"a\.xyz, line 2: an \.xyz line is 'x y confidence', but this one is '1 2'"):
        read_picks(tmp_path / "a.xyz")


def test_one_row_is_enough_for_folders_conversion_and_runs(tmp_path):
    write_picks(PICKS, tmp_path / "labels" / "a_labels.xyz")
    assert [boxes.micrograph for boxes in read_all_picks(tmp_path / "labels")] == ["a"]
    convert_picks(tmp_path / "labels" / "a_labels.xyz", tmp_path / "a.csv")
    assert len(read_picks(tmp_path / "a.csv")) == 2
    check_formats(["xyz"], ["a.mrc"])
    assert place_of("xyz") == ("xyz", ".xyz")
