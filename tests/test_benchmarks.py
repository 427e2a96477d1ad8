"""The benchmarks that take hours can be interrupted: every cell is computed once."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def cells(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import cells

    return cells


def test_a_cell_that_is_there_is_not_computed_again(cells, tmp_path):
    path = tmp_path / "cells" / "one.json"
    first = cells.cell(path, lambda: {"auc": 0.9})
    again = cells.cell(path, lambda: pytest.fail("computed twice"))
    assert again == first
    assert {"auc", "date", "command", "machine", "torch"} <= set(again)


def test_a_cell_that_failed_leaves_nothing_behind(cells, tmp_path):
    with pytest.raises(ZeroDivisionError):
        cells.cell(tmp_path / "one.json", lambda: {"auc": 1 / 0})
    assert not list(tmp_path.iterdir())


def test_a_table_shows_what_is_missing_as_a_dash(cells):
    assert cells.table(["a", "b"], [[0.12345, None]]).splitlines()[-1] == "| 0.123 | - |"


@pytest.mark.parametrize("name", ["noise_series", "few_labels", "sparse_labels", "architectures"])
def test_each_experiment_says_what_it_does(name):
    done = subprocess.run(
        [sys.executable, BENCHMARKS / f"{name}.py", "--help"], capture_output=True, text=True, check=True
    )
    assert "--out" in done.stdout
