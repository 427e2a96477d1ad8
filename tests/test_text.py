"""Counts and lists in messages."""

import pytest

from vitripick.text import count, listed


@pytest.mark.parametrize(("n", "said"), [(0, "0 picks"), (1, "1 pick"), (2, "2 picks")])
def test_only_exactly_one_goes_without_an_s(n, said):
    assert count("pick", n) == said


def test_a_list_that_fits_is_written_out():
    assert listed(["a", "b", "c"], most=3) == "a, b, c"


def test_a_longer_list_says_how_many_more_there_are():
    assert listed(["a", "b", "c", "d", "e"], most=3) == "a, b, c and 2 more"
