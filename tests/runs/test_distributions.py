import csv

from vitripick.geometry import Boxes
from vitripick.runs import PickSettings, pick_many, write_distributions


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_its_confidences_and_sizes_as_tables_and_pictures(model, micrographs, tmp_path):
    summary = pick_many([micrographs], tmp_path / "out", model, PickSettings())
    folder = tmp_path / "out" / "distributions"
    assert sum(int(row["n_picks"]) for row in rows(folder / "confidence.csv")) == summary.to_dict()["n_stored"]
    assert sum(int(row["n_picks"]) for row in rows(folder / "size.csv")) == summary.n_picks
    for name in ("confidence.png", "size.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_bars_run_from_0_to_1_and_sizes_are_those_of_exported_picks(tmp_path):
    size = [99, 8, 12]
    picks = Boxes.at(
        [1, 2, 3], [1, 1, 1], size_px=10, confidence=[0.1, 0.5, 1.0], estimated_width=size, estimated_height=size
    )
    write_distributions(tmp_path, [picks], 0.4)
    confidence = rows(tmp_path / "distributions" / "confidence.csv")
    assert (confidence[0]["confidence_from"], confidence[-1]["confidence_to"]) == ("0.0000", "1.0000")
    assert [row["n_picks"] for row in confidence if row["n_picks"] != "0"] == ["1", "1", "1"]
    assert confidence[0]["threshold"] == "0.4"
    sizes = rows(tmp_path / "distributions" / "size.csv")
    assert (sizes[0]["size_px_from"], sizes[-1]["size_px_to"]) == ("8.0000", "12.0000")
    assert sum(int(row["n_picks"]) for row in sizes) == 2


def test_a_run_without_a_pick_has_distributions_too(tmp_path):
    write_distributions(tmp_path, [Boxes.empty()], 0.4)
    assert sum(int(row["n_picks"]) for row in rows(tmp_path / "distributions" / "size.csv")) == 0
