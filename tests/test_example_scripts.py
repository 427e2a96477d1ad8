"""The scripts of `examples/`, and its notebook, run on the bundled micrographs."""

import json
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
MICROGRAPH = str(EXAMPLES / "apoferritin/micrographs/May08_03.05.02.mrc")
LABELS = str(EXAMPLES / "apoferritin/labels/May08_03.05.02.csv")


@pytest.fixture
def example(monkeypatch):
    def main_of(name):
        return runpy.run_path(str(EXAMPLES / name))["main"]

    return main_of


def test_pick_writes_picks_and_a_picture(example, tmp_path, capsys):
    example("pick.py")(MICROGRAPH, 80, str(tmp_path / "a"))
    assert int(capsys.readouterr().out.split()[0]) > 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.png", "a.star"]


def test_evaluate_prints_a_line_for_each_threshold(example, capsys):
    example("evaluate.py")(MICROGRAPH, LABELS, 80)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert len(rows) == 5
    assert float(rows[1][1]) > 0.95


def test_train_makes_a_model_that_knows_the_diameter(example, tmp_path, capsys):
    folder = EXAMPLES / "apoferritin"
    example("train.py")(str(folder / "micrographs"), str(folder / "labels"), str(tmp_path / "run"), 1)
    assert "particles of 80 px" in capsys.readouterr().out
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_the_loop_picks_what_is_complete_and_goes_on_after_a_bad_file(example, tmp_path, capsys):
    folder = tmp_path / "arriving"
    folder.mkdir()
    (folder / "good.mrc").symlink_to(MICROGRAPH)
    (folder / "bad.mrc").symlink_to(LABELS)
    n_done = example("facility_loop.py")(str(folder), str(tmp_path / "out"), 80, go_on=lambda done: done < 2)
    assert n_done == 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert len(lines) == 2
    assert list((tmp_path / "out" / "star").rglob("good*.star"))


def test_every_cell_of_the_notebook_runs(monkeypatch):
    import matplotlib

    matplotlib.use("agg")
    monkeypatch.chdir(EXAMPLES)
    cells = json.loads((EXAMPLES / "pictures.ipynb").read_text(encoding="utf-8"))["cells"]
    names = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert len(names["picks"]) > 100


def test_the_readme_names_every_script():
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    scripts = [path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb")]
    assert len(scripts) == 5
    assert [name for name in scripts if f"]({name})" not in text] == []
