"""Rows of numbers in bulk: the same text and the same numbers as one value at a time."""

import numpy as np
import pytest

from vitripick.formats.picks.cbox import _from_table, _read_own, read_cbox, write_cbox
from vitripick.formats.star.dialect import parse_star
from vitripick.formats.star.number_rows import format_rows, parse_rows
from vitripick.formats.text import read_lines
from vitripick.geometry import Boxes


def numbers(n, seed=0):
    return np.random.default_rng(seed).uniform(-20, 9000, n)


def test_rows_hold_six_decimals_and_the_texts_between_them():
    assert format_rows([np.array([1.0, 2.5]), "<NA>", np.array([3.0, 4.0])]) == (
        "1.000000 <NA> 3.000000\n2.500000 <NA> 4.000000\n"
    )


def test_what_rounds_to_zero_has_no_sign_unless_it_is_kept():
    columns = [np.array([-1e-9, -10.0, 0.0])]
    assert format_rows(columns) == "0.000000\n-10.000000\n0.000000\n"
    assert format_rows(columns, keep_minus_zero=True) == "-0.000000\n-10.000000\n0.000000\n"


def test_a_name_with_a_percent_sign_stays_as_it_is():
    assert format_rows(["a%d.mrc", np.array([1.0])]) == "a%d.mrc 1.000000\n"


def test_an_unknown_number_gets_the_text_that_stands_for_it():
    assert format_rows([np.array([1.0, np.nan])], unknown="<NA>") == "1.000000\n<NA>\n"


def test_rows_are_read_as_they_were_written():
    columns = [numbers(50), "<NA>", numbers(50, seed=1)]
    rows = parse_rows(format_rows(columns).encode(), 3)
    np.testing.assert_array_equal(rows[:, 0], [float(f"{value:.6f}") for value in columns[0]])
    assert np.isnan(rows[:, 1]).all()


@pytest.mark.parametrize(
    "rows",
    [
        b"1.0 2.0\n3.0\n",
        b"1.0  2.0\n",
        b" 1.0 2.0\n",
        b"1.0 2.0",
        b"1.0 2.0 3.0\n4.0\n",
        b"1.0 abc\n",
        b"1.0 1.0.0\n",
        b"1.0 <N\n",
    ],
)
def test_rows_of_another_kind_are_left_to_the_reader_that_names_the_line(rows):
    assert parse_rows(rows, 2) is None


def test_our_own_file_is_read_in_bulk_as_it_is_read_line_by_line(tmp_path):
    path = tmp_path / "a.cbox"
    n = 200
    confidence = np.random.default_rng(2).uniform(0, 1, n)
    boxes = Boxes.at(numbers(n), numbers(n, seed=1), size_px=101.3, confidence=confidence, estimated_width=99.0)
    write_cbox([boxes], path)
    own = _read_own(path.read_bytes())
    blocks = {block.name: block for block in parse_star(read_lines(path), path)}
    slow = _from_table(blocks["cryolo"].as_table(), path)
    for name in ("x", "y", "width", "height", "confidence", "estimated_width", "estimated_height"):
        np.testing.assert_array_equal(getattr(own, name), getattr(slow, name))


def test_a_file_of_ours_that_somebody_changed_is_read_line_by_line(tmp_path):
    path = tmp_path / "a.cbox"
    write_cbox([Boxes.at([10.0], [20.0], size_px=8, confidence=0.5)], path)
    path.write_text(path.read_text().replace("0.500000", "5e-1"))
    assert _read_own(path.read_bytes()) is None
    assert read_cbox(path)[0].confidence[0] == 0.5
